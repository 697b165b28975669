"""The account's overview: what is missing first, what is set up, and the three things to do next, with text to paste."""

from __future__ import annotations

from flask import Blueprint
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from provider.accounts.users import User
from provider.pages import areas
from provider.sign_in.devices import devices_of
from provider.sign_in.second_factors import has_second_factor
from provider.web import current
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render
from provider.web.second_factor_state import second_factor_state
from provider.web.times import day

pages = Blueprint("account", __name__)
FEW_CODES = 3
_CONFIRM, _SECOND_FACTOR = "/account/email", "/account/second-factor"


@pages.get("/account")
@signed_in_only("account")
def show() -> Response:
    known, services, tx, now = here(), current.services(), current.tx(), current.now()
    user = known.user
    two_steps = has_second_factor(tx, user)
    keys = [key for key in services.api_keys.list(tx, user.id) if key.is_usable(now)]
    codes_left = services.recovery_codes.count(tx, user.id) if two_steps else 0
    profile = services.profiles.get(tx, user.id)
    return render(
        "account/overview.html",
        user=user,
        two_steps=two_steps,
        passkey_count=services.passkeys.count(tx, user.id),
        missing=_missing(user, codes_left, two_steps=two_steps),
        codes_left=codes_left,
        picture=profile.picture,
        said_count=sum(value is not None for value in (user.display_name, *profile.fields.values())),
        device_count=len(devices_of(services.sessions.list(tx, now, user.id))),
        key_count=len(keys),
        closed=services.consecutive_failures.closed(tx, user.id),
        app_count=len(services.consents.list(tx, user.id)),
        clouds=services.cloud_accounts.list(tx, user.id),
        issuer=current.settings().issuer,
    )


def _missing(user: User, codes_left: int, *, two_steps: bool) -> list[tuple[str, str]]:
    """What an account lacks, the most urgent first: a sentence, and the page that mends it, empty without one."""
    state, found = second_factor_state(), []
    if not user.is_verified:
        found.append((_("Your e-mail address is not confirmed."), _CONFIRM))
    if state.due is not None:
        found.append(
            (_("From %(day)s on, nothing opens without two-step sign-in.", day=day(state.due)), _SECOND_FACTOR)
        )
    elif not two_steps:
        found.append((_("Two-step sign-in is off: your password is all that protects this account."), _SECOND_FACTOR))
    elif not codes_left:
        found.append((_("You have no recovery codes: without your phone nobody could let you in."), _SECOND_FACTOR))
    elif codes_left <= FEW_CODES:
        sentence = ngettext("You have %(num)d recovery code left.", "You have %(num)d recovery codes left.", codes_left)
        found.append((sentence, _SECOND_FACTOR))
    elif state.has_unproved_codes:
        found.append(
            (
                _(
                    "You have not yet typed back one of your recovery codes, so they may not have been saved. Make new "
                    "ones, and save them."
                ),
                _SECOND_FACTOR,
            )
        )
    return [(str(sentence), path if areas.is_there(path) else "") for sentence, path in found]
