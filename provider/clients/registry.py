"""The registered clients: parsed once, cached for seconds, changed with an audit record."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, select, update

from database.models import Client as ClientRow
from database.models.columns import new_id
from database.prepared import Lookup
from database.reading import Listed
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.clients.cache import ShortCache
from provider.clients.client_ends import ClientEnds, Ended
from provider.clients.last_uses import LastUses
from provider.clients.metadata import ClientMetadata
from provider.clients.rows import ParsedClients, living_of_owner, metadata_columns, metadata_of, parse_client
from provider.protocol.client import PUBLIC, SECRET_METHODS, Client, ClientDetails
from provider.protocol.messages import Origin
from provider.protocol.subjects import pairwise_sector
from provider.security.crypto import Keyring, new_name, new_secret
from provider.tokens.grant_records import GrantRecords

CACHE_SECONDS = 5
CACHE_SIZE = 1024
# Blanks are out, which MySQL would ignore at the end (PAD SPACE).
_CLIENT_ID = re.compile(r"[\x21-\x7E]{1,512}")
_TABLE = ClientRow.__table__
_FIND = Lookup(select(_TABLE), by=_TABLE.c.client_id)
_GET = Lookup(select(_TABLE), by=_TABLE.c.id)


class Clients:
    """Finds and changes clients.

    A cached client may be some seconds old in another process. That is safe: the statement that mints a token checks
    that the client is unchanged, so a revoked one never gets a token.
    """

    def __init__(self, keyring: Keyring, audit: AuditRecorder, grants: GrantRecords) -> None:
        self._keyring = keyring
        self._audit = audit
        self._ends = ClientEnds(grants)
        self._cache: ShortCache[Client] = ShortCache(CACHE_SECONDS, CACHE_SIZE)
        self._parsed = ParsedClients(CACHE_SIZE)
        self._uses = LastUses()

    def find(self, tx: Transaction, client_id: str, *, fresh: bool = False) -> Client | None:
        """The client of a public ``client_id``, usable or not. ``fresh`` asks the database."""
        known = None if fresh else self.cached(tx, client_id)
        if known is not None:
            return known
        if not _CLIENT_ID.fullmatch(client_id):
            return None
        named = {"client_id": client_id}
        return self._cache.fill(tx, client_id, lambda: self._parsed.client(tx.found(_FIND, named)))

    def cached(self, tx: Transaction, client_id: str) -> Client | None:
        """The client if it was read a moment ago; asks nobody."""
        return self._cache.get(tx, client_id)

    def get_by_row(self, tx: Transaction, row_id: str) -> Client | None:
        row = tx.row(_GET, {"id": row_id})
        return None if row is None else parse_client(row)

    def list(self, tx: Transaction, *, owner_user_id: str | None = None, kind: str | None = None) -> list[Client]:
        statement = select(_TABLE).order_by(_TABLE.c.created_at, _TABLE.c.id)
        if owner_user_id is not None:
            statement = statement.where(_TABLE.c.owner_user_id == owner_user_id)
        if kind is not None:
            statement = statement.where(_TABLE.c.kind == kind)
        return [parse_client(row) for row in tx.execute(statement).mappings()]

    def living_of_owner(
        self, owner_user_id: str, kind: str, now: datetime.datetime, search: str = ""
    ) -> Listed[Client]:
        """The usable clients of one owner, for a page of a list."""
        return living_of_owner(owner_user_id, kind, now, search)

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
        nonce_replaces_pkce: bool = False,
        exact_auth_method: bool = True,
        claims_in_id_token: bool = False,
        only_groups: Sequence[str] = (),
        rotate_refresh_tokens: bool | None = None,
        is_trusted: bool = False,
        is_vouched: bool = True,
        id_token_signed_response_alg: str = "RS256",  # noqa: S107 - an algorithm
        expires_at: datetime.datetime | None = None,
        details: ClientDetails | None = None,
        client_id: str | None = None,
        secret_of: Callable[[str], str] | None = None,
        registration_token_hash: str | None = None,
        document_fresh_until: datetime.datetime | None = None,
        actor: str | None = None,
    ) -> tuple[Client, str | None]:
        """Inserts a checked client. Returns it with its secret in clear, which is shown once, or None if it has none.

        ``client_id`` is given for a client-id metadata document only. ``secret_of`` gives the secret of a ``client_id``,
        where it is not a random one. An API key's event is recorded by who makes it.
        """
        details = details or ClientDetails()
        is_public = PUBLIC in (token_endpoint_auth_method, *details.authentication_methods)
        client_id = client_id or new_name("key" if kind == "api_key" else "app")
        secret = None
        if token_endpoint_auth_method in SECRET_METHODS:
            secret = secret_of(client_id) if secret_of else new_secret("ak" if kind == "api_key" else "cs")
        row = {
            "id": new_id(origin.now),
            "client_id": client_id,
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
            "nonce_replaces_pkce": nonce_replaces_pkce,
            "exact_auth_method": exact_auth_method,
            "claims_in_id_token": claims_in_id_token,
            "only_groups": list(only_groups) or None,
            "rotate_refresh_tokens": is_public if rotate_refresh_tokens is None else rotate_refresh_tokens,
            "is_trusted": is_trusted,
            "is_vouched": is_vouched,
            "is_active": True,
            "id_token_signed_response_alg": id_token_signed_response_alg,
            "metadata": details.to_dict() or None,
            "created_at": origin.now,
            "updated_at": origin.now,
            "last_used_at": None,
            "last_used_address": None,
            "previous_secret_hash": None,
            "previous_secret_until": None,
            "secret_rotated_at": None,
            "expiry_told": None,
            "expires_at": expires_at,
            "revoked_at": None,
            "registration_token_hash": registration_token_hash,
            "document_fresh_until": document_fresh_until,
        }
        tx.execute(insert(ClientRow), row)
        client = parse_client(row)
        self._cache.changed(tx, client.client_id)
        if not client.is_api_key:
            self._record(tx, origin, AuditEvent.CLIENT_CREATED, client, actor, name=name, kind=kind)
        return client, secret

    def replace(
        self,
        tx: Transaction,
        origin: Origin,
        client: Client,
        metadata: ClientMetadata,
        *,
        is_trusted: bool | None = None,
        only_groups: Sequence[str] | None = None,
        registration_token_hash: str | None = None,
        document_fresh_until: datetime.datetime | None = None,
        actor: str | None = None,
    ) -> tuple[Client, str | None] | None:
        """Puts checked metadata in the place of a client's own, all of it (RFC 7592 §2.2). The record names what differs.

        Returns the client as it is now, with a secret in clear if it needs one that it did not have. None when somebody
        else has changed the client since it was read.
        """
        known = {"is_trusted": client.is_trusted, "only_groups": list(client.only_groups) or None}
        before = {**metadata_columns(metadata_of(client)), **known}
        values = metadata_columns(metadata) | known
        if is_trusted is not None:
            values["is_trusted"] = is_trusted
        if only_groups is not None:
            values["only_groups"] = list(only_groups) or None
        differing = sorted(name for name, value in values.items() if value != before[name])
        values["document_fresh_until"] = document_fresh_until
        values["registration_token_hash"] = registration_token_hash or client.registration_token_hash
        secret = None
        if metadata.token_endpoint_auth_method not in SECRET_METHODS:
            values["secret_hash"] = None
        elif client.secret_hash is None:
            secret = new_secret("cs")
            values["secret_hash"] = self.secret_hash(secret)
        if not self._change(tx, origin, client, _TABLE.c.updated_at == client.updated_at, **values):
            return None
        self._record(tx, origin, AuditEvent.CLIENT_UPDATED, client, actor, name=metadata.name, changed=differing)
        changed = self.get_by_row(tx, client.id)
        if changed is not None and pairwise_sector(changed) != pairwise_sector(client):
            self._ends.end_for_other_subjects(tx, origin, client.id)
        return None if changed is None else (changed, secret)

    def set_document_fresh_until(self, tx: Transaction, client: Client, until: datetime.datetime) -> None:
        """Notes that a client's metadata document was read and says what it said before. Changes nothing else."""
        tx.execute(update(ClientRow).where(_TABLE.c.id == client.id).values(document_fresh_until=until))
        self._cache.changed(tx, client.client_id)

    def set_active(
        self, tx: Transaction, origin: Origin, client_id: str, active: bool, *, actor: str | None = None
    ) -> Ended | None:
        """Enables or disables a client and ends for good what it was given: with either, for something may have come about
        in the moment of disabling. None for an unknown client."""
        client = self.find(tx, client_id, fresh=True)
        if client is None:
            return None
        if client.is_active == active:
            return Ended()
        ended = self._ends.end_all(tx, origin, client.id, "client_disabled")
        # Access tokens may be very many: they end by the epoch, which one that is just being minted has read already.
        self._change(tx, origin, client, is_active=active, registration_token_hash=None, epoch=_TABLE.c.epoch + 1)
        event = AuditEvent.CLIENT_ENABLED if active else AuditEvent.CLIENT_DISABLED
        self._record(tx, origin, event, client, actor, **asdict(ended))
        return ended

    def revoke(self, tx: Transaction, origin: Origin, client_id: str, *, event: AuditEvent, actor: str | None) -> bool:
        """Ends a client for good, keeping the row. False when it had ended or does not exist."""
        client = self.find(tx, client_id, fresh=True)
        if client is None or not self._change(tx, origin, client, _TABLE.c.revoked_at.is_(None), revoked_at=origin.now):
            return False
        self._record(tx, origin, event, client, actor)
        return True

    def rotate_secret(self, tx: Transaction, origin: Origin, client_id: str, *, actor: str | None = None) -> str | None:
        """A new secret; the old one stops working at once. None for an unknown, ended or public client."""
        client = self.find(tx, client_id, fresh=True)
        if client is None or client.secret_hash is None or client.revoked_at is not None:
            return None
        secret = new_secret("ak" if client.is_api_key else "cs")
        self._change(tx, origin, client, secret_hash=self.secret_hash(secret), previous_secret_until=None)
        self._record(tx, origin, AuditEvent.CLIENT_SECRET_ROTATED, client, actor)
        return secret

    def replace_secret(self, tx: Transaction, origin: Origin, client: Client, secret: str, **values: Any) -> bool:
        """A new secret in the place of the one that ``client`` was read with, and ``values``. False when that is another."""
        is_unchanged = (_TABLE.c.secret_hash == client.secret_hash, _TABLE.c.revoked_at.is_(None))
        return self._change(tx, origin, client, *is_unchanged, secret_hash=self.secret_hash(secret), **values)

    def delete(self, tx: Transaction, origin: Origin, client_id: str, *, actor: str | None = None) -> bool:
        """Removes a client with all that was granted to it. False for an unknown one.

        An API key is none of these: it is revoked, and its row stays, for its owner to see.
        """
        client = self.find(tx, client_id, fresh=True)
        if client is None or client.is_api_key:
            return False
        self._ends.end_all(tx, origin, client.id, "client_deleted")
        tx.execute(delete(ClientRow).where(_TABLE.c.id == client.id))
        self._cache.changed(tx, client.client_id)
        self._record(tx, origin, AuditEvent.CLIENT_DELETED, client, actor, name=client.name)
        return True

    def touch(self, tx: Transaction, client: Client, now: datetime.datetime, source: str = "") -> None:
        """Remembers that a client was used, to the minute, and of an API key from which address."""
        self._uses.note(tx, client, now, source)

    def secret_hash(self, secret: str) -> str:
        return self._keyring.keyed_hash("client secret", secret)

    def invalidate(self, client_id: str) -> None:
        self._cache.forget(client_id)

    def _change(
        self, tx: Transaction, origin: Origin, client: Client, *conditions: ColumnElement[bool], **values: Any
    ) -> bool:
        """Writes ``values`` and a later ``updated_at``, whatever the clock says: minting compares it to see changes."""
        changed_at = max(origin.now, client.updated_at + datetime.timedelta(microseconds=1))
        statement = update(ClientRow).where(_TABLE.c.id == client.id, *conditions)
        if tx.execute(statement.values(updated_at=changed_at, **values)).rowcount != 1:
            return False
        self._cache.changed(tx, client.client_id)
        return True

    def _record(
        self, tx: Transaction, origin: Origin, event: AuditEvent, client: Client, actor: str | None, **details: Any
    ) -> None:
        self._audit.record(
            tx,
            event,
            origin,
            user_id=client.owner_user_id,
            actor=actor,
            resource_type="oauth_clients",
            resource_id=client.client_id,
            **details,
        )
