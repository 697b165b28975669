"""What stops the wait of somebody who has lost the second factor: it is there after all, or its owner objects."""

from __future__ import annotations

from sqlalchemy import update

from database.models import SecondFactorWait
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin

_TABLE = SecondFactorWait.__table__


def end_waits(
    tx: Transaction, origin: Origin, audit: AuditRecorder, user_id: str, *, reason: str, wait_id: str | None = None
) -> bool:
    """Ends every wait of a user that runs or was asked for, or the one of an id. False when there was none."""
    mine = update(SecondFactorWait).where(
        _TABLE.c.user_id == user_id, _TABLE.c.ended_at.is_(None), _TABLE.c.expires_at > origin.now
    )
    if wait_id is not None:
        mine = mine.where(_TABLE.c.id == wait_id)
    if tx.execute(mine.values(ended_at=origin.now, end_reason=reason)).rowcount == 0:
        return False
    audit.record(
        tx,
        AuditEvent.SECOND_FACTOR_WAIT_STOPPED,
        origin,
        user_id=user_id,
        resource_type="second_factor_waits",
        resource_id=wait_id,
        reason=reason,
    )
    return True
