"""Groups of people: made, filled and ended by operators, read by whatever is decided by them."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from database.models import Client as ClientRow
from database.models import GroupMember, Resource, UserGroup
from database.models import User as UserRow
from database.models.columns import new_id
from database.prepared import Lookup
from database.transaction import Transaction
from provider.accounts.administrators import GROUP_ID, NAME, LastAdministrator, active_administrators
from provider.accounts.users import User, parse_user
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.groups import (
    MAX_CLAIM_BYTES,
    NOBODY,
    Membership,
    canonical_group_name,
    claim_bytes,
    written_group_name,
)
from provider.protocol.messages import Origin
from provider.protocol.text import is_name, one_line

MAX_GROUPS = 1000
MAX_DESCRIPTION = 255
_GROUPS = UserGroup.__table__
_MEMBERS = GroupMember.__table__
_USERS = UserRow.__table__
_CLIENTS = ClientRow.__table__
_RESOURCES = Resource.__table__
# One question, so that the count and the groups are of one moment. Somebody in no group is one row without a group.
_OF_PERSON = Lookup(
    select(_USERS.c.id, _USERS.c.groups_version, _USERS.c.is_admin, _MEMBERS.c.group_id, _GROUPS.c.name).select_from(
        _USERS.outerjoin(_MEMBERS, _MEMBERS.c.user_id == _USERS.c.id).outerjoin(
            _GROUPS, _GROUPS.c.id == _MEMBERS.c.group_id
        )
    ),
    by=_USERS.c.id,
)
_COUNT = select(func.count()).where(_MEMBERS.c.group_id == _GROUPS.c.id).scalar_subquery()


class GroupExists(ValueError):
    """There is a group of this name, or of one that is compared as the same. Its text is the known name."""


class GroupGone(LookupError):
    """Somebody has deleted the group in between."""


class GroupInUse(ValueError):
    """Something is reserved for the group, which would be open to nobody without it. Its text says what."""


class TooManyGroups(ValueError):
    """There are as many groups as there may be, or the names of a person's groups would not fit into a token."""


@dataclass(frozen=True, slots=True)
class Group:
    """``name`` is what tokens say. ``members`` is how many there are."""

    id: str
    name: str
    description: str | None
    created_at: datetime.datetime
    members: int

    @property
    def is_built_in(self) -> bool:
        return self.id == GROUP_ID


