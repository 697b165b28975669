"""The small things: front door, language, and where password managers look."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

from flask import Blueprint
from werkzeug.wrappers import Response

from provider.pages import words
from provider.web import addresses, forms, locale
from provider.web.rendering import see_other

pages = Blueprint("site", __name__)


@pages.app_context_processor
def _known_to_templates() -> dict[str, Callable[[], str]]:
    return {"notice": words.notice}


@pages.get("/")
def front_door() -> Response:
    return see_other("/account")


@pages.get("/.well-known/change-password")
def change_password() -> Response:
    return see_other("/account")


@pages.post("/language")
def choose_language() -> Response:
    """Remembers the language in the browser, and for a signed-in user in the account."""
    back, handle = _way_back(forms.text("back"))
    locale.choose(handle)
    return see_other(back)


def _way_back(sent: str) -> tuple[str, str]:
    """The page that the language form was on, and the handle of the request it is about."""
    try:
        parts = urlsplit(sent)
    except ValueError:  # no address at all
        return addresses.ACCOUNT, ""
    if parts.scheme or parts.netloc:
        return addresses.ACCOUNT, ""
    query = parse_qsl(parts.query)
    return addresses.page_at(parts.path, query), dict(query).get("request", "")
