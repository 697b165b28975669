"""The small things: front door, language, and where password managers look."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from flask import Blueprint, current_app, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from provider.pages import words
from provider.web import cookies, current, forms
from provider.web.cookies import LOCALE_SECONDS
from provider.web.locale import LANGUAGES, locale_cookie
from provider.web.rendering import see_other

pages = Blueprint("site", __name__)
_KEPT = ("request", "to", "with")


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
    """The page that the language form was on, and the handle of the request it is about.

    Only a path that a page of ours answers, and only the parameters that we know, so that nobody can be sent elsewhere.
    """
    try:
        parts = urlsplit(sent)
    except ValueError:  # no address at all
        return "/account", ""
    adapter = current_app.create_url_adapter(request)
    assert adapter is not None  # noqa: S101 - there is a request
    try:
        endpoint, _values = adapter.match(parts.path, method="GET")
    except HTTPException:
        return "/account", ""
    if parts.scheme or parts.netloc or "." not in endpoint or endpoint == "static":
        return "/account", ""
    query = [(name, value) for name, value in parse_qsl(parts.query) if name in _KEPT]
    handle = dict(query).get("request", "")
    path = quote(parts.path, safe="/-._~")
    return (f"{path}?{urlencode(query)}" if query else path), handle
