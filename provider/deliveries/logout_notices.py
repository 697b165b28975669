"""The outbox of back-channel logout: what applications are still to be told of sessions that are over.

A notice is written in the transaction that ends the session, and sent later by ``logout_delivery``: none is lost with a
process, and none is sent for a session that did not end.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import bindparam, func, insert, literal, select

from database.models import Client as ClientRow
from database.models import GrantRecord
from database.models import LogoutNotice as NoticeRow
from database.models.columns import new_id
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.deliveries.outbox import Outbox, Outcome
from provider.protocol.client import ClientDetails
from provider.protocol.messages import Origin
from provider.protocol.scopes import OPENID
from provider.tokens.subjects import Subjects

# How long after each failed attempt the next one follows. After the last of them a notice is given up.
RETRY_SECONDS = (5, 30, 120, 600, 3600)
# Longer than an attempt takes: who has claimed a notice and died leaves it to the others after this time.
LEASE_SECONDS = 30
KEPT_DAYS = 7
_TABLE = NoticeRow.__table__
_CLIENTS = ClientRow.__table__
_GRANTS = GrantRecord.__table__
_IN_SESSION = select(_GRANTS.c.client_id).where(
    _GRANTS.c.session_id == bindparam("session_id"),
    func.instr(literal(" ") + _GRANTS.c.scope + " ", f" {OPENID} ") > 0,  # LIKE takes no notice of case on SQLite
)
_PARTIES = (
    select(_CLIENTS.c.id, _CLIENTS.c.client_id, _CLIENTS.c.redirect_uris, _CLIENTS.c.metadata)
    .where(
        _CLIENTS.c.id.in_(_IN_SESSION),
        _CLIENTS.c.is_active,
        _CLIENTS.c.revoked_at.is_(None),
        _CLIENTS.c.expires_at.is_(None) | (_CLIENTS.c.expires_at > bindparam("now")),
    )
    .order_by(_CLIENTS.c.id)
)


@dataclass(frozen=True, slots=True)
class Party:
    """An application that got an ID token of a session, or could have. ``row_id`` is ``oauth_clients.id``."""

    row_id: str
    client_id: str
    redirect_uris: tuple[str, ...]
    details: ClientDetails


@dataclass(frozen=True, slots=True)
class Notice:
    """A claimed notice. ``attempts`` counts this one too."""

    id: str
    client_row_id: str
    uri: str
    subject: str
    session_id: str | None
    attempts: int


class LogoutNotices:
    def __init__(self, audit: AuditRecorder, subjects: Subjects) -> None:
        self._audit = audit
        self._subjects = subjects
        self._outbox = Outbox(NoticeRow, retry_seconds=RETRY_SECONDS, lease_seconds=LEASE_SECONDS, kept_days=KEPT_DAYS)
        self.listen = self._outbox.listen

    def parties(self, tx: Transaction, now: datetime.datetime, session_id: str) -> list[Party]:
        """The usable clients that were ever granted ``openid`` in a session, whether or not the grant still counts."""
        return [
            Party(row["id"], row["client_id"], tuple(row["redirect_uris"]), ClientDetails.from_dict(row["metadata"]))
            for row in tx.execute(_PARTIES, {"session_id": session_id, "now": now}).mappings()
        ]

    def enqueue(self, tx: Transaction, origin: Origin, session_id: str, user_id: str) -> int:
        """Writes a notice for each client of a session that ends that wants one. To be called once for a session."""
        rows = [
            {
                "id": new_id(origin.now),
                "client_id": party.row_id,
                "uri": party.details.backchannel_logout_uri,
                "subject": self._subjects.of(party, user_id),
                "session_id": session_id,
                "attempts": 0,
                "created_at": origin.now,
                "next_attempt_at": origin.now,
            }
            for party in self.parties(tx, origin.now, session_id)
            if party.details.backchannel_logout_uri is not None
        ]
        if rows:
            tx.execute(insert(NoticeRow), rows)
            self._outbox.wrote(tx)
        return len(rows)

    def claim(
        self,
        tx: Transaction,
        now: datetime.datetime,
        limit: int,
        *,
        is_vouched: bool,
        except_clients: Collection[str] = (),
    ) -> list[Notice]:
        """Takes due notices, one of each client, for as long as an attempt may last. No two callers get the same one.

        Those of clients that somebody vouches for, or those of the others.
        """
        due = (
            select(func.min(_TABLE.c.id))
            .join(_CLIENTS, _CLIENTS.c.id == _TABLE.c.client_id)
            .where(
                _TABLE.c.next_attempt_at <= now,
                _TABLE.c.client_id.not_in(except_clients),
                _CLIENTS.c.is_vouched == is_vouched,
            )
            .group_by(_TABLE.c.client_id)
            .order_by(func.min(_TABLE.c.next_attempt_at))
            .limit(limit)
        )
        names = ("id", "uri", "subject", "session_id", "attempts")
        return [
            Notice(**{name: row[name] for name in names}, client_row_id=row["client_id"])
            for row in self._outbox.take(tx, now, tx.execute(due).scalars().all())
        ]

    def delivered(self, tx: Transaction, now: datetime.datetime, notice: Notice) -> None:
        self._outbox.delivered(tx, now, notice.id)

    def failed(
        self, tx: Transaction, now: datetime.datetime, notice: Notice, problem: str, *, for_good: bool = False
    ) -> bool:
        """Notes a failed attempt, and when the next one is due. True when there will be none, which is recorded."""
        if not self._outbox.failed(tx, now, notice, Outcome(problem, is_final=for_good)):
            return False
        client_id = select(_CLIENTS.c.client_id).where(_CLIENTS.c.id == notice.client_row_id)
        self._audit.record(
            tx,
            AuditEvent.LOGOUT_NOTICE_FAILED,
            Origin.of_server(now),
            outcome="failed",
            resource_type="oauth_clients",
            resource_id=tx.execute(client_id).scalar(),
            session=notice.session_id,
            attempts=notice.attempts,
            problem=problem,
        )
        return True

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes notices that were delivered or given up, a week after they were written."""
        return self._outbox.purge(tx, now, limit)
