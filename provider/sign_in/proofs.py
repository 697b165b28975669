"""The ways in which a signed-in person can prove again who they are, and what counts as a recent proof."""

from __future__ import annotations

import datetime
from enum import StrEnum

from database.transaction import Transaction
from provider.accounts.users import User
from provider.sign_in import assurance
from provider.sign_in.second_factors import has_passkey, has_second_factor
from provider.sign_in.sessions import Session


class Proof(StrEnum):
    """What can be asked for, the best one first."""

    PASSKEY = "passkey"
    CODE = "code"
    PASSWORD = "password"  # noqa: S105 - the name of a way


def proofs_of(tx: Transaction, user: User) -> tuple[Proof, ...]:
    """What ``user`` can prove themselves by, in the order in which it is offered.

    The password is there for those who have nothing better: it never stands for a second factor. Recovery codes, which
    are codes too, stand in for a passkey as well.
    """
    if has_passkey(tx, user):
        return (Proof.PASSKEY, Proof.CODE)
    return (Proof.CODE,) if user.two_factor_enabled else (Proof.PASSWORD,)


def reachable_levels(tx: Transaction, user: User) -> frozenset[str]:
    """The levels that this person can get to with what they have set up."""
    found = {assurance.PASSWORD}
    if has_second_factor(tx, user):
        found.add(assurance.TWO_FACTOR)
    if has_passkey(tx, user):
        found.add(assurance.PHISHING_RESISTANT)
    return frozenset(found)


def is_recent(tx: Transaction, session: Session, user: User, now: datetime.datetime, seconds: int) -> bool:
    """Whether the person at hand has proved who they are within ``seconds``, by a second factor where they have one."""
    if now - session.authenticated_at > datetime.timedelta(seconds=seconds):
        return False
    return assurance.reaches(session.acr, assurance.TWO_FACTOR) or not has_second_factor(tx, user)
