"""API keys: OAuth clients that a user owns. Key id is ``client_id``, key secret is ``client_secret``."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from sqlalchemy import exists, select, true, update

from database.models import Client as ClientRow
from database.models import User as UserRow
from database.reading import Listed
from database.transaction import Transaction
from provider.accounts.groups import Groups
from provider.accounts.shown_once import is_shown_still, key_secret
from provider.accounts.users import User
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.client import Client, Resource
from provider.protocol.errors import OAuthError
from provider.protocol.groups import Membership
from provider.protocol.messages import Origin
from provider.protocol.scopes import CLOUD_CREDENTIALS, KEY_SCOPES
from provider.protocol.text import is_name, one_line
from provider.security.crypto import Keyring, constant_time_equal

KIND = "api_key"
MAX_DAYS = 366
MAX_NAME = 100
MAX_LIVE = 50
_USERS = UserRow.__table__
_CLIENTS = ClientRow.__table__


class TooManyKeys(ValueError):
    """The user has as many living keys as a user may have."""

    def __init__(self) -> None:
        super().__init__(f"a user can have {MAX_LIVE} keys that work: revoke one that is not needed any more")


class NameInUse(ValueError):
    """The user has a living key of this name, and it is not the one that the same form has just made."""


class SecondFactorNeeded(ValueError):
    """Only the owner makes such a key, right after a second factor."""

    def __init__(self) -> None:
        super().__init__("a key for cloud credentials is made by its owner, who has just given a second factor")


class ClientStore(Protocol):
    """What of the client registry is needed here."""

    def secret_hash(self, secret: str) -> str: ...

    @property
    def register(self) -> Callable[..., tuple[Client, str | None]]: ...

    def list(
        self, tx: Transaction, *, owner_user_id: str | None = None, kind: str | None = None
    ) -> Sequence[Client]: ...

    def living_of_owner(
        self, owner_user_id: str, kind: str, now: datetime.datetime, search: str = ""
    ) -> Listed[Client]: ...

    def revoke(
        self, tx: Transaction, origin: Origin, client_id: str, *, event: AuditEvent, actor: str | None
    ) -> bool: ...


class ResourceCatalogue(Protocol):
    """What of the resource catalogue is needed here."""

    def get(self, tx: Transaction, uri: str) -> Resource: ...

    def list(self, tx: Transaction) -> Sequence[Resource]: ...

    def default(self) -> Resource: ...


class ApiKeys:
    """Made by a signed-in user or an operator. A key never holds more than its owner and ends with the owner."""

    def __init__(
        self,
        clients: ClientStore,
        resources: ResourceCatalogue,
        groups: Groups,
        audit: AuditRecorder,
        keyring: Keyring,
    ) -> None:
        self._clients = clients
        self._resources = resources
        self._groups = groups
        self._audit = audit
        self._keyring = keyring

    def owner_scope(self, tx: Transaction, owner: User, resource_uri: str | None) -> tuple[str, ...]:
        """All scopes that this user may give to a key: those of one API, or of all of them."""
        apis = self._resources.list(tx) if resource_uri is None else [self._resources.get(tx, resource_uri)]
        membership = self._groups.membership(tx, owner.id)
        return tuple(dict.fromkeys(scope for api in apis for scope in scope_of_owner(api, membership)))

    def create(
        self,
        tx: Transaction,
        origin: Origin,
        owner: User,
        *,
        name: str,
        scope: tuple[str, ...] | None,
        expires_in_days: int | None,
        resource: str | None,
        proved_second_factor: bool = False,
        session_token: str | None = None,
        actor: str | None = None,
    ) -> tuple[Client, str]:
        """Makes a key and returns it with its secret, which is shown once.

        An empty ``scope`` gives the key none, None all that its owner has now at APIs. ``KEY_SCOPES`` are only given by
        name and alone, and if ``proved_second_factor``: the owner has given one a short while ago. ``session_token`` is the
        cookie of who makes it on a page: the secret follows from it, and the same form sent again gets the same key.
        Raises ``OAuthError`` (``invalid_scope``, ``invalid_target``) for what the owner does not have, ``TooManyKeys``,
        ``SecondFactorNeeded``, ``NameInUse`` (on a page only), ``ValueError`` for a wrong name or life, and an owner whose
        address is unconfirmed.
        """
        if owner.is_unconfirmed:
            raise ValueError("the owner has yet to confirm the e-mail address")
        name = one_line(name)
        if not is_name(name, MAX_NAME):
            raise ValueError(f"a key needs a name of 1 to {MAX_NAME} printable characters")
        if expires_in_days is not None and not 1 <= expires_in_days <= MAX_DAYS:
            raise ValueError(f"a key can live 1 to {MAX_DAYS} days")
        api = self._resources.get(tx, resource) if resource else None
        is_for_clouds = scope is not None and CLOUD_CREDENTIALS in scope
        if is_for_clouds:
            if not proved_second_factor:
                raise SecondFactorNeeded
            api = api or self._resources.default()
        allowed = KEY_SCOPES if is_for_clouds else self.owner_scope(tx, owner, api.uri if api else None)
        granted = allowed if scope is None else tuple(dict.fromkeys(scope))
        if is_for_clouds and (granted != KEY_SCOPES or api != self._resources.default()):
            raise OAuthError.invalid_scope("A key for cloud credentials is for this server and has no other scope.")
        if not set(granted) <= set(allowed):
            raise OAuthError.invalid_scope("A key cannot have scopes that its owner does not have.")
        life = None if expires_in_days is None else datetime.timedelta(days=expires_in_days)
        self._wait_for_turn(tx, owner.id)
        live = [key for key in self.list(tx, owner.id) if key.is_usable(origin.now)]
        namesake = next((key for key in live if key.name == name), None)
        if session_token is not None and namesake is not None:
            known = self.shown_secret(origin.now, namesake, session_token)
            if known is None or _terms_of(namesake) != (set(granted), api.uri if api else None, life):
                raise NameInUse
            return namesake, known
        if len(live) >= MAX_LIVE:
            raise TooManyKeys
        client, secret = self._clients.register(
            tx,
            origin,
            kind=KIND,
            name=name,
            owner_user_id=owner.id,
            token_endpoint_auth_method="client_secret_basic",  # noqa: S106 - the name of a method
            grant_types=("client_credentials",),
            scope=granted,
            resource=api.uri if api else None,
            is_vouched=True,
            rotate_refresh_tokens=False,
            expires_at=None if life is None else origin.now + life,
            secret_of=partial(key_secret, self._keyring, session_token) if session_token else None,
            actor=actor,
        )
        assert secret is not None  # noqa: S101 - a key is never a public client
        self._name_newest(tx, owner.id, client.client_id)
        self._audit.record(
            tx,
            AuditEvent.API_KEY_CREATED,
            origin,
            user_id=owner.id,
            actor=actor,
            resource_type="oauth_clients",
            resource_id=client.client_id,
            name=name,
        )
        return client, secret

    def shown_secret(self, now: datetime.datetime, key: Client, session_token: str) -> str | None:
        """The secret once more, for the session that made it, within ten minutes. None for every other."""
        secret = key_secret(self._keyring, session_token, key.client_id, key.previous_secret_hash)
        is_its_own = constant_time_equal(self._clients.secret_hash(secret), key.secret_hash or "")
        return secret if is_its_own and is_shown_still(key.secret_rotated_at or key.created_at, now) else None

    def list(self, tx: Transaction, owner_id: str | None = None) -> list[Client]:
        """The keys of one user, or of all, ended ones included."""
        return list(self._clients.list(tx, owner_user_id=owner_id, kind=KIND))

    def living(self, owner_id: str, now: datetime.datetime, search: str = "") -> Listed[Client]:
        """The keys of a user that work, for a page of a list."""
        return self._clients.living_of_owner(owner_id, KIND, now, search)

    def revoke(
        self, tx: Transaction, origin: Origin, owner_id: str, client_row_id: str, actor: str | None = None
    ) -> bool:
        """Ends a key at once. False for another user's key, an unknown one, and one that has ended."""
        keys = self.list(tx, owner_id)
        key = next((key for key in keys if key.id == client_row_id), None)
        if key is None or not self._clients.revoke(
            tx, origin, key.client_id, event=AuditEvent.API_KEY_REVOKED, actor=actor
        ):
            return False
        live = [other.client_id for other in keys if other.id != key.id and other.is_usable(origin.now)]
        self._name_newest(tx, owner_id, live[-1] if live else None)
        return True

    def renew_names(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Has the users whose ``api_key`` has ended since name their newest live key, or none. Returns how many."""
        lives = exists().where(
            _CLIENTS.c.client_id == _USERS.c.api_key,
            _CLIENTS.c.is_active == true(),
            _CLIENTS.c.revoked_at.is_(None),
            _CLIENTS.c.expires_at.is_(None) | (_CLIENTS.c.expires_at > now),
        )
        has_one = _USERS.c.api_key > ""  # by its index, where "is not null" reads every user
        stale = select(_USERS.c.id, _USERS.c.api_key).where(has_one, ~lives).limit(limit)
        rows = tx.execute(stale).all()
        for row in rows:
            live = [key.client_id for key in self.list(tx, row.id) if key.is_usable(now)]
            unchanged = update(UserRow).where(_USERS.c.id == row.id, _USERS.c.api_key == row.api_key)
            tx.execute(unchanged.values(api_key=live[-1] if live else None))
        return len(rows)

    def _wait_for_turn(self, tx: Transaction, owner_id: str) -> None:
        """Takes the user's row, so that of two keys made at once the second one counts the first."""
        tx.execute(update(UserRow).where(_USERS.c.id == owner_id).values(api_key=_USERS.c.api_key))

    def _name_newest(self, tx: Transaction, owner_id: str, client_id: str | None) -> None:
        """``users.api_key`` holds the public id of the user's newest live key, never a secret."""
        tx.execute(update(UserRow).where(_USERS.c.id == owner_id).values(api_key=client_id))


def _terms_of(key: Client) -> tuple[set[str], str | None, datetime.timedelta | None]:
    return set(key.scope), key.resource, None if key.expires_at is None else key.expires_at - key.created_at


def scope_of_owner(resource: Resource, owner: Membership | None) -> tuple[str, ...]:
    """What a person may have at an API: all but what is kept for administrators, or for groups that they are not in.

    None stands for whoever may have the most.
    """
    if owner is None:
        return resource.scope
    return tuple(
        scope
        for scope in resource.scope
        if (owner.is_admin or scope not in resource.admin_scope)
        and owner.is_in_one_of(resource.scope_groups.get(scope, ()))
    )
