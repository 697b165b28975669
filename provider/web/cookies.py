"""Our cookies: ``__Host-`` and ``Secure`` on TLS, always ``HttpOnly``, ``SameSite=Lax``, whole host, no domain."""

from __future__ import annotations

from flask import g
from werkzeug.wrappers import Response

from provider.web import current

NOTICE_SECONDS = 60
LOCALE_SECONDS = 365 * 86400
DEVICE_SECONDS = 180 * 86400
REMEMBERED_SECONDS = 30 * 86400


def set_cookie(response: Response, name: str, value: str, *, seconds: int | None = None) -> None:
    """Sets one of our cookies. Without ``seconds`` it goes when the browser is closed."""
    settings = current.settings()
    response.set_cookie(
        settings.cookie_name(name),
        value,
        max_age=seconds,
        path="/",
        secure=settings.is_https,
        httponly=True,
        samesite="Lax",
    )


def delete_cookie(response: Response, name: str) -> None:
    settings = current.settings()
    response.delete_cookie(
        settings.cookie_name(name), path="/", secure=settings.is_https, httponly=True, samesite="Lax"
    )


def forget_notice(response: Response) -> Response:
    """A page has said what it was to say."""
    if g.get("notice_is_said"):
        delete_cookie(response, "notice")
    return response


def keep_device(response: Response, device_token: str) -> None:
    """Has the browser stay known when it is closed: as one in which this user has signed in, and as one device of theirs."""
    set_cookie(response, "device", device_token, seconds=DEVICE_SECONDS)
    set_cookie(response, "browser", current.browser(), seconds=DEVICE_SECONDS)


def keep_remembered(response: Response, name: str, token: str) -> None:
    """Has the browser stay one in which no code is asked for. ``name`` is that of the user's own cookie."""
    set_cookie(response, name, token, seconds=REMEMBERED_SECONDS)


def set_browser_cookie(response: Response) -> Response:
    """Hands out the id that this request made for the browser, if it made one."""
    if "browser" in g and g.browser != current.cookie("browser"):
        set_cookie(response, "browser", g.browser)
    return response
