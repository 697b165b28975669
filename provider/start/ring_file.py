"""The file of master keys, changed one key at a time: each change under a lock, at one stroke, and kept by a power cut.

One line for each key, ``id:key  # note``. The note ``next`` marks a key that is read and does not write yet.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from provider.start.key_files import read_key_file, write_key_file
from provider.start.key_texts import KeyFilesError, named_texts

NEXT = "next: reads, and does not write yet"


@dataclass(frozen=True, repr=False)
class RingFile:
    """``path`` is the file. Changes raise ``KeyFilesError``; two who change it at once do so one after the other."""

    path: Path

    def text(self) -> str:
        try:
            return read_key_file(self.path)
        except FileNotFoundError:
            raise KeyFilesError(f"{self.path} is missing") from None

    def ids(self) -> tuple[str, ...]:
        return tuple(named_texts(self.text(), str(self.path)))

    def next_id(self) -> str | None:
        """The key that was added and does not write yet, where a rotation was begun."""
        for key_id, (_, note) in self._entries(self.text()).items():
            if note.startswith("next"):
                return key_id
        return None

    def add_next(self, key_id: str, text: str, *, seen: tuple[str, ...]) -> str:
        """Adds a key that reads alone. Returns the id of the next key: another's, where somebody was quicker.

        ``seen`` are the ids that the caller has seen. Where another rotation has changed them since, its first key is told.
        """
        with self._locked():
            entries = self._entries(self.text())
            waiting = self.next_id()
            if waiting is not None or tuple(entries) != seen:
                return waiting or next(iter(entries))
            (first, value), *others = entries.items()
            self._write(dict([(first, value), (key_id, (text, NEXT)), *others]))
            return key_id

    def put_first(self, key_id: str) -> None:
        """Makes a key the one that writes."""
        with self._locked():
            entries = self._entries(self.text())
            if key_id in entries:
                text, _ = entries.pop(key_id)
                self._write({key_id: (text, ""), **entries})

    def drop(self, key_ids: set[str]) -> None:
        """Takes keys out for good: never the first one, and none that waits for its turn."""
        with self._locked():
            (first, value), *others = self._entries(self.text()).items()
            kept = {key_id: entry for key_id, entry in others if key_id not in key_ids or entry[1].startswith("next")}
            self._write({first: value, **kept})

    def _entries(self, text: str) -> dict[str, tuple[str, str]]:
        """Each key's text and note, by its id."""
        found: dict[str, tuple[str, str]] = {}
        for line in text.splitlines():
            keys, _, note = line.partition("#")
            if keys.strip(" ,"):
                found |= {
                    key_id: (encoded, note.strip()) for key_id, encoded in named_texts(keys, str(self.path)).items()
                }
        return found

    def _write(self, entries: dict[str, tuple[str, str]]) -> None:
        lines = [f"{key_id}:{text}{f'  # {note}' if note else ''}\n" for key_id, (text, note) in entries.items()]
        try:
            write_key_file(self.path, "".join(lines), replace=True)
        except OSError as error:
            raise KeyFilesError(f"{self.path} can't be written: {error.strerror}") from None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """The folder's lock, which the system gives back when a process dies. It is held for one change, never for long."""
        try:
            folder = os.open(self.path.parent, os.O_RDONLY)
        except OSError as error:
            raise KeyFilesError(f"{self.path.parent} can't be opened: {error.strerror}") from None
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)
