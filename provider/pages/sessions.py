"""Devices and sessions: where the user is signed in, and ending any of it."""

from __future__ import annotations

import re

from flask import Blueprint
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.sign_in.devices import Device, devices_of
from provider.sign_in.sessions import Session
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
    ordered = sorted(_devices(), key=lambda device: not device.holds(known.session.id))
    return render(
        "sessions/list.html",
        user=known.user,
        devices=[_shown(device, known.session) for device in ordered],
    )


@pages.post(_PAGE)
@signed_in_only("sessions")
def end() -> Response:
    """Ends all sessions of another device, or all others. Somebody else's and an unknown one look alike: nothing happens."""
    known, sessions = here(), current.services().sessions
    if forms.text("action") == "end-others":
        sessions.end_all(current.tx(), current.origin(), known.user.id, except_id=known.session.id, reason="user")
        return see_other(_PAGE, notice="sessions-ended")
    session_id = forms.text("session", limit=64)
    for device in _devices():
        if device.holds(session_id) and not device.holds(known.session.id):
            for session in device.sessions:
                sessions.end(current.tx(), current.origin(), session.id, user_id=known.user.id, reason="user")
    return see_other(_PAGE, notice="session-ended")


def _devices() -> list[Device]:
    """The user's devices, the one used last first."""
    return devices_of(current.services().sessions.list(current.tx(), current.now(), here().user.id))


def _shown(device: Device, present: Session) -> tuple[Session, str, bool]:
    """The session that stands for a device, its name, and whether it is the one at hand."""
    is_here = device.holds(present.id)
    session = present if is_here else device.sessions[0]
    return session, device_name(session.user_agent or ""), is_here


def device_name(user_agent: str) -> str:
    """``Chrome on Linux`` from the header that browsers send: a hint for people, never a proof."""
    browser = next((name for name, pattern in _BROWSERS if pattern.search(user_agent)), "")
    system = next((name for name, pattern in _SYSTEMS if pattern.search(user_agent)), "")
    if browser and system:
        return str(_("%(browser)s on %(system)s", browser=browser, system=system))
    return browser or system or str(_("Unknown device"))
