"""Sign-ins between password and second step: what ends them for a user whose password or account is another."""

from __future__ import annotations

import datetime

from sqlalchemy import update

from database.models import LoginAttempt
from database.transaction import Transaction

_TABLE = LoginAttempt.__table__


def end_half_done(tx: Transaction, now: datetime.datetime, user_id: str) -> None:
    """No code finishes a sign-in that this user, or somebody with the password, has begun before."""
    begun = update(LoginAttempt).where(_TABLE.c.user_id == user_id, _TABLE.c.used_at.is_(None))
    tx.execute(begun.values(used_at=now))
