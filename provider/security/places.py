"""A place among those who may work at the same time, lent to others while its holder waits for something else.

The front door gives each request a place in a lane. Who hashes a password or asks another server waits for that, not for
the lane, and must not keep others out of it meanwhile: ``lent`` stands around such waits. Without a front door (a terminal,
another WSGI server) nobody holds a place and nothing happens.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Protocol


class Place(Protocol):
    """``source`` is whose request holds it: what a share is counted by."""

    source: str

    def leave(self) -> None:
        """Lets somebody else in."""

    def enter(self) -> None:
        """Is back. Waits for nobody: whoever came in meanwhile stays."""


class _Held(threading.local):
    place: Place | None = None


_HELD = _Held()


@contextlib.contextmanager
def held(place: Place) -> Iterator[None]:
    """This thread works for ``place``."""
    _HELD.place = place
    try:
        yield
    finally:
        _HELD.place = None


@contextlib.contextmanager
def lent() -> Iterator[None]:
    """While the block waits for what is not the lane's, its place is another's."""
    place = _HELD.place
    if place is None:
        yield
        return
    _HELD.place = None  # a wait within a wait has nothing more to lend
    place.leave()
    try:
        yield
    finally:
        place.enter()
        _HELD.place = place


def source_at_work() -> str:
    """Whose request this thread works for, empty where nobody knows."""
    place = _HELD.place
    return "" if place is None else place.source
