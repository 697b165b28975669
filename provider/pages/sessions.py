"""Devices: where the user is signed in and where no code is asked for, and ending any of it."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.protocol.user_agents import browser_and_system
from provider.sign_in.devices import Device, devices_of
from provider.sign_in.sessions import Session
from provider.web import current, forms, listing
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render, see_other

pages = Blueprint("sessions", __name__)
_PAGE = "/account/sessions"


@pages.get(_PAGE)
@signed_in_only("sessions")
def show() -> Response:
    known = here()
    ordered = sorted(_devices(), key=lambda device: not device.holds(known.session.id))
    page = listing.part_of([_shown(device, known.session) for device in ordered], _texts)
    return render(
        "sessions/list.html",
        user=known.user,
        page=page,
        are_others=any(not device.holds(known.session.id) for device in ordered),
    )


@pages.post(_PAGE)
@signed_in_only("sessions")
def end() -> Response:
    """Signs out and forgets another device, or all others; on this one, asks for a code again.

    Somebody else's device and an unknown one look alike: nothing happens. What is remembered goes first, so that whoever
    signs in with it at this moment is among the sessions that end.
    """
    known, services, tx, origin = here(), current.services(), current.tx(), current.origin()
    user_id, present = known.user.id, known.session
    if forms.text("action") == "end-others":
        services.remembered_devices.forget_all(tx, origin, user_id, "user", except_device=present.device_hash)
        services.sessions.end_all(tx, origin, user_id, except_id=present.id, reason="user")
        return see_other(_PAGE, notice="sessions-ended")
    name = forms.text("session", limit=64)
    meant = next((device for device in _devices() if device.is_called(name)), None)
    if meant is not None and meant.remembered is not None:
        services.remembered_devices.forget(tx, origin, user_id, meant.remembered.device_hash)
    for device in _devices():
        if device.holds(name) and not device.holds(present.id):
            for session in device.sessions:
                services.sessions.end(tx, origin, session.id, user_id=user_id, reason="user")
    only_forgotten = meant is not None and (meant.holds(present.id) or not meant.sessions)
    return see_other(_PAGE, notice="device-forgotten" if only_forgotten else "session-ended")


def _devices() -> list[Device]:
    """The user's devices, the one used last first."""
    services, tx, now, user_id = current.services(), current.tx(), current.now(), here().user.id
    return devices_of(services.sessions.list(tx, now, user_id), services.remembered_devices.list(tx, now, user_id))


@dataclass(frozen=True, slots=True)
class _Shown:
    """A device, the session that stands for it, its name, and whether it is the one at hand."""

    device: Device
    session: Session | None
    name: str
    is_here: bool


def _shown(device: Device, present: Session) -> _Shown:
    is_here = device.holds(present.id)
    session = present if is_here else next(iter(device.sessions), None)
    name = device_name(device.user_agent if session is None else session.user_agent or "")
    return _Shown(device, session, name, is_here)


def _texts(shown: _Shown) -> tuple[str | None, ...]:
    return shown.name, shown.session.ip_address if shown.session is not None else None


def device_name(user_agent: str) -> str:
    """``Chrome on Linux`` from the header that browsers send: a hint for people, never a proof."""
    browser, system = browser_and_system(user_agent)
    if browser and system:
        return str(_("%(browser)s on %(system)s", browser=browser, system=system))
    return browser or system or str(_("Unknown device"))
