"""The one place where sessions end: with their grants, their record, and the notices to their applications."""

from __future__ import annotations

from sqlalchemy import select, update

from database.models import UserSession
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.deliveries.logout_notices import LogoutNotices
from provider.protocol.messages import Origin
from provider.tokens.grant_records import GrantRecords

_TABLE = UserSession.__table__


class SessionEnds:
    def __init__(self, audit: AuditRecorder, grants: GrantRecords, notices: LogoutNotices) -> None:
        self._audit = audit
        self._grants = grants
        self._notices = notices

    def end(
        self,
        tx: Transaction,
        origin: Origin,
        session_id: str,
        *,
        user_id: str,
        reason: str,
        actor: str | None = None,
    ) -> bool:
        """Ends one session of this user, with the grants that depend on it. False when there is no such session."""
        statement = (
            update(UserSession)
            .where(_TABLE.c.id == session_id, _TABLE.c.user_id == user_id, _TABLE.c.ended_at.is_(None))
            .values(ended_at=origin.now, end_reason=reason)
        )
        if tx.execute(statement).rowcount != 1:
            return False
        self._grants.revoke_for_session(tx, origin, session_id, "session_ended")
        self._notices.enqueue(tx, origin, session_id, user_id)
        self._audit.record(
            tx,
            AuditEvent.SESSION_ENDED,
            origin,
            user_id=user_id,
            actor=actor,
            resource_type="user_sessions",
            resource_id=session_id,
            reason=reason,
        )
        return True

    def end_all(
        self,
        tx: Transaction,
        origin: Origin,
        user_id: str,
        *,
        except_id: str | None = None,
        reason: str,
        actor: str | None = None,
    ) -> int:
        """Ends the sessions of a user, all or all but one. Returns how many."""
        statement = select(_TABLE.c.id).where(_TABLE.c.user_id == user_id, _TABLE.c.ended_at.is_(None))
        ids = [row for row in tx.execute(statement).scalars().all() if row != except_id]
        return sum(self.end(tx, origin, it, user_id=user_id, reason=reason, actor=actor) for it in ids)
