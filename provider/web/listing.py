"""Lists that grow: one page of them at a time, found by a word, all in the address, so that it works without scripts.

The statement comes from a service; a page only asks for a part of it. Flask-SQLAlchemy reads it on the connection of the
request's transaction, and has no engine of its own (decision 29).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

from flask import Flask, request
from flask_sqlalchemy import SQLAlchemy

from database import metadata
from database.reading import Listed, ReadingSession
from provider.protocol.text import is_found, is_plain, one_line
from provider.web import current
from provider.web.addresses import OF_LISTS

Item = TypeVar("Item")
PER_PAGE = 20
MOST_PER_PAGE = 100
LAST_PAGE = 10_000
SEARCH_LENGTH = 100


db = SQLAlchemy(
    metadata=metadata,
    session_options={"class_": ReadingSession, "connect": lambda: current.tx().reading()},
    add_models_to_shell=False,
)


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page. ``number`` counts from 1; an empty list has one page. ``search`` is the word that it was found by."""

    items: list[Item]
    number: int
    pages: int
    total: int
    search: str

    @property
    def is_worth_searching(self) -> bool:
        """Whether there is more than one page, or somebody has looked for something."""
        return self.pages > 1 or self.search != ""

    def address(self, number: int) -> str:
        """Another page of the same list, found in the same way."""
        kept = [(name, request.args[name]) for name in OF_LISTS if name != "page" and request.args.get(name)]
        return f"{request.path}?{urlencode([*kept, ('page', str(number))])}"


def install(app: Flask) -> None:
    """Puts the extension into the application, without what its own ``init_app`` does first: make a second engine."""
    app.extensions["sqlalchemy"] = db
    app.teardown_appcontext(lambda _error: db.session.remove())


def search() -> str:
    """The word that the address asks for, empty for none, and for what nobody can have typed."""
    asked = one_line(request.args.get("q", "")[:SEARCH_LENGTH])
    return asked if is_plain(asked) else ""


def page_of(listed: Listed[Item]) -> Page[Item]:
    """The page of the list that the address asks for. What it can't ask for is the nearest that it can."""
    number = _number("page", 1, LAST_PAGE)
    size = _number("per_page", PER_PAGE, MOST_PER_PAGE)
    try:
        found = db.paginate(listed.statement, page=number, per_page=size, max_per_page=MOST_PER_PAGE, error_out=False)
        pages = max(1, found.pages)
        if number > pages:
            number = pages
            found = db.paginate(listed.statement, page=number, per_page=size, error_out=False)
        items = [listed.parse(entity) for entity in found.items]
    finally:
        db.session.remove()  # a later one belongs to the transaction as it is then
    return Page(items, number, pages, found.total or 0, search())


def part_of(whole: Sequence[Item], texts: Callable[[Item], Sequence[str | None]]) -> Page[Item]:
    """The same of a list that is short enough to be at hand as a whole: found by a word in one of the ``texts`` of each."""
    word = search()
    found = [item for item in whole if is_found(word, *texts(item))]
    size = _number("per_page", PER_PAGE, MOST_PER_PAGE)
    pages = max(1, -(-len(found) // size))
    number = min(_number("page", 1, LAST_PAGE), pages)
    return Page(found[(number - 1) * size : number * size], number, pages, len(found), word)


def _number(name: str, usual: int, most: int) -> int:
    text = request.args.get(name, "")
    known = text.isascii() and text.isdigit() and len(text) <= 6
    return min(max(1, int(text)), most) if known else usual
