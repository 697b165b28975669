"""Invitations: an account for whoever reads the mail of one address. The link proves the mailbox, once."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, or_, select, true, update

from database.models import Invitation as InvitationRow
from database.models.columns import new_id
from database.transaction import Transaction
from provider.accounts.login_names import canonical_email, written_email, written_username
from provider.accounts.users import NameTaken, User, Users
from provider.audit import AuditEvent, AuditRecorder
from provider.deliveries.mail import Mail
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring, is_secret, new_secret

MOST_DAYS = 60
KEPT_DAYS = 30
PER_PAGE = 100
_TABLE = InvitationRow.__table__


class InvitationOver(Exception):
    """The invitation is unknown, was accepted or withdrawn, or its time is over."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """``username`` is what the operator proposes. ``user_id`` is who came of it."""

    id: str
    email: str
    username: str | None
    locale: str | None
    is_admin: bool
    invited_by: str | None
    user_id: str | None
    created_at: datetime.datetime
    expires_at: datetime.datetime
    used_at: datetime.datetime | None
    withdrawn_at: datetime.datetime | None

    def state(self, now: datetime.datetime) -> str:
        if self.used_at is not None:
            return "accepted"
        if self.withdrawn_at is not None:
            return "withdrawn"
        return "open" if self.expires_at > now else "expired"


class Invitations:
    """``site`` is scheme and authority of our pages, for links in letters."""

    def __init__(self, users: Users, mail: Mail, keyring: Keyring, audit: AuditRecorder, *, site: str) -> None:
        self._users = users
        self._mail = mail
        self._keyring = keyring
        self._audit = audit
        self._site = site

    def create(
        self,
        tx: Transaction,
        origin: Origin,
        *,
        email: str,
        username: str | None = None,
        is_admin: bool = False,
        expires_in_days: int = 7,
        locale: str | None = None,
        actor: str | None = None,
    ) -> tuple[Invitation, str]:
        """Posts an invitation. Returns it with the address of its page, which is kept nowhere. Earlier ones are withdrawn.

        Raises ``InvalidName``, and ``NameTaken`` where the address or the proposed name is somebody's.
        """
        address = canonical_email(email)
        if self._users.find_by_login(tx, email) is not None:
            raise NameTaken("email")
        if username is not None and self._users.is_username_taken(tx, username):
            raise NameTaken("username")
        self._withdraw(tx, origin, _TABLE.c.email_canonical == address, actor)
        token = new_secret("invite")
        row = {
            "id": new_id(origin.now),
            "token": self._hash(token),
            "email": written_email(email),
            "email_canonical": address,
            "username": None if username is None else written_username(username),
            "locale": locale,
            "is_admin": is_admin,
            "invited_by": actor,
            "user_id": None,
            "created_at": origin.now,
            "expires_at": origin.now + datetime.timedelta(days=expires_in_days),
            "used_at": None,
            "withdrawn_at": None,
        }
        tx.execute(insert(InvitationRow), row)
        made, link = _parse(row), f"{self._site}/invitation/{token}"
        self._record(tx, origin, AuditEvent.INVITATION_CREATED, made.id, actor, is_admin=is_admin)
        values = {"link": link, "days": str(expires_in_days)}
        self._mail.post(tx, origin, to=made.email, letter="invitation", language=locale, values=values)
        return made, link

    def find(self, tx: Transaction, now: datetime.datetime, token: str) -> Invitation | None:
        """The open invitation of a link, None when it is over. Changes nothing."""
        if not is_secret("invite", token):
            return None
        row = tx.execute(select(_TABLE).where(_TABLE.c.token == self._hash(token), *_open(now))).mappings().first()
        return None if row is None else _parse(row)

    def accept(
        self, tx: Transaction, origin: Origin, token: str, *, username: str, password_hash: str | None, locale: str
    ) -> User:
        """Uses the invitation up and makes its account, whose address is confirmed.

        Raises ``InvitationOver``, ``InvalidName``, and ``NameTaken``: what was done so far is to be rolled back then.
        """
        invitation = self.find(tx, origin.now, token)
        if invitation is None:
            raise InvitationOver
        mine = update(InvitationRow).where(_TABLE.c.id == invitation.id, *_open(origin.now))
        if tx.execute(mine.values(used_at=origin.now)).rowcount != 1:
            raise InvitationOver
        user = self._users.create(
            tx,
            origin,
            username=username,
            email=invitation.email,
            password_hash=password_hash,
            is_admin=invitation.is_admin,
            is_verified=True,
            locale=locale,
            actor=invitation.invited_by,
        )
        tx.execute(update(InvitationRow).where(_TABLE.c.id == invitation.id).values(user_id=user.id))
        self._record(tx, origin, AuditEvent.INVITATION_ACCEPTED, invitation.id, None, user_id=user.id)
        return user

    def page(self, tx: Transaction, number: int, *, search: str = "") -> tuple[list[Invitation], int]:
        """A page of them, counted from 1, and how many pages there are.

        ``search`` finds them by address, proposed user name, and who invited.
        """
        named = (_TABLE.c.email, _TABLE.c.username, _TABLE.c.invited_by)
        wanted = or_(*(column.icontains(search, autoescape=True) for column in named)) if search else true()
        total = tx.execute(select(func.count()).select_from(_TABLE).where(wanted)).scalar_one()
        found = select(_TABLE).where(wanted).order_by(_TABLE.c.id.desc())
        rows = tx.execute(found.limit(PER_PAGE).offset((number - 1) * PER_PAGE)).mappings()
        return [_parse(row) for row in rows], max(1, -(-total // PER_PAGE))

    def list(self, tx: Transaction) -> list[Invitation]:
        """All that are kept, the newest first."""
        return [_parse(row) for row in tx.execute(select(_TABLE).order_by(_TABLE.c.id.desc())).mappings()]

    def withdraw(self, tx: Transaction, origin: Origin, invitation_id: str, actor: str | None = None) -> bool:
        """Ends an invitation at once. False for an unknown one, and one that is over."""
        return self._withdraw(tx, origin, _TABLE.c.id == invitation_id, actor) == 1

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes invitations that were over a month ago."""
        over = select(_TABLE.c.id).where(_TABLE.c.expires_at <= now - datetime.timedelta(days=KEPT_DAYS)).limit(limit)
        ids = tx.execute(over).scalars().all()
        if ids:
            tx.execute(delete(InvitationRow).where(_TABLE.c.id.in_(ids)))
        return len(ids)

    def _withdraw(self, tx: Transaction, origin: Origin, which: Any, actor: str | None) -> int:
        ids = tx.execute(select(_TABLE.c.id).where(which, *_open(origin.now))).scalars().all()
        ended = 0
        for invitation_id in ids:
            mine = update(InvitationRow).where(_TABLE.c.id == invitation_id, *_open(origin.now))
            if tx.execute(mine.values(withdrawn_at=origin.now)).rowcount == 1:
                self._record(tx, origin, AuditEvent.INVITATION_WITHDRAWN, invitation_id, actor)
                ended += 1
        return ended

    def _hash(self, token: str) -> str:
        return self._keyring.keyed_hash("invitation", token)

    def _record(
        self,
        tx: Transaction,
        origin: Origin,
        event: AuditEvent,
        invitation_id: str,
        actor: str | None,
        user_id: str | None = None,
        **details: Any,
    ) -> None:
        self._audit.record(
            tx,
            event,
            origin,
            user_id=user_id,
            actor=actor,
            resource_type="invitations",
            resource_id=invitation_id,
            **details,
        )


def _open(now: datetime.datetime) -> tuple[Any, ...]:
    return _TABLE.c.used_at.is_(None), _TABLE.c.withdrawn_at.is_(None), _TABLE.c.expires_at > now


def _parse(row: Mapping[Any, Any]) -> Invitation:
    return Invitation(**{name: row[name] for name in Invitation.__slots__})
