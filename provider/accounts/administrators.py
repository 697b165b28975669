"""Administrators are a group like others. ``users.is_admin`` follows it, for statements that look at nothing else."""

from __future__ import annotations

import contextlib
import datetime

from sqlalchemy import insert, select, true, update
from sqlalchemy.exc import IntegrityError

from database.models import GroupMember, UserGroup
from database.models import User as UserRow
from database.transaction import Transaction

GROUP_ID = "00000000-0000-7000-8000-000000000001"  # as the migration has it
NAME = "administrators"
DESCRIPTION = "May administer this server"
_USERS = UserRow.__table__
_GROUPS = UserGroup.__table__


class LastAdministrator(Exception):
    """The last active administrator can neither be disabled nor leave the group."""


def active_administrators(tx: Transaction) -> set[str]:
    """Their ids. Nobody else can change them until the transaction ends: two can't disable each other at once."""
    which = (_USERS.c.is_admin == true(), _USERS.c.is_active == true())
    tx.execute(update(UserRow).where(*which).values(is_admin=true()))
    return set(tx.execute(select(_USERS.c.id).where(*which)).scalars())


def enter_first_time(tx: Transaction, now: datetime.datetime, user_id: str) -> None:
    """Puts somebody who is made as an administrator into the group, which the first one makes."""
    if tx.execute(select(_GROUPS.c.id).where(_GROUPS.c.id == GROUP_ID)).first() is None:
        made = {"name": NAME, "name_canonical": NAME, "description": DESCRIPTION, "created_at": now, "updated_at": now}
        with contextlib.suppress(IntegrityError):  # another first administrator has made it in between
            tx.execute(insert(UserGroup), {"id": GROUP_ID, **made})
    tx.execute(insert(GroupMember), {"group_id": GROUP_ID, "user_id": user_id, "added_at": now})
