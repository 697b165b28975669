"""A ring that grows while the server runs: the file is looked at, and read again when it has changed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from provider.security.master_keys import MasterKeys, NamedKey
from provider.start.key_texts import WRAPPED, KeyFilesError, Unwrap, decode_named_keys, named_texts

log = logging.getLogger("mcp_core.vault")
# How often at most the file is looked at for an id that is not known. A server looks every other second anyway.
UNKNOWN_SECONDS = 1.0
_Stamp = tuple[int, int, int]


class RingRenewal:
    """``read_file`` gives the text of the file, ``unwrap`` opens keys that a secrets service has wrapped: each once."""

    def __init__(
        self,
        path: Path,
        read_file: Callable[[Path], str],
        unwrap: Unwrap,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._read_file = read_file
        self._unwrap = unwrap
        self._clock = clock
        self._masters: MasterKeys | None = None
        self._stamp: _Stamp | None = None
        self._unwrapped: dict[str, bytes] = {}
        self._asked_at = float("-inf")
        self._complaint = ""
        self._reading = threading.Lock()

    def read(self) -> tuple[NamedKey, ...]:
        """The keys in the file. Raises ``KeyFilesError``."""
        stamp = self._now_stamped()
        try:
            text = self._read_file(self._path)
        except FileNotFoundError:
            raise KeyFilesError(f"{self._path} is missing") from None
        keys = decode_named_keys(text, str(self._path), self._unwrapped_once)
        self._stamp = stamp
        return keys

    def keep_up(self, masters: MasterKeys) -> None:
        """Brings later keys into this ring from now on."""
        self._masters = masters
        masters.renewal = self

    def look(self) -> None:
        """Reads the file again if it has changed. What is wrong with it is logged, and the known keys go on.

        A secrets service may be asked: for a thread that holds no transaction.
        """
        if self._now_stamped() == self._stamp:
            return
        with self._reading:
            self._renew()

    def look_for_unknown(self) -> None:
        """The same for somebody who meets an unknown id, at most once a second. Waits for no network and for nobody long.

        A wrapped key comes in by ``look`` alone, since a transaction may be open here.
        """
        if not self._reading.acquire(timeout=UNKNOWN_SECONDS):
            return
        try:
            if self._clock() - self._asked_at < UNKNOWN_SECONDS or self._now_stamped() == self._stamp:
                return
            self._asked_at = self._clock()
            if not self._would_ask():
                self._renew()
        finally:
            self._reading.release()

    def _renew(self) -> None:
        try:
            keys = self.read()
            if self._masters is not None and self._masters.replace(keys):
                log.info("the ring of master keys is now %s", " ".join(name for name, _ in keys))
            self._complaint = ""
        except (KeyFilesError, OSError) as error:
            if str(error) != self._complaint:  # it is tried again every other second
                log.error("the master keys cannot be read again, the known ones go on: %s", error)
            self._complaint = str(error)

    def _would_ask(self) -> bool:
        """Whether the file has a wrapped key that has not been opened yet."""
        try:
            texts = named_texts(self._read_file(self._path), "").values()
        except (KeyFilesError, OSError):
            return False
        return any(text.startswith(WRAPPED) and text.removeprefix(WRAPPED) not in self._unwrapped for text in texts)

    def _unwrapped_once(self, wrapped: str) -> bytes:
        if wrapped not in self._unwrapped:
            self._unwrapped[wrapped] = self._unwrap(wrapped)
        return self._unwrapped[wrapped]

    def _now_stamped(self) -> _Stamp | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
