"""The account area: its pages in the order in which the navigation names them. A new one is one line here.

A page is named only where this server has it.
"""

from __future__ import annotations

from collections.abc import Iterable

from flask import current_app, request
from flask_babel import gettext as _
from werkzeug.exceptions import HTTPException


def navigation() -> list[tuple[str, str]]:
    """Path and name of each area."""
    return _there(
        (
            ("/account", _("Overview")),
            ("/account/profile", _("Profile")),
            ("/account/security", _("Sign-in and security")),
            ("/account/sessions", _("Devices and sessions")),
            ("/account/apps", _("Connected apps")),
            ("/account/api-keys", _("API keys")),
            ("/account/clouds", _("Cloud accounts")),
            ("/account/activity", _("Activity")),
            ("/account/preferences", _("Language, time and theme")),
            ("/account/data", _("Download my data")),
            ("/account/close", _("Close account")),
        )
    )


def security() -> list[tuple[str, str]]:
    """Path and name of each page that the area "Sign-in and security" leads to."""
    return _there(
        (
            ("/account/password", _("Password")),
            ("/account/passkeys", _("Passkeys")),
            ("/account/second-factor", _("Two-step sign-in")),
            ("/account/email", _("E-mail address")),
            ("/account/username", _("User name")),
            ("/account/lock-down", _("If somebody else was in your account")),
        )
    )


def current_area() -> str:
    """The area that the page at hand belongs to: the navigation marks it."""
    path = request.path
    if any(_is_within(path, page) for page, _name in security()):
        return "/account/security"
    found = [area for area, _name in navigation() if area != "/account" and _is_within(path, area)]
    return found[0] if found else "/account"


def is_there(path: str) -> bool:
    """Whether this server has a page at ``path``."""
    try:
        current_app.url_map.bind("localhost").match(path, method="GET")
    except HTTPException:
        return False
    return True


def _there(pages: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(path, str(name)) for path, name in pages if is_there(path)]


def _is_within(path: str, page: str) -> bool:
    return path == page or path.startswith(f"{page}/")
