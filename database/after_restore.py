"""After a restore: what was taken back since the backup must not come alive again."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from sqlalchemy import Engine, delete, func, insert, inspect, select, update

from database.ledger import MigrationError, read_ledger
from database.models import (
    AuditRecord,
    AuthorizationRequest,
    Client,
    EmailVerificationToken,
    GrantRecord,
    Invitation,
    IssuedToken,
    LoginAttempt,
    PasswordResetToken,
    RememberedDevice,
    SetupLink,
    User,
    UserSession,
)
from database.models.columns import new_id
from database.sql_files import SqlFile, created_table

REASON = "database_restored"
PENDING = (AuthorizationRequest, LoginAttempt, PasswordResetToken, EmailVerificationToken, Invitation, SetupLink)


def check_is_restored(engine: Engine, files: Sequence[SqlFile]) -> None:
    """Raises ``MigrationError`` where a backup was empty or cut off: its ledger, or a table that this tells of, is missing.

    Such a backup restores without a word of complaint. It has to be noticed before empty tables are made in its place.
    """
    with engine.connect() as connection:
        done = read_ledger(connection)
        if not done:
            raise MigrationError("nothing was restored into this database: it has no record of applied files")
        there = set(inspect(connection).get_table_names())
    made = [created_table(statement) for file in files if file.name in done for statement in file.statements]
    missing = sorted(table[0] for table in made if table is not None and table[0] not in there)
    if missing:
        raise MigrationError(f"the backup was not restored completely, these tables are missing: {', '.join(missing)}")


def end_what_was_issued(engine: Engine, now: datetime.datetime) -> dict[str, int]:
    """Ends every session, grant, token, remembered device and pending step in one transaction, and says how many of each.

    Codes and refresh tokens end with their grants. Passwords, second factors, disabled accounts, API keys and client
    secrets are as they were at the backup: nobody but the log of audit events can tell what has changed since. What
    of that can be used now is counted as ``active users`` and ``active clients and API keys``.
    """
    counts: dict[str, int] = {}
    with engine.begin() as connection:
        end_session = {"ended_at": now, "end_reason": REASON}
        revoke_grant = {"revoked_at": now, "revoke_reason": REASON}
        for name, statement in (
            ("sessions", update(UserSession).where(UserSession.ended_at.is_(None)).values(end_session)),
            ("grants", update(GrantRecord).where(GrantRecord.revoked_at.is_(None)).values(revoke_grant)),
            ("tokens", update(IssuedToken).where(IssuedToken.revoked_at.is_(None)).values(revoked_at=now)),
        ):
            counts[name] = connection.execute(statement).rowcount
        counts["remembered devices"] = connection.execute(delete(RememberedDevice)).rowcount
        counts["pending steps"] = sum(connection.execute(delete(table)).rowcount for table in PENDING)
        usable = select(func.count()).select_from(Client).where(Client.is_active, Client.revoked_at.is_(None))
        record = {
            "id": new_id(now),
            "actor": "init_db.py",
            "action": "database.restored",
            "outcome": "ok",
            "details": dict(counts),
            "created_at": now,
        }
        connection.execute(insert(AuditRecord), record)
        counts["active users"] = connection.execute(select(func.count()).where(User.is_active)).scalar_one()
        counts["active clients and API keys"] = connection.execute(usable).scalar_one()
    return counts
