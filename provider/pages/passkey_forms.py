"""What pages with a passkey have in common: what their script is told to ask, where its answer is, and what is said of it.

The script posts the form of its own page, so an answer meets the same checks and leads the same ways as every other form.
"""

from __future__ import annotations

import json
from typing import Any

from flask import g
from flask_babel import gettext as _

from provider.accounts.users import User
from provider.sign_in.passkey_challenges import Purpose
from provider.web import current, forms

FIELD = "credential"


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


def answer() -> str:
    """What the page's script has sent, empty for a form that was sent by hand."""
    return forms.secret(FIELD)


def in_browser() -> str:
    """Who alone may answer what is asked on the sign-in page."""
    return current.browser()


def in_step() -> str:
    """Who alone may answer what is asked behind a right password."""
    return f"{current.browser()}|{current.cookie('step')}"


def in_session() -> str:
    """Who alone may answer what is asked of a signed-in person."""
    return f"{current.browser()}|{current.cookie('session')}"


def wrong_passkey() -> str:
    return str(_("That passkey didn't work here. Try again, or use another way."))


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
