"""What pages with a passkey have in common: what their script is told to ask, where its answer is, and what is said of it.

The script posts the form of its own page, so an answer meets the same checks and leads the same ways as every other form.
"""

from __future__ import annotations

import json
from typing import Any

from flask import g
from flask_babel import gettext as _

from provider.accounts.users import User
from provider.pages.sessions import device_name
from provider.sign_in.assurance import together
from provider.sign_in.passkey_ceremonies import CeremonyFailed, NewPasskey
from provider.sign_in.passkey_challenges import ChallengeOver, Purpose
from provider.sign_in.passkey_enrolments import PasskeysNotOffered
from provider.sign_in.passkeys import MAX_PASSKEYS, InvalidPasskeyName, Passkey, PasskeyTaken, TooManyPasskeys
from provider.web import current, forms
from provider.web.guards import here

FIELD = "credential"
# What the script posts with a form that was filled in too slowly for its question: nobody was asked.
LATE = "late"


def to_sign_in() -> str | None:
    """For the sign-in page, None where passkeys are not offered."""
    return _told(current.services().passkey_proofs.options_to_sign_in(current.now(), in_browser()))


def as_second_factor(user: User) -> str | None:
    """For the page behind a right password, None for somebody who has no passkey."""
    return _asked_of(user, Purpose.SECOND_FACTOR, in_step())


def to_prove_again(user: User) -> str | None:
    """For the page where a signed-in person proves again who they are, None for somebody who has no passkey."""
    return _asked_of(user, Purpose.AGAIN, in_session())


def to_add(user: User) -> str | None:
    """For the page that adds one, None where passkeys are not offered."""
    enrolments = current.services().passkey_enrolments
    if not enrolments.is_offered:
        return None
    return _told(enrolments.options(current.tx(), current.now(), user, in_session()))


def to_make_account(username: str) -> str | None:
    """For a page that makes an account for whoever chooses ``username`` there, None where passkeys are not offered."""
    enrolments = current.services().passkey_enrolments
    if not enrolments.is_offered:
        return None
    return _told(enrolments.options_for_new(current.now(), username, in_session()))


def to_reset(user: User, token: str) -> str | None:
    """For the page behind a mailed link to a new password, None for somebody who has no passkey."""
    return _asked_of(user, Purpose.RESET, in_link(token))


def answer() -> str:
    """What the page's script has sent, empty for a form that was sent by hand."""
    return forms.secret(FIELD)


def add(problems: forms.Problems) -> Passkey | None:
    """Keeps the passkey that the script has sent for the person at hand, None with what was wrong in ``problems``."""
    known, enrolments = here(), current.services().passkey_enrolments
    name = forms.text("name", limit=255)
    try:
        return enrolments.add(current.tx(), current.origin(), known.user, in_session(), answer(), name)
    except InvalidPasskeyName:
        problems.add("name", wrong_name())
    except TooManyPasskeys:
        problems.add("", too_many())
    except PasskeyTaken:
        problems.add("", taken())
    except (CeremonyFailed, PasskeysNotOffered):
        problems.add("", unusable())
    except ChallengeOver:
        problems.add("", took_too_long())
    return None


def made_for_account(problems: forms.Problems) -> NewPasskey | None:
    """The passkey that the script has made for an account to be, None with what was wrong in ``problems``."""
    try:
        if answer() == LATE:
            raise ChallengeOver
        return current.services().passkey_enrolments.check_new(current.tx(), current.now(), in_session(), answer())
    except (CeremonyFailed, PasskeysNotOffered):
        problems.add("passkey", unusable())
    except ChallengeOver:
        problems.add("passkey", took_too_long())
    return None


def amr_with(added: Passkey) -> tuple[str, ...]:
    """What the session at hand has proved, now that its person has shown that this passkey is theirs."""
    return together(here().session.amr, (*added.amr, "mfa"))


def name_to_begin_with() -> str:
    """What was typed, or what this browser is called on the page of devices."""
    return forms.text("name", limit=255) or device_name(current.origin().user_agent or "")


def in_browser() -> str:
    """Who alone may answer what is asked on the sign-in page."""
    return current.browser()


def in_step() -> str:
    """Who alone may answer what is asked behind a right password."""
    return f"{current.browser()}|{current.cookie('step')}"


def in_session() -> str:
    """Who alone may answer what is asked of a signed-in person."""
    return f"{current.browser()}|{current.cookie('session')}"


def in_link(token: str) -> str:
    """Who alone may answer what is asked behind a mailed link."""
    return f"{current.browser()}|{token}"


def taken() -> str:
    return str(_("This passkey belongs to an account already."))


def unusable() -> str:
    return str(_("That didn't become a passkey that works here. Try again, or use another device."))


def wrong_passkey() -> str:
    return str(_("That passkey didn't work here. Try again, or use another way."))


def wrong_name() -> str:
    return str(_("Give the passkey a name of 1 to 64 characters."))


def too_many() -> str:
    sentence = _(
        "You have %(num)d passkeys, as many as there can be. Remove one that you don't need.", num=MAX_PASSKEYS
    )
    return str(sentence)


def took_too_long() -> str:
    return str(_("That took a little too long. Try the passkey once more."))


def _asked_of(user: User, purpose: Purpose, bound_to: str) -> str | None:
    return _told(current.services().passkey_proofs.options_for(current.tx(), current.now(), user, purpose, bound_to))


def _told(options: dict[str, Any] | None) -> str | None:
    """The page at hand gets the script along with what it is to ask."""
    if options is None:
        return None
    g.has_passkeys = True
    return json.dumps(options)
