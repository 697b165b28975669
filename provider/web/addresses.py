"""The address of the page at hand, as it is given out again: its path, and of its query only what pages know."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, urlencode

from flask import current_app, request
from werkzeug.exceptions import HTTPException

ACCOUNT = "/account"
# Where a finished page leads, how it is shown, and what an application that asks for a sign-out sent along.
KEPT = ("request", "to", "with", "switch", "post_logout_redirect_uri", "state", "proof")
# What part of a list is shown: it gets lost without harm.
OF_LISTS = ("q", "kind", "page", "per_page")


def this_page() -> str:
    """The page at hand, to be opened again. The account where its path answers forms alone."""
    return page_at(request.path, request.args.items(multi=True))


def leads_on() -> bool:
    """Whether the page at hand stands between something and its end: what it is asked for must not get lost."""
    return any(name in request.args for name in KEPT)


def page_at(path: str, query: Iterable[tuple[str, str]]) -> str:
    """``path`` if it is a page of ours, with the known parameters of ``query``, so that nobody can be sent elsewhere."""
    try:
        # Flask's own adapter needs a Host that is one, and an error page may have to do without.
        endpoint, _values = current_app.url_map.bind("localhost").match(path, method="GET")
    except HTTPException:
        return ACCOUNT
    if "." not in endpoint or endpoint == "static":
        return ACCOUNT
    kept = [(name, value) for name, value in query if name in (*KEPT, *OF_LISTS)]
    plain = quote(path, safe="/-._~")
    return f"{plain}?{urlencode(kept)}" if kept else plain
