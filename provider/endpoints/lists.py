"""Lists of our own APIs: a piece at a time, found by a word. The cursor of a piece is good for that list alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from provider.protocol.errors import OAuthError
from provider.protocol.messages import ProtocolRequest, ProtocolResponse
from provider.protocol.text import is_plain, one_line
from provider.security.crypto import Keyring
from provider.security.cursors import Cursors, InvalidCursor

MAX_LIMIT, USUAL_LIMIT = 100, 20
MAX_WORD = 100
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request wants of a list: how many, behind which position, and with which ``word`` in it, if any."""

    context: str
    limit: int
    position: str | None
    word: str


class Lists:
    def __init__(self, keyring: Keyring) -> None:
        self._cursors = Cursors(keyring)

    def asked(self, request: ProtocolRequest, user_id: str, name: str) -> Asked:
        """What is wanted of the list ``name`` of a person. Raises ``invalid_request``."""
        wanted, cursor = request.query.get("limit") or str(USUAL_LIMIT), request.query.get("cursor")
        is_number = wanted.isascii() and wanted.isdigit() and len(wanted) <= 3
        if not is_number or not 1 <= int(wanted) <= MAX_LIMIT:
            raise OAuthError.invalid_request(f"limit is a number from 1 to {MAX_LIMIT}.")
        word = one_line(request.query.get("q") or "")
        if len(word) > MAX_WORD or not is_plain(word):
            raise OAuthError.invalid_request(f"q is one line of at most {MAX_WORD} characters.")
        context = f"{name}|{user_id}|{word}"
        try:
            position = None if cursor is None else self._cursors.position(context, cursor)
        except InvalidCursor:
            raise OAuthError.invalid_request("This cursor was not given out for this list.") from None
        return Asked(context, int(wanted), position, word)

    def newest_first(self, asked: Asked, found: Sequence[Any], view: Callable[[Any], Any]) -> ProtocolResponse:
        """A piece of what is bounded already, by its ids, which say when each was made."""
        ordered = sorted(found, key=lambda it: str(it.id), reverse=True)
        rest = [it for it in ordered if asked.position is None or it.id < asked.position]
        return self.piece(asked, rest, view, lambda it: str(it.id))

    def piece(
        self, asked: Asked, found: Sequence[Item], view: Callable[[Item], Any], position: Callable[[Item], str]
    ) -> ProtocolResponse:
        """The first of ``found``, as many as were asked for, and a cursor where there are more."""
        shown, more = found[: asked.limit], len(found) > asked.limit
        following = self._cursors.made(asked.context, position(shown[-1])) if more else None
        return ProtocolResponse.json({"items": [view(item) for item in shown], "next": following})


def last_part(request: ProtocolRequest) -> str:
    return request.path.rpartition("/")[2]
