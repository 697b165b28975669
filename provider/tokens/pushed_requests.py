"""Pushed authorization requests (RFC 9126): kept for their client until they are answered, once."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from database.models import PushedRequest
from database.transaction import Transaction
from provider.protocol.request_objects import PUSHED_PREFIX
from provider.protocol.sizes import check_kept
from provider.security.crypto import Keyring, is_secret, new_secret
from provider.tokens.one_time import delete_batch

# Clocks of two machines differ.
_MARGIN_SECONDS = 60
_TABLE = PushedRequest.__table__
_FIND = select(_TABLE.c.handle_hash, _TABLE.c.parameters).where(
    _TABLE.c.handle_hash == bindparam("handle_hash"),
    _TABLE.c.client_id == bindparam("client_row_id"),
    _TABLE.c.used_at.is_(None),
    _TABLE.c.expires_at > bindparam("now"),
)
_TRACE = select(_TABLE.c.handle_hash, _TABLE.c.client_id, _TABLE.c.used_at).where(
    _TABLE.c.handle_hash == bindparam("handle_hash")
)


@dataclass(frozen=True, slots=True)
class StoredPush:
    """``parameters`` are the request's, each with all its values."""

    handle_hash: str
    parameters: Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Trace:
    handle_hash: str
    client_row_id: str
    is_used: bool


class PushedRequests:
    """``seconds`` is how long a request may be begun, ``answer_seconds`` how long who has begun it may take to answer."""

    def __init__(self, keyring: Keyring, seconds: int, answer_seconds: int) -> None:
        self._keyring = keyring
        self.seconds = seconds
        self.kept_seconds = seconds + answer_seconds + _MARGIN_SECONDS

    def store(
        self, tx: Transaction, now: datetime.datetime, client_row_id: str, parameters: Mapping[str, list[str]]
    ) -> str:
        """Keeps a checked request. Returns the ``request_uri`` that stands for it.

        Raises ``invalid_request`` for one that is too large.
        """
        check_kept(parameters)
        handle = new_secret("par")
        row: dict[str, Any] = {
            "handle_hash": self._hash(handle),
            "client_id": client_row_id,
            "parameters": dict(parameters),
            "created_at": now,
            "expires_at": now + datetime.timedelta(seconds=self.seconds),
        }
        tx.execute(insert(PushedRequest), row)
        tx.mark((_TABLE.c.handle_hash, row["handle_hash"]))
        return PUSHED_PREFIX + handle

    def find(self, tx: Transaction, now: datetime.datetime, client_row_id: str, request_uri: str) -> StoredPush | None:
        """The request of this client, None when it is unknown, expired, answered, or another client's. Uses nothing up."""
        handle = request_uri.removeprefix(PUSHED_PREFIX)
        if not is_secret("par", handle):
            return None
        known = {"handle_hash": self._hash(handle), "client_row_id": client_row_id, "now": now}
        row = tx.execute(_FIND, known).mappings().first()
        return None if row is None else StoredPush(row["handle_hash"], row["parameters"])

    def trace_of(self, tx: Transaction, request_uri: str) -> Trace | None:
        """What is known of a request, whoever asks: answered and expired ones as well, while they are kept."""
        handle = request_uri.removeprefix(PUSHED_PREFIX)
        row = tx.execute(_TRACE, {"handle_hash": self._hash(handle)}).first() if is_secret("par", handle) else None
        return None if row is None else Trace(row.handle_hash, row.client_id, is_used=row.used_at is not None)

    def consume(self, tx: Transaction, now: datetime.datetime, handle_hash: str) -> bool:
        """Uses the request up, when it is answered. True for exactly one caller."""
        statement = update(PushedRequest).where(_TABLE.c.handle_hash == handle_hash, _TABLE.c.used_at.is_(None))
        return tx.execute(statement.values(used_at=now)).rowcount == 1

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes requests that nobody can answer any more: who signs in for one may take that long after it expired."""
        over = now - datetime.timedelta(seconds=self.kept_seconds - self.seconds)
        return delete_batch(tx, _TABLE, _TABLE.c.handle_hash, over, limit)

    def _hash(self, handle: str) -> str:
        return self._keyring.keyed_hash("pushed request", handle)
