"""The account's overview: what is set up, and the three things to do next, with text to paste."""

from __future__ import annotations

from flask import Blueprint
from werkzeug.wrappers import Response

from provider.sign_in.devices import devices_of
from provider.sign_in.second_factors import has_second_factor
from provider.web import current
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render

pages = Blueprint("account", __name__)


@pages.get("/account")
@signed_in_only("account")
def show() -> Response:
    known, services, tx, now = here(), current.services(), current.tx(), current.now()
    user = known.user
    two_steps = has_second_factor(tx, user)
    keys = [key for key in services.api_keys.list(tx, user.id) if key.is_usable(now)]
    return render(
        "account/overview.html",
        user=user,
        two_steps=two_steps,
        passkey_count=services.passkeys.count(tx, user.id),
        codes_left=services.recovery_codes.count(tx, user.id) if two_steps else 0,
        device_count=len(devices_of(services.sessions.list(tx, now, user.id))),
        key_count=len(keys),
        closed=services.consecutive_failures.closed(tx, user.id),
        app_count=len(services.consents.list(tx, user.id)),
        issuer=current.settings().issuer,
    )
