"""What a person, or somebody in their name, has begun and not finished: it does not outlive a password or an account."""

from __future__ import annotations

import datetime

from sqlalchemy import update

from database.models import EmailVerificationToken, LoginAttempt, PasswordResetToken
from database.transaction import Transaction

_SIGN_INS = LoginAttempt.__table__
_RESETS = PasswordResetToken.__table__
_ADDRESSES = EmailVerificationToken.__table__


def end_half_done(tx: Transaction, now: datetime.datetime, user_id: str) -> None:
    """Ends sign-ins between password and second step, and mailed links to another password or address."""
    begun = update(LoginAttempt).where(_SIGN_INS.c.user_id == user_id, _SIGN_INS.c.used_at.is_(None))
    tx.execute(begun.values(used_at=now))
    mailed = update(PasswordResetToken).where(_RESETS.c.user_id == user_id, _RESETS.c.used_at.is_(None))
    tx.execute(mailed.values(used_at=now))
    asked = update(EmailVerificationToken).where(_ADDRESSES.c.user_id == user_id, _ADDRESSES.c.verified_at.is_(None))
    tx.execute(asked.values(verified_at=now))