class Groups:
    """Changes take the group's row first and then the person's, so that no two of them wait for each other."""

    def __init__(self, audit: AuditRecorder) -> None:
        self._audit = audit

    def membership(self, tx: Transaction, user_id: str) -> Membership:
        """The groups that somebody is in now. Nobody's are none."""
        rows = tx.rows(_OF_PERSON, {"id": user_id})
        if not rows:
            return NOBODY
        groups = [row for row in rows if row["group_id"] is not None]
        return Membership(
            version=rows[0]["groups_version"],
            is_admin=rows[0]["is_admin"],
            ids=frozenset(row["group_id"] for row in groups),
            names=tuple(sorted(row["name"] for row in groups)),
        )

    def create(
        self, tx: Transaction, origin: Origin, *, name: str, description: str = "", actor: str | None = None
    ) -> Group:
        """Makes an empty group. Raises ``InvalidGroupName``, ``GroupExists``, ``TooManyGroups``, ``ValueError``."""
        canonical, said = canonical_group_name(name), one_line(description)
        if said and not is_name(said, MAX_DESCRIPTION):
            raise ValueError(f"a group is described in at most {MAX_DESCRIPTION} printable characters")
        known = self.find(tx, name)
        if known is not None or canonical == NAME:
            raise GroupExists(NAME if known is None else known.name)
        if tx.execute(select(func.count()).select_from(_GROUPS)).scalar_one() >= MAX_GROUPS:
            raise TooManyGroups(f"there are {MAX_GROUPS} groups already, as many as there can be")
        row = {
            "id": new_id(origin.now),
            "name": written_group_name(name),
            "name_canonical": canonical,
            "description": said or None,
            "created_at": origin.now,
            "updated_at": origin.now,
        }
        try:
            tx.execute(insert(UserGroup), row)
        except IntegrityError:
            raise GroupExists(name) from None
        made = _parse({**row, "members": 0})
        self._record(tx, origin, AuditEvent.GROUP_CREATED, made, actor)
        return made

    def find(self, tx: Transaction, name: str) -> Group | None:
        """The group of a name, however it is written, or of an id."""
        try:
            canonical = canonical_group_name(name)
        except ValueError:
            return None
        which = (_GROUPS.c.name_canonical == canonical) | (_GROUPS.c.id == name)
        row = tx.execute(select(_GROUPS, _COUNT.label("members")).where(which)).mappings().first()
        return None if row is None else _parse(row)

    def list(self, tx: Transaction) -> list[Group]:
        statement = select(_GROUPS, _COUNT.label("members")).order_by(_GROUPS.c.name_canonical)
        return [_parse(row) for row in tx.execute(statement).mappings()]

    def members(self, tx: Transaction, group: Group) -> Sequence[User]:
        """The people in a group, by their names."""
        statement = (
            select(_USERS)
            .join(_MEMBERS, _MEMBERS.c.user_id == _USERS.c.id)
            .where(_MEMBERS.c.group_id == group.id)
            .order_by(_USERS.c.username_canonical)
        )
        return [parse_user(row) for row in tx.execute(statement).mappings()]

    def names(self, tx: Transaction, ids: Collection[str]) -> Sequence[str]:
        """The names of groups, sorted. An id that no group has any more stands for itself: it lets nobody in."""
        rows = tx.execute(select(_GROUPS.c.id, _GROUPS.c.name).where(_GROUPS.c.id.in_(list(ids)))).all()
        known = {row.id: row.name for row in rows}
        return sorted(known.get(group_id, group_id) for group_id in ids)

    def add(self, tx: Transaction, origin: Origin, group: Group, user: User, *, actor: str | None = None) -> bool:
        """Puts somebody into a group. False when they are in it already. Raises ``GroupGone``, ``TooManyGroups``."""
        self._take(tx, origin, group)
        self._count_change(tx, user.id)
        now_in = self.membership(tx, user.id)
        if group.id in now_in.ids:
            return False
        if claim_bytes((*now_in.names, group.name)) > MAX_CLAIM_BYTES:
            raise TooManyGroups(f"{user.username} is in so many groups that a token could not name them all")
        tx.execute(insert(GroupMember), {"group_id": group.id, "user_id": user.id, "added_at": origin.now})
        self._follow(tx, group, user.id, is_member=True)
        self._record(tx, origin, AuditEvent.GROUP_MEMBER_ADDED, group, actor, user_id=user.id)
        return True

    def remove(self, tx: Transaction, origin: Origin, group: Group, user: User, *, actor: str | None = None) -> bool:
        """Takes somebody out of a group. False when they are not in it. Raises ``GroupGone``, ``LastAdministrator``."""
        self._take(tx, origin, group)
        if group.is_built_in and active_administrators(tx) == {user.id}:
            raise LastAdministrator
        self._count_change(tx, user.id)
        which = (_MEMBERS.c.group_id == group.id, _MEMBERS.c.user_id == user.id)
        if tx.execute(delete(GroupMember).where(*which)).rowcount != 1:
            return False
        self._follow(tx, group, user.id, is_member=False)
        self._record(tx, origin, AuditEvent.GROUP_MEMBER_REMOVED, group, actor, user_id=user.id)
        return True

    def rename(self, tx: Transaction, origin: Origin, group: Group, name: str, *, actor: str | None = None) -> Group:
        """Gives a group another name. What is reserved for it stays so; tokens say the new name from now on.

        Raises ``InvalidGroupName``, ``GroupExists``, ``GroupGone``, ``GroupInUse``, ``TooManyGroups``.
        """
        canonical, written = canonical_group_name(name), written_group_name(name)
        if group.is_built_in:
            raise GroupInUse("whoever administers this server is in it")
        self._take(tx, origin, group)
        known = self.find(tx, canonical)
        if canonical == NAME or (known is not None and known.id != group.id):
            raise GroupExists(NAME if known is None else known.name)
        if len(written.encode()) > len(group.name.encode()):
            self._check_names_fit(tx, group, written)
        self._count_change(tx, select(_MEMBERS.c.user_id).where(_MEMBERS.c.group_id == group.id))
        try:
            tx.execute(update(UserGroup).where(_GROUPS.c.id == group.id).values(name=written, name_canonical=canonical))
        except IntegrityError:
            raise GroupExists(name) from None
        renamed = replace(group, name=written)
        self._record(tx, origin, AuditEvent.GROUP_RENAMED, renamed, actor, before=group.name)
        return renamed

    def _check_names_fit(self, tx: Transaction, group: Group, name: str) -> None:
        """Raises ``TooManyGroups`` where a member's groups would not fit into a token with this longer name."""
        same = select(_MEMBERS.c.user_id).where(_MEMBERS.c.group_id == group.id)
        others = (
            select(_MEMBERS.c.user_id, _GROUPS.c.name)
            .join(_GROUPS, _GROUPS.c.id == _MEMBERS.c.group_id)
            .where(_MEMBERS.c.user_id.in_(same), _GROUPS.c.id != group.id)
        )
        taken: dict[str, int] = defaultdict(int)
        for row in tx.execute(others):
            taken[row.user_id] += claim_bytes([row.name])
        if any(taken[user_id] + claim_bytes([name]) > MAX_CLAIM_BYTES for user_id in taken):
            raise TooManyGroups("somebody is in so many groups that a token could not name them all")

    def delete(self, tx: Transaction, origin: Origin, group: Group, *, actor: str | None = None) -> None:
        """Ends a group: whoever was in it is so no more. Raises ``GroupGone``, ``GroupInUse``."""
        if group.is_built_in:
            raise GroupInUse("whoever administers this server is in it")
        self._take(tx, origin, group)
        reserved = self._reserved_for(tx, group.id)
        if reserved:
            raise GroupInUse(f"reserved for it are {', '.join(reserved[:5])}{' and more' * (len(reserved) > 5)}")
        self._count_change(tx, select(_MEMBERS.c.user_id).where(_MEMBERS.c.group_id == group.id))
        tx.execute(delete(UserGroup).where(_GROUPS.c.id == group.id))
        self._record(tx, origin, AuditEvent.GROUP_DELETED, group, actor)

    def _take(self, tx: Transaction, origin: Origin, group: Group) -> None:
        """Nobody else changes who is in the group until the transaction ends. Raises ``GroupGone``."""
        if tx.execute(update(UserGroup).where(_GROUPS.c.id == group.id).values(updated_at=origin.now)).rowcount != 1:
            raise GroupGone(group.name)

    def _count_change(self, tx: Transaction, who: Any) -> None:
        """What was decided by the groups of these people, one id or a SELECT of some, counts no more."""
        which = _USERS.c.id == who if isinstance(who, str) else _USERS.c.id.in_(who)
        tx.execute(update(UserRow).where(which).values(groups_version=_USERS.c.groups_version + 1))

    def _follow(self, tx: Transaction, group: Group, user_id: str, *, is_member: bool) -> None:
        if group.is_built_in:
            tx.execute(update(UserRow).where(_USERS.c.id == user_id).values(is_admin=is_member))

    def _reserved_for(self, tx: Transaction, group_id: str) -> Sequence[str]:
        """What would be open to nobody any more: applications by their client_id, scopes by their name and their API."""
        clients = tx.execute(
            select(_CLIENTS.c.client_id, _CLIENTS.c.only_groups).where(_CLIENTS.c.only_groups.is_not(None))
        )
        found = [row.client_id for row in clients if group_id in row.only_groups]
        apis = tx.execute(
            select(_RESOURCES.c.uri, _RESOURCES.c.scope_groups).where(_RESOURCES.c.scope_groups.is_not(None))
        )
        for row in apis:
            found += [f"{scope} of {row.uri}" for scope, ids in row.scope_groups.items() if group_id in ids]
        return found

    def _record(
        self,
        tx: Transaction,
        origin: Origin,
        event: AuditEvent,
        group: Group,
        actor: str | None,
        *,
        user_id: str | None = None,
        **details: str,
    ) -> None:
        self._audit.record(
            tx,
            event,
            origin,
            user_id=user_id,
            actor=actor,
            resource_type="user_groups",
            resource_id=group.id,
            name=group.name,
            **details,
        )


def _parse(row: Mapping[Any, Any]) -> Group:
    return Group(
        id=row["id"],
        name=row["name"],
        description=row["description"],
        created_at=row["created_at"],
        members=row["members"],
    )
