"""Forms: proof that a post comes from our own page, reading fields, and collecting what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import TypeVar

from flask import Flask, current_app, g, request
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response

from provider.protocol.text import trimmed
from provider.security.crypto import constant_time_equal
from provider.web import current

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
FIELD = "csrf_token"
View = Callable[[], Response]
F = TypeVar("F", bound=Callable[..., Response])


class ForgedForm(Forbidden):
    """A post that did not come from a form of ours in this browser and session."""

    description = "forged form"


class CookiesMissing(ForgedForm):
    """A post from our own origin by a browser that has sent back none of our cookies, so that no token can be right."""


def csrf_token() -> str:
    """The token of every form on this page: bound to the browser, and to the session where there is one.

    It is not bound to the step between password and code: two windows that sign in share that, and both must get on.
    """
    bound_to = f"{current.browser()}|{current.cookie('session')}"
    return current.services().keyring.keyed_hash("csrf", bound_to)


def refuse_forged_form() -> None:
    """Raises ``ForgedForm`` unless an unsafe request to a page has the token and comes from our own origin.

    ``Sec-Fetch-Site`` is the browser's own statement and decides where it is sent; ``Origin`` decides otherwise. ``null``
    is what browsers say of our own form where a proxy has made the page's referrer policy stricter: it is nothing that
    speaks for a post, nor against one that the browser says is ours.
    """
    if request.blueprint is None or request.method in SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site")
    source = request.headers.get("Origin")
    is_ours = site == "same-origin" if site else source == current.settings().origin
    if not is_ours:
        raise ForgedForm
    if constant_time_equal(request.form.get(FIELD, ""), csrf_token()):
        return
    if not current.sends_cookies():
        raise CookiesMissing
    if not (current.cookie("session") and hasattr(current_app.view_functions[request.endpoint or ""], "page_instead")):
        raise ForgedForm
    g.is_out_of_date = True


def or_the_page(page: View) -> Callable[[View], View]:
    """For the forms on the way to something: while one stood open, another window may have signed in, or proved again who
    it is, and its token is out of date.

    Whoever has a session cookie then gets what a visit of ``page`` gets, which may lead on by itself. That is no more
    than a link could do: the view that acts is not called.
    """

    def decorate(act: View) -> View:
        @wraps(act)
        def act_or_show() -> Response:
            return page() if is_out_of_date() else act()

        act_or_show.page_instead = page  # type: ignore[attr-defined]
        return act_or_show

    return decorate


def is_out_of_date() -> bool:
    """Whether this is the answer to a form whose token does not hold: nothing that was typed may be acted upon."""
    return bool(g.get("is_out_of_date"))


def takes_file(most: int) -> Callable[[F], F]:
    """For the one view that a file is sent to: its body may have ``most`` bytes, at every door."""

    def mark(view: F) -> F:
        view.body_bytes = most  # type: ignore[attr-defined]
        return view

    return mark


def allow_file() -> None:
    """Has the body of this request read as far as its view says."""
    view = current_app.view_functions.get(request.endpoint or "")
    request.max_content_length = getattr(view, "body_bytes", current_app.config["MAX_CONTENT_LENGTH"])


def files_of(app: Flask) -> dict[str, int]:
    """The paths that a file is sent to, and how many bytes the body may have."""
    marked = {name: getattr(view, "body_bytes", 0) for name, view in app.view_functions.items()}
    return {rule.rule: marked[rule.endpoint] for rule in app.url_map.iter_rules() if marked.get(rule.endpoint)}


def file(name: str) -> bytes:
    """What was sent in a field for a file, empty without one. No more than the body may have."""
    sent = request.files.get(name)
    return b"" if sent is None else sent.stream.read()


def text(name: str, *, limit: int = 1024) -> str:
    """A field without what surrounds it unseen, cut to ``limit`` characters, empty when absent."""
    return trimmed(request.form.get(name, "")[:limit])


def has(name: str) -> bool:
    """Whether the form has such a field at all, empty or not."""
    return name in request.form


def secret(name: str) -> str:
    """A password exactly as it was typed. Its length is judged by ``accounts/passwords``."""
    return request.form.get(name, "")


def all_of(name: str) -> list[str]:
    """The values of a group of checkboxes."""
    return [value[:255] for value in request.form.getlist(name) if value]


@dataclass
class Problems:
    """What is wrong with a form: for each field one sentence; the field ``""`` is the form as a whole."""

    by_field: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, sentence: str) -> None:
        self.by_field.setdefault(name, sentence)

    @property
    def first(self) -> str | None:
        """The name that the page begins with: the form as a whole, or the first field that something is wrong with."""
        return "" if "" in self.by_field else next(iter(self.by_field), None)

    def __bool__(self) -> bool:
        return bool(self.by_field)

    def __contains__(self, name: str) -> bool:
        return name in self.by_field

    def __getitem__(self, name: str) -> str:
        return self.by_field[name]
