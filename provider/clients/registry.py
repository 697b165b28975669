"""The registered clients: parsed once, cached for seconds, changed with an audit record."""

from __future__ import annotations

import datetime
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update

from database.models import Client as ClientRow
from database.models.columns import new_id
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.client import Client
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring, new_name, new_secret
from provider.tokens.grant_records import GrantRecords

CACHE_SECONDS = 5
CACHE_SIZE = 1024
TOUCH_SECONDS = 60
MAX_CLIENT_ID = 512
_TABLE = ClientRow.__table__
_FIND = select(_TABLE).where(_TABLE.c.client_id == bindparam("client_id"))
_GET = select(_TABLE).where(_TABLE.c.id == bindparam("row_id"))
_TOUCH = (
    update(ClientRow)
    .where(
        _TABLE.c.id == bindparam("row_id"),
        _TABLE.c.last_used_at.is_(None) | (_TABLE.c.last_used_at < bindparam("before")),
    )
    .values(last_used_at=bindparam("now"))
)


class Clients:
    """Finds and changes clients.

    A cached client may be some seconds old in another process. That is safe: the statement that mints a token checks
    that the client is unchanged, so a revoked one never gets a token.
    """

    def __init__(self, keyring: Keyring, audit: AuditRecorder, grants: GrantRecords) -> None:
        self._keyring = keyring
        self._audit = audit
        self._grants = grants
        self._cache: OrderedDict[str, tuple[float, Client]] = OrderedDict()
        self._touched: dict[str, datetime.datetime] = {}
        self._lock = threading.Lock()

    def find(self, tx: Transaction, client_id: str, *, fresh: bool = False) -> Client | None:
        """The client of a public ``client_id``, usable or not. ``fresh`` asks the database."""
        if not client_id or len(client_id) > MAX_CLIENT_ID or not client_id.isascii() or not client_id.isprintable():
            return None
        cached = self._cache.get(client_id)
        if cached is not None and not fresh and time.monotonic() - cached[0] < CACHE_SECONDS:
            return cached[1]
        row = tx.execute(_FIND, {"client_id": client_id}).mappings().first()
        if row is None:
            self.invalidate(client_id)
            return None
        client = _parse(row)
        with self._lock:
            self._cache[client_id] = (time.monotonic(), client)
            self._cache.move_to_end(client_id)
            while len(self._cache) > CACHE_SIZE:
                self._cache.popitem(last=False)
        return client

    def get_by_row(self, tx: Transaction, row_id: str) -> Client | None:
        row = tx.execute(_GET, {"row_id": row_id}).mappings().first()
        return None if row is None else _parse(row)

    def list(self, tx: Transaction, *, owner_user_id: str | None = None, kind: str | None = None) -> list[Client]:
        statement = select(_TABLE).order_by(_TABLE.c.created_at, _TABLE.c.id)
        if owner_user_id is not None:
            statement = statement.where(_TABLE.c.owner_user_id == owner_user_id)
        if kind is not None:
            statement = statement.where(_TABLE.c.kind == kind)
        return [_parse(row) for row in tx.execute(statement).mappings()]

    def register(
        self,
        tx: Transaction,
        origin: Origin,
        *,
        kind: str,
        name: str,
        token_endpoint_auth_method: str,
        application_type: str = "web",
        redirect_uris: Sequence[str] = (),
        post_logout_redirect_uris: Sequence[str] = (),
        grant_types: Sequence[str] = (),
        scope: Sequence[str] = (),
        resource: str | None = None,
        owner_user_id: str | None = None,
        require_pkce: bool = True,
        rotate_refresh_tokens: bool | None = None,
        is_trusted: bool = False,
        is_vouched: bool = True,
        id_token_signed_response_alg: str = "RS256",
        expires_at: datetime.datetime | None = None,
        extra: Mapping[str, Any] | None = None,
        actor: str | None = None,
    ) -> tuple[Client, str | None]:
        """Inserts a checked client. Returns it with its secret in clear, which is shown once, or None for a public one."""
        is_public = token_endpoint_auth_method == "none"  # noqa: S105 - the name of a method
        secret = None if is_public else new_secret("ak" if kind == "api_key" else "cs")
        row = {
            "id": new_id(origin.now),
            "client_id": new_name("key" if kind == "api_key" else "app"),
            "kind": kind,
            "name": name,
            "owner_user_id": owner_user_id,
            "secret_hash": None if secret is None else self.secret_hash(secret),
            "token_endpoint_auth_method": token_endpoint_auth_method,
            "application_type": application_type,
            "redirect_uris": list(redirect_uris),
            "post_logout_redirect_uris": list(post_logout_redirect_uris),
            "grant_types": list(grant_types),
            "scope": " ".join(scope),
            "resource": resource,
            "require_pkce": require_pkce,
            "rotate_refresh_tokens": is_public if rotate_refresh_tokens is None else rotate_refresh_tokens,
            "is_trusted": is_trusted,
            "is_vouched": is_vouched,
            "is_active": True,
            "id_token_signed_response_alg": id_token_signed_response_alg,
            "extra": dict(extra) if extra else None,
            "created_at": origin.now,
            "updated_at": origin.now,
            "last_used_at": None,
            "expires_at": expires_at,
            "revoked_at": None,
        }
        tx.execute(insert(ClientRow), row)
        self._record(tx, origin, AuditEvent.CLIENT_CREATED, str(row["client_id"]), actor, name=name, kind=kind)
        return _parse({**row, "metadata": row["extra"]}), secret

    def set_active(self, tx: Transaction, origin: Origin, client_id: str, active: bool) -> bool:
        """Enables or disables a client. A disabled one gets no tokens, and those it has stop counting."""
        event = AuditEvent.CLIENT_ENABLED if active else AuditEvent.CLIENT_DISABLED
        return self._change(tx, origin, client_id, event, is_active=active)

    def revoke(self, tx: Transaction, origin: Origin, client_id: str, *, event: AuditEvent, actor: str | None) -> bool:
        """Ends a client for good, keeping the row. False when it had ended or does not exist."""
        statement = (
            update(ClientRow)
            .where(_TABLE.c.client_id == client_id, _TABLE.c.revoked_at.is_(None))
            .values(revoked_at=origin.now, updated_at=origin.now)
        )
        if tx.execute(statement).rowcount != 1:
            return False
        self._record(tx, origin, event, client_id, actor)
        tx.on_commit(lambda: self.invalidate(client_id))
        return True

    def rotate_secret(self, tx: Transaction, origin: Origin, client_id: str) -> str | None:
        """A new secret; the old one stops working at once. None for an unknown or public client."""
        client = self.find(tx, client_id, fresh=True)
        if client is None or client.is_public:
            return None
        secret = new_secret("ak" if client.is_api_key else "cs")
        self._change(
            tx, origin, client_id, AuditEvent.CLIENT_SECRET_ROTATED, secret_hash=self.secret_hash(secret)
        )
        return secret

    def delete(self, tx: Transaction, origin: Origin, client_id: str) -> bool:
        """Removes a client with all that was granted to it."""
        client = self.find(tx, client_id, fresh=True)
        if client is None:
            return False
        self._grants.revoke_for_client(tx, origin, client.id, "client_deleted")
        tx.execute(delete(ClientRow).where(_TABLE.c.id == client.id))
        self._record(tx, origin, AuditEvent.CLIENT_DELETED, client_id, None, name=client.name)
        tx.on_commit(lambda: self.invalidate(client_id))
        return True

    def touch(self, tx: Transaction, client: Client, now: datetime.datetime) -> None:
        """Remembers that a client was used, to the minute."""
        before = now - datetime.timedelta(seconds=TOUCH_SECONDS)
        if self._touched.get(client.id, client.last_used_at or before) > before:
            return
        tx.execute(_TOUCH, {"row_id": client.id, "before": before, "now": now})
        if len(self._touched) > CACHE_SIZE:
            self._touched.clear()
        self._touched[client.id] = now

    def secret_hash(self, secret: str) -> str:
        return self._keyring.keyed_hash("client secret", secret)

    def invalidate(self, client_id: str) -> None:
        with self._lock:
            self._cache.pop(client_id, None)

    def _change(self, tx: Transaction, origin: Origin, client_id: str, event: AuditEvent, **values: Any) -> bool:
        statement = update(ClientRow).where(_TABLE.c.client_id == client_id)
        if tx.execute(statement.values(updated_at=origin.now, **values)).rowcount != 1:
            return False
        self._record(tx, origin, event, client_id, None)
        tx.on_commit(lambda: self.invalidate(client_id))
        return True

    def _record(
        self, tx: Transaction, origin: Origin, event: AuditEvent, client_id: str, actor: str | None, **details: Any
    ) -> None:
        self._audit.record(
            tx, event, origin, actor=actor, resource_type="oauth_clients", resource_id=client_id, **details
        )


def _parse(row: Mapping[Any, Any]) -> Client:
    lists = {name: tuple(row[name]) for name in ("redirect_uris", "post_logout_redirect_uris", "grant_types")}
    same = (
        "id", "client_id", "kind", "name", "owner_user_id", "secret_hash", "token_endpoint_auth_method",
        "application_type", "resource", "id_token_signed_response_alg", "created_at", "updated_at", "last_used_at",
        "expires_at", "revoked_at", "require_pkce", "rotate_refresh_tokens", "is_trusted", "is_vouched", "is_active",
    )  # fmt: skip
    return Client(
        **{name: row[name] for name in same},
        **lists,
        scope=tuple(row["scope"].split()),
        extra=row["metadata"] or {},
    )
