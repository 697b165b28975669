"""The record of an access token: written exactly if everything that the token rests on is alive at that moment."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from sqlalchemy import BindParameter, ColumnElement, FromClause, Integer, bindparam, func, insert, literal, select, true
from sqlalchemy.sql import Insert

from database.models import Client as ClientRow
from database.models import GrantRecord, IssuedToken, User
from database.models.columns import UTCDateTime
from database.prepared import Prepared
from database.transaction import Transaction
from provider.protocol.groups import groups_digest
from provider.tokens.authorization import Authorization

_CLIENTS = ClientRow.__table__
_GRANTS = GrantRecord.__table__
_USERS = User.__table__
_OWNERS = User.__table__.alias("owners")
_TOKENS = IssuedToken.__table__
# Longer than any access token lives: of a client that gets many each second, only these few are looked at.
_LONGEST = datetime.timedelta(hours=1)
_ROW = (
    "jti",
    "client_id",
    "grant_id",
    "user_id",
    "grant_type",
    "scope",
    "audience",
    "ip_address",
    "issued_at",
    "expires_at",
    "subject",
    "client_epoch",
    "groups_digest",
)


def _mint_statement(*, for_user: bool) -> Insert:
    """INSERT … SELECT that records a token exactly if everything it rests on is still alive.

    The grant must not be revoked, its user active, the client unchanged since it was read (``version``), usable, and its
    owner active and still an administrator where the scope needs one. The client's epoch is taken down with it. Where it
    rests on groups, the person whose they are must be in the same ones as when they were read.
    """
    now = bindparam("issued_at", type_=UTCDateTime)
    known_groups = bindparam("groups_version", type_=Integer)
    values = [
        bindparam("jti"),
        _CLIENTS.c.id,
        _GRANTS.c.id if for_user else literal(None),
        _USERS.c.id if for_user else literal(None),
        bindparam("grant_type"),
        bindparam("scope"),
        bindparam("audience"),
        bindparam("ip_address"),
        now,
        bindparam("expires_at", type_=UTCDateTime),
        bindparam("subject"),
        _CLIENTS.c.epoch,
        bindparam("groups_digest"),
    ]
    source = _CLIENTS.outerjoin(_OWNERS, _OWNERS.c.id == _CLIENTS.c.owner_user_id)
    alive = [
        _CLIENTS.c.id == bindparam("client_row_id"),
        _CLIENTS.c.updated_at == bindparam("version", type_=UTCDateTime),
        _CLIENTS.c.is_active == true(),
        _CLIENTS.c.revoked_at.is_(None),
        _CLIENTS.c.expires_at.is_(None) | (_CLIENTS.c.expires_at > now),
        _CLIENTS.c.owner_user_id.is_(None)
        | (
            (_OWNERS.c.is_active == true())
            & (_OWNERS.c.is_admin >= bindparam("needs_admin"))
            & _same_groups(_OWNERS, None if for_user else known_groups)
        ),
    ]
    if for_user:
        source = source.join(_GRANTS, _GRANTS.c.client_id == _CLIENTS.c.id).join(
            _USERS, _USERS.c.id == _GRANTS.c.user_id
        )
        alive += [
            _GRANTS.c.id == bindparam("for_grant_id"),
            _GRANTS.c.revoked_at.is_(None),
            _USERS.c.is_active == true(),
            _USERS.c.is_admin >= bindparam("user_needs_admin"),
            _same_groups(_USERS, known_groups),
        ]
    return insert(IssuedToken).from_select(list(_ROW), select(*values).select_from(source).where(*alive))


def _same_groups(people: FromClause, version: BindParameter[int] | None) -> ColumnElement[bool]:
    """That somebody is in the groups of this count still. None, in the statement or in its value, asks for nothing."""
    return true() if version is None else people.c.groups_version == func.coalesce(version, people.c.groups_version)


_MINT_FOR_USER = Prepared(_mint_statement(for_user=True))
_MINT_FOR_CLIENT = Prepared(_mint_statement(for_user=False))


class AuthorizationGone(Exception):
    """What the token would rest on was revoked, disabled, changed or has expired since it was read."""


def record_token(
    tx: Transaction,
    authorization: Authorization,
    jti: str,
    now: datetime.datetime,
    expires_at: datetime.datetime,
    *,
    subject: str,
    groups: Sequence[str] | None = None,
) -> None:
    """Writes the row of an access token. Raises ``AuthorizationGone`` when it must not be made.

    ``subject`` is kept where it is a pseudonym: the client may be known by another sector when the token comes back.
    ``groups`` is what the token says of them, None for nothing.
    """
    client = authorization.client
    needs_admin = not set(authorization.resource.admin_scope).isdisjoint(authorization.scope)
    values = {
        "jti": jti,
        "client_row_id": client.id,
        "version": client.updated_at,
        "grant_type": authorization.grant_type,
        "scope": " ".join(authorization.scope),
        "audience": authorization.resource.uri,
        "ip_address": authorization.source or None,
        "issued_at": now,
        "expires_at": expires_at,
        "subject": None if subject in (authorization.user_id, client.client_id) else subject,
        "groups_version": None if authorization.membership is None else authorization.membership.version,
        "groups_digest": None if groups is None else groups_digest(groups),
    }
    if authorization.grant_id is None:
        statement = _MINT_FOR_CLIENT
        values["needs_admin"] = needs_admin and client.owner_user_id is not None
    else:
        statement = _MINT_FOR_USER
        values |= {
            "needs_admin": False,
            "for_grant_id": authorization.grant_id,
            "user_needs_admin": needs_admin,
        }
    if tx.count(statement, values) != 1:
        raise AuthorizationGone
    tx.mark((_TOKENS.c.jti, jti))


def living_tokens_of_client(tx: Transaction, now: datetime.datetime, client_row_id: str) -> int:
    """How many access tokens a client has, its users' and its own."""
    epoch = select(_CLIENTS.c.epoch).where(_CLIENTS.c.id == client_row_id).scalar_subquery()
    its = (_TOKENS.c.client_id == client_row_id) & (_TOKENS.c.client_epoch == epoch)
    return _living(tx, now, its & (_TOKENS.c.issued_at > now - _LONGEST))


def living_tokens_for(tx: Transaction, now: datetime.datetime, audience: str) -> int:
    """How many access tokens there are for an API."""
    return _living(tx, now, _TOKENS.c.audience == audience)


def _living(tx: Transaction, now: datetime.datetime, which: ColumnElement[bool]) -> int:
    living = (which, _TOKENS.c.expires_at > now, _TOKENS.c.revoked_at.is_(None))
    return int(tx.execute(select(func.count()).select_from(_TOKENS).where(*living)).scalar_one())
