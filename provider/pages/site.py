"""The small things: front door, language, and where password managers look."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from flask import Blueprint
from werkzeug.wrappers import Response

from provider.pages import words
from provider.web import addresses, cookies, current, forms
from provider.web.cookies import LOCALE_SECONDS
from provider.web.locale import LANGUAGES, locale_cookie
from provider.web.rendering import see_other

pages = Blueprint("site", __name__)


@pages.app_context_processor
def _known_to_templates() -> dict[str, str]:
    return {"notice": words.notice()}


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
    response = see_other(back)
    chosen = forms.text("language")
    if chosen in LANGUAGES:
        cookies.set_cookie(response, "locale", locale_cookie(chosen, handle), seconds=LOCALE_SECONDS)
        known = current.signed_in()
        if known is not None:
            current.services().users.set_locale(current.tx(), current.now(), known.user.id, chosen)
    return response


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
