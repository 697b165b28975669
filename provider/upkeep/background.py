"""What a server process does unasked: a thread that is asleep mostly, and does one thing again and again."""

from __future__ import annotations

import atexit
import logging
import threading

STOP_SECONDS = 6.0


class Background:
    """A failure is said once, in ``log`` as ``complaint``, until all is well again; it never ends the thread."""

    def __init__(self, name: str, log: logging.Logger, complaint: str) -> None:
        self._name = name
        self._log = log
        self._complaint = complaint
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_cut_off = False

    def turn(self) -> bool:
        """Does it once. Returns whether there is proof now that it can be done. Raises what the database raises."""
        raise NotImplementedError

    def pause(self) -> float:
        """How many seconds to sleep before the next turn."""
        raise NotImplementedError

    def start(self) -> None:
        """Takes turns from now to ``stop`` or the end of the process."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Begins nothing more, and waits a moment for what is at hand."""
        atexit.unregister(self.stop)
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.wait(self.pause()):
            try:
                if self.turn():
                    self._is_cut_off = False
            except Exception as error:  # whatever it is, it must not end the thread
                if not self._is_cut_off:
                    self._log.error("%s: %s", self._complaint, type(error).__name__)
                self._is_cut_off = True
