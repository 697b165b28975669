"""Names and addresses that were given up: for a while nobody but their former owner may take them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, delete, insert, select

from database.models import ReservedName
from database.models.columns import new_id
from database.transaction import Transaction

_TABLE = ReservedName.__table__
_FIND = select(_TABLE.c.id).where(
    _TABLE.c.kind == bindparam("of_kind"),
    _TABLE.c.name_canonical == bindparam("name"),
    _TABLE.c.user_id != bindparam("owner"),
    _TABLE.c.expires_at > bindparam("now"),
)
_LAST = select(_TABLE.c.created_at).where(_TABLE.c.user_id == bindparam("owner"), _TABLE.c.kind == bindparam("of_kind"))


class Kind(StrEnum):
    """What kind of name it was. The values are names of columns of ``users``."""

    USERNAME = "username"
    EMAIL = "email"


def reserved_key(kind: Kind, row: Mapping[str, Any]) -> str:
    """What a row of ``users``, or what it is to become, is compared by: names that look alike are one."""
    return str(row["username_skeleton" if kind is Kind.USERNAME else "email_canonical"])


def reserve(tx: Transaction, now: datetime.datetime, kind: Kind, key: str, user_id: str, *, days: int) -> None:
    """Keeps what ``user_id`` has just given up out of others' hands. ``key`` is its ``reserved_key``."""
    row = {
        "id": new_id(now),
        "user_id": user_id,
        "kind": kind.value,
        "name_canonical": key,
        "created_at": now,
        "expires_at": now + datetime.timedelta(days=days),
    }
    tx.execute(insert(ReservedName), row)


def is_reserved(tx: Transaction, now: datetime.datetime, kind: Kind, key: str, user_id: str) -> bool:
    """Whether somebody other than ``user_id`` has given this up lately."""
    known = {"of_kind": kind.value, "name": key, "owner": user_id, "now": now}
    return tx.execute(_FIND.limit(1), known).first() is not None


def last_given_up(tx: Transaction, user_id: str, kind: Kind) -> datetime.datetime | None:
    """When this user last gave up a name of this kind, as far as it is remembered."""
    statement = _LAST.order_by(_TABLE.c.created_at.desc()).limit(1)
    found: datetime.datetime | None = tx.execute(statement, {"owner": user_id, "of_kind": kind.value}).scalar()
    return found


def purge(tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
    """Deletes what anybody may take again."""
    ids = tx.execute(select(_TABLE.c.id).where(_TABLE.c.expires_at <= now).limit(limit)).scalars().all()
    if ids:
        tx.execute(delete(ReservedName).where(_TABLE.c.id.in_(ids)))
    return len(ids)
