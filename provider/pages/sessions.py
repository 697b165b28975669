"""Devices and sessions: where the user is signed in, and ending any of it."""

from __future__ import annotations

import re

from flask import Blueprint
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.web import current, forms
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render, see_other

pages = Blueprint("sessions", __name__)
_PAGE = "/account/sessions"
_BROWSERS = (
    ("Edge", re.compile(r"\bEdg(?:e|A|iOS)?/")),
    ("Opera", re.compile(r"\bOPR/")),
    ("Samsung Internet", re.compile(r"\bSamsungBrowser/")),
    ("Whale", re.compile(r"\bWhale/")),
    ("Firefox", re.compile(r"\b(?:Firefox|FxiOS)/")),
    ("Chrome", re.compile(r"\b(?:Chrome|CriOS|HeadlessChrome)/")),
    ("Safari", re.compile(r"\bVersion/[\d.]+ .*Safari/")),
    ("curl", re.compile(r"^curl/")),
)
_SYSTEMS = (
    ("iPhone", re.compile(r"\biPhone\b")),
    ("iPad", re.compile(r"\biPad\b")),
    ("Android", re.compile(r"\bAndroid\b")),
    ("Windows", re.compile(r"\bWindows\b")),
    ("macOS", re.compile(r"\bMacintosh\b|\bMac OS X\b")),
    ("ChromeOS", re.compile(r"\bCrOS\b")),
    ("Linux", re.compile(r"\bLinux\b|\bX11\b")),
)


@pages.get(_PAGE)
@signed_in_only("sessions")
def show() -> Response:
    known = here()
    found = current.services().sessions.list(current.tx(), current.now(), known.user.id)
    ordered = sorted(found, key=lambda item: (item.id != known.session.id, -item.last_seen_at.timestamp()))
    return render(
        "sessions/list.html",
        user=known.user,
        sessions=[(item, device_name(item.user_agent or ""), item.id == known.session.id) for item in ordered],
    )


@pages.post(_PAGE)
@signed_in_only("sessions")
def end() -> Response:
    """Ends one other session, or all others. Somebody else's and an unknown one look alike: nothing happens."""
    known, sessions = here(), current.services().sessions
    if forms.text("action") == "end-others":
        sessions.end_all(current.tx(), current.origin(), known.user.id, except_id=known.session.id, reason="user")
        return see_other(_PAGE, notice="sessions-ended")
    session_id = forms.text("session", limit=64)
    if session_id and session_id != known.session.id:
        sessions.end(current.tx(), current.origin(), session_id, user_id=known.user.id, reason="user")
    return see_other(_PAGE, notice="session-ended")


def device_name(user_agent: str) -> str:
    """``Chrome on Linux`` from the header that browsers send: a hint for people, never a proof."""
    browser = next((name for name, pattern in _BROWSERS if pattern.search(user_agent)), "")
    system = next((name for name, pattern in _SYSTEMS if pattern.search(user_agent)), "")
    if browser and system:
        return str(_("%(browser)s on %(system)s", browser=browser, system=system))
    return browser or system or str(_("Unknown device"))
