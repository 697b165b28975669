"""Initial access tokens (RFC 7591 §1.2): who registers an application with one is vouched for."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from database.models import RegistrationToken as TokenRow
from database.models.columns import new_id
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.protocol.text import is_name, one_line
from provider.security.crypto import Keyring, is_secret, new_secret

_TABLE = TokenRow.__table__
_FIND = select(_TABLE).where(_TABLE.c.token_hash == bindparam("token_hash"))


@dataclass(frozen=True, slots=True)
class RegistrationToken:
    """``uses_left`` None is without end. ``require_pkce`` is what its confidential clients are held to, and
    ``claims_in_id_token`` whether the claims of their scopes are in their ID tokens."""

    id: str
    name: str
    require_pkce: bool
    uses_left: int | None
    created_at: datetime.datetime
    expires_at: datetime.datetime | None
    revoked_at: datetime.datetime | None
    claims_in_id_token: bool

    def is_usable(self, now: datetime.datetime) -> bool:
        is_over = self.expires_at is not None and self.expires_at <= now
        return self.revoked_at is None and not is_over and self.uses_left != 0


class RegistrationTokens:
    def __init__(self, keyring: Keyring, audit: AuditRecorder) -> None:
        self._keyring = keyring
        self._audit = audit

    def create(
        self,
        tx: Transaction,
        origin: Origin,
        *,
        name: str,
        expires_in_days: int | None,
        uses: int | None,
        require_pkce: bool = True,
        claims_in_id_token: bool = True,
        actor: str | None = None,
    ) -> tuple[RegistrationToken, str]:
        """A new token, with its value in clear, once. Raises ``ValueError`` for a wrong name, life or number of uses."""
        name = one_line(name)
        if not is_name(name, 255):
            raise ValueError("a registration token needs a name of 1 to 255 printable characters")
        if expires_in_days is not None and not 1 <= expires_in_days <= 366:
            raise ValueError("a registration token can live 1 to 366 days")
        if uses is not None and not 1 <= uses <= 1_000_000:
            raise ValueError("a registration token can be used 1 to 1000000 times")
        value = new_secret("init")
        expires_at = None if expires_in_days is None else origin.now + datetime.timedelta(days=expires_in_days)
        row = {
            "id": new_id(origin.now),
            "token_hash": self._hash(value),
            "name": name,
            "require_pkce": require_pkce,
            "uses_left": uses,
            "created_at": origin.now,
            "expires_at": expires_at,
            "revoked_at": None,
            "claims_in_id_token": claims_in_id_token,
        }
        tx.execute(insert(TokenRow), row)
        made = _parse(row)
        self._record(tx, origin, AuditEvent.REGISTRATION_TOKEN_CREATED, made.id, actor, name=name)
        return made, value

    def find(self, tx: Transaction, now: datetime.datetime, value: str) -> RegistrationToken | None:
        """The token of a value, None when it is unknown, over or used up."""
        if not is_secret("init", value):
            return None
        row = tx.execute(_FIND, {"token_hash": self._hash(value)}).mappings().first()
        token = None if row is None else _parse(row)
        return token if token is not None and token.is_usable(now) else None

    def use(self, tx: Transaction, now: datetime.datetime, token: RegistrationToken) -> bool:
        """Counts one use, False when it is over or used up by now. The database counts, so that nobody slips past."""
        if token.uses_left is None:
            row = tx.execute(select(_TABLE).where(_TABLE.c.id == token.id)).mappings().first()
            return row is not None and _parse(row).is_usable(now)
        claim = (
            update(TokenRow)
            .where(_TABLE.c.id == token.id, _TABLE.c.uses_left > 0, _TABLE.c.revoked_at.is_(None))
            .values(uses_left=_TABLE.c.uses_left - 1)
        )
        return tx.execute(claim).rowcount == 1

    def list(self, tx: Transaction) -> list[RegistrationToken]:
        return [_parse(row) for row in tx.execute(select(_TABLE).order_by(_TABLE.c.created_at)).mappings()]

    def revoke(self, tx: Transaction, origin: Origin, token_id: str, *, actor: str | None = None) -> bool:
        """Ends a token at once; what was registered with it stays. False for an unknown or ended one."""
        statement = update(TokenRow).where(_TABLE.c.id == token_id, _TABLE.c.revoked_at.is_(None))
        if tx.execute(statement.values(revoked_at=origin.now)).rowcount != 1:
            return False
        self._record(tx, origin, AuditEvent.REGISTRATION_TOKEN_REVOKED, token_id, actor)
        return True

    def _hash(self, value: str) -> str:
        return self._keyring.keyed_hash("registration token", value)

    def _record(
        self, tx: Transaction, origin: Origin, event: AuditEvent, token_id: str, actor: str | None, **details: Any
    ) -> None:
        self._audit.record(
            tx, event, origin, actor=actor, resource_type="registration_tokens", resource_id=token_id, **details
        )


def _parse(row: Mapping[Any, Any]) -> RegistrationToken:
    return RegistrationToken(**{name: row[name] for name in RegistrationToken.__slots__})
