"""The small things: front door and language."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

from flask import Blueprint, jsonify
from werkzeug.wrappers import Response

from provider.pages import areas, words
from provider.sign_in.second_factor_waits import Wait
from provider.web import addresses, current, error_pages, forms, locale
from provider.web.rendering import see_other

pages = Blueprint("site", __name__)


def _second_factor_wait() -> Wait | None:
    """The wait of the signed-in person that they can stop still."""
    known = current.signed_in()
    if known is None:
        return None
    return current.services().second_factor_waits.running(current.tx(), current.now(), known.user.id)


@pages.app_context_processor
def _known_to_templates() -> dict[str, Callable[[], object]]:
    return {
        "notice": words.notice,
        "second_factor_wait": _second_factor_wait,
        "navigation": areas.navigation,
        "current_area": areas.current_area,
    }


@pages.get("/")
def front_door() -> Response:
    return see_other("/account")


@pages.get("/.well-known/passkey-endpoints")
def passkey_endpoints() -> Response:
    """Where password managers lead people to add a passkey and to see the ones they have (W3C, Passkey Endpoints)."""
    if not current.services().passkey_enrolments.is_offered:
        return error_pages.show(404)
    page = f"{current.settings().origin}/account/passkeys"
    return jsonify({"enroll": page, "manage": page})


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
