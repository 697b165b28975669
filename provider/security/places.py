"""A place among those who may work at the same time, lent to others while its holder waits for something else.

The front door gives each request a place in a lane. Who hashes a password or asks another server waits for that, not for
the lane, and must not keep others out of it meanwhile: ``lent`` stands around such waits. Without a front door (a terminal,
another WSGI server) nobody holds a place and nothing happens.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Protocol


class Place(Protocol):
    """``source`` is whose request holds it: what a share is counted by."""

    source: str

    def leave(self) -> None:
        """Lets somebody else in."""

    def enter(self) -> None:
        """Is back. Waits for nobody: whoever came in meanwhile stays."""


# Of this thread, or of this work where several take turns in a thread (``database.joint_works``).
_HELD: ContextVar[Place | None] = ContextVar("held", default=None)


@contextlib.contextmanager
def held(place: Place) -> Iterator[None]:
    """What is done in the block is done for ``place``."""
    before = _HELD.set(place)
    try:
        yield
    finally:
        _HELD.reset(before)


@contextlib.contextmanager
def lent() -> Iterator[None]:
    """While the block waits for what is not the lane's, its place is another's."""
    place = _HELD.get()
    if place is None:
        yield
        return
    lent_by = _HELD.set(None)  # a wait within a wait has nothing more to lend
    place.leave()
    try:
        yield
    finally:
        place.enter()
        _HELD.reset(lent_by)


def source_at_work() -> str:
    """Whose request is worked for here, empty where nobody knows."""
    place = _HELD.get()
    return "" if place is None else place.source
