"""Sessions of signed-in browsers: rows, found by the hash of a random cookie."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Integer, bindparam, delete, select, true, update

from database.models import User as UserRow
from database.models import UserSession
from database.models.columns import new_id
from database.prepared import Lookup, Prepared, addition
from database.transaction import Transaction
from provider.accounts.users import User, parse_user
from provider.audit import AuditEvent, AuditRecorder, printable
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring, is_secret, new_secret
from provider.sign_in.assurance import acr_of
from provider.sign_in.session_ends import SessionEnds
from provider.sign_in.wait_ends import end_waits

TOUCH_SECONDS = 60
MAX_LIVE = 50
_TABLE = UserSession.__table__
_USERS = UserRow.__table__
_FIND = Lookup(
    select(_TABLE, *(_USERS.c[name].label(f"user_{name}") for name in User.__slots__ if name != "id"))
    .join(_USERS, _USERS.c.id == _TABLE.c.user_id)
    .where(_TABLE.c.ended_at.is_(None), _USERS.c.is_active == true()),
    by=_TABLE.c.session_token,
)
_ADD = addition(
    _TABLE,
    *("id", "session_token", "user_id", "authenticated_at", "amr", "acr", "ip_address", "user_agent"),
    *("created_at", "last_seen_at", "expires_at", "device_hash"),
)
_SURPLUS = Prepared(
    select(_TABLE.c.id)
    .where(
        _TABLE.c.user_id == bindparam("user_id"),
        _TABLE.c.ended_at.is_(None),
        _TABLE.c.expires_at > bindparam("now"),
        _TABLE.c.last_seen_at > bindparam("idle_since"),
    )
    .order_by(_TABLE.c.last_seen_at.desc())
    .offset(bindparam("kept", type_=Integer))
    .limit(1000)
)
_IN_BROWSER = Prepared(
    select(_TABLE.c.id)
    .where(_TABLE.c.user_id == bindparam("user_id"), _TABLE.c.device_hash == bindparam("device_hash"))
    .limit(1)
)
_TOUCH = Prepared(update(UserSession).where(_TABLE.c.id == bindparam("row_id")).values(last_seen_at=bindparam("now")))


@dataclass(frozen=True, slots=True)
class Session:
    """``id`` is the ``sid`` of OpenID Connect; ``authenticated_at`` the last time a factor was checked.

    ``device_hash`` is the same for all sessions of a user in one browser.
    """

    id: str
    user_id: str
    authenticated_at: datetime.datetime
    amr: tuple[str, ...]
    acr: str
    ip_address: str | None
    user_agent: str | None
    created_at: datetime.datetime
    last_seen_at: datetime.datetime
    expires_at: datetime.datetime
    device_hash: str | None


class Sessions:
    """Starts, finds and ends sessions. Idle and absolute limits are checked here, never trusted from a cookie."""

    def __init__(
        self,
        keyring: Keyring,
        audit: AuditRecorder,
        ends: SessionEnds,
        *,
        idle_seconds: int,
        absolute_seconds: int,
    ) -> None:
        self._keyring = keyring
        self._audit = audit
        self._ends = ends
        self._idle = datetime.timedelta(seconds=idle_seconds)
        self._absolute = datetime.timedelta(seconds=absolute_seconds)

    def start(self, tx: Transaction, origin: Origin, user_id: str, amr: tuple[str, ...], *, browser: str = "") -> str:
        """A new session. Returns the value of its cookie. Of more than ``MAX_LIVE`` the oldest end.

        ``browser`` is the id that the browser keeps, empty when it has none.
        """
        living = {"user_id": user_id, "now": origin.now, "idle_since": origin.now - self._idle, "kept": MAX_LIVE - 1}
        for surplus in tx.rows(_SURPLUS, living):
            self.end(tx, origin, surplus["id"], user_id=user_id, reason="too_many")
        token = new_secret("session")
        session_id = new_id(origin.now)
        row = {
            "id": session_id,
            "session_token": self._hash(token),
            "user_id": user_id,
            "authenticated_at": origin.now,
            "amr": " ".join(amr),
            "acr": acr_of(amr),
            "ip_address": printable(origin.source, 45),
            "user_agent": printable(origin.user_agent, 512, ascii_only=False),
            "created_at": origin.now,
            "last_seen_at": origin.now,
            "expires_at": origin.now + self._absolute,
            "device_hash": device_hash(self._keyring, user_id, browser) if browser else None,
        }
        tx.count(_ADD, row)
        self._note_factors(tx, origin, user_id, amr)
        self._record(tx, origin, AuditEvent.SESSION_STARTED, user_id, session_id, amr=list(amr))
        return token

    def find(self, tx: Transaction, now: datetime.datetime, token: str) -> tuple[Session, User] | None:
        """The live session of a cookie with its active user, None otherwise. Notes the activity to the minute."""
        if not is_secret("session", token):
            return None
        row = tx.row(_FIND, {"session_token": self._hash(token)})
        if row is None:
            return None
        session = _parse(row)
        if session.expires_at <= now or session.last_seen_at <= now - self._idle:
            return None
        if now - session.last_seen_at >= datetime.timedelta(seconds=TOUCH_SECONDS):
            tx.note(_TOUCH, {"row_id": session.id, "now": now})
        return session, parse_user({**row, "user_id": session.user_id}, "user_")

    def knows(self, tx: Transaction, user_id: str, browser: str) -> bool:
        """Whether the user has signed in with this browser before: a session of theirs in it, ended or not, is kept."""
        here = {"user_id": user_id, "device_hash": device_hash(self._keyring, user_id, browser)}
        return bool(browser) and tx.first(_IN_BROWSER, here) is not None

    def rotate(
        self, tx: Transaction, origin: Origin, session: Session, amr: tuple[str, ...], token: str | None = None
    ) -> str:
        """A new cookie for the same session after another check of who it is. The old cookie stops working.

        ``token`` is the new cookie where it has been made already.
        """
        token = token or new_secret("session")
        tx.execute(
            update(UserSession)
            .where(_TABLE.c.id == session.id)
            .values(
                session_token=self._hash(token),
                authenticated_at=origin.now,
                last_seen_at=origin.now,
                amr=" ".join(amr),
                acr=acr_of(amr),
            )
        )
        self._note_factors(tx, origin, session.user_id, amr)
        self._record(tx, origin, AuditEvent.REAUTHENTICATED, session.user_id, session.id, amr=list(amr))
        return token

    def end(self, tx: Transaction, origin: Origin, session_id: str, *, user_id: str, reason: str) -> bool:
        """Ends one session of this user, with the grants that depend on it. False when there is no such session."""
        return self._ends.end(tx, origin, session_id, user_id=user_id, reason=reason)

    def end_by_token(self, tx: Transaction, origin: Origin, token: str, reason: str) -> bool:
        """Ends the session of a cookie, whatever its limits say."""
        statement = select(_TABLE.c.id, _TABLE.c.user_id).where(_TABLE.c.session_token == self._hash(token))
        row = tx.execute(statement).first() if is_secret("session", token) else None
        return row is not None and self.end(tx, origin, row.id, user_id=row.user_id, reason=reason)

    def end_all(
        self, tx: Transaction, origin: Origin, user_id: str, *, except_id: str | None = None, reason: str
    ) -> int:
        return self._ends.end_all(tx, origin, user_id, except_id=except_id, reason=reason)

    def list(self, tx: Transaction, now: datetime.datetime, user_id: str) -> list[Session]:
        """The live sessions of a user, the one used last first."""
        statement = (
            select(_TABLE)
            .where(
                _TABLE.c.user_id == user_id,
                _TABLE.c.ended_at.is_(None),
                _TABLE.c.expires_at > now,
                _TABLE.c.last_seen_at > now - self._idle,
            )
            .order_by(_TABLE.c.last_seen_at.desc())
        )
        return [_parse(row) for row in tx.execute(statement).mappings()]

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes sessions that were over 30 days ago."""
        over = now - datetime.timedelta(days=30)
        ids = tx.execute(select(_TABLE.c.id).where(_TABLE.c.expires_at <= over).limit(limit)).scalars().all()
        if ids:
            tx.execute(delete(UserSession).where(_TABLE.c.id.in_(ids)))
        return len(ids)

    def _note_factors(self, tx: Transaction, origin: Origin, user_id: str, amr: tuple[str, ...]) -> None:
        """Whoever has just used the second factor has not lost it."""
        if "mfa" in amr:
            end_waits(tx, origin, self._audit, user_id, reason="second_factor_used")

    def _hash(self, token: str) -> str:
        return self._keyring.keyed_hash("session", token)

    def _record(
        self, tx: Transaction, origin: Origin, event: AuditEvent, user_id: str, session_id: str, **details: Any
    ) -> None:
        self._audit.record(
            tx, event, origin, user_id=user_id, resource_type="user_sessions", resource_id=session_id, **details
        )


def device_hash(keyring: Keyring, user_id: str, browser: str) -> str:
    """What a user's browser is known by. Of two users of one browser nobody can tell."""
    return keyring.keyed_hash("device", f"{user_id}|{browser}")


def _parse(row: Mapping[Any, Any]) -> Session:
    same = (
        "id",
        "user_id",
        "authenticated_at",
        "acr",
        "ip_address",
        "user_agent",
        "created_at",
        "last_seen_at",
        "expires_at",
        "device_hash",
    )
    return Session(**{name: row[name] for name in same}, amr=tuple(row["amr"].split()))
