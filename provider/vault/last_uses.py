"""When credentials of a cloud account were last given, to the minute: of many at once one writes."""

from __future__ import annotations

import datetime

from sqlalchemy import update

from database.models import CloudAccount as Row
from database.transaction import Transaction
from provider.vault.account import CloudAccount

TOUCH_SECONDS = 60
_TABLE = Row.__table__


def note_use(tx: Transaction, account: CloudAccount, now: datetime.datetime) -> None:
    """Writes nothing where the account was used within the last minute, as far as it was read."""
    before = now - datetime.timedelta(seconds=TOUCH_SECONDS)
    if account.last_used_at is not None and account.last_used_at > before:
        return
    unused = _TABLE.c.last_used_at.is_(None) | (_TABLE.c.last_used_at <= before)
    tx.execute(update(Row).where(_TABLE.c.id == account.id, unused).values(last_used_at=now))
