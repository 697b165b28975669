"""Another secret for an API key, beside which the one before works on for some hours: programs change over without a gap."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Protocol

from database.transaction import Transaction
from provider.accounts.shown_once import key_secret
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.client import Client
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring, new_secret

OVERLAP_HOURS = (0, 1, 24, 72)
RENEWED_DAYS = (30, 90, 180, 365)


class RotatedMeanwhile(Exception):
    """The key has got another secret since it was looked at, or has ended."""


class SecretStore(Protocol):
    """What of the client registry is needed here."""

    def replace_secret(self, tx: Transaction, origin: Origin, client: Client, secret: str, **values: Any) -> bool: ...


class KeyRotation:
    def __init__(self, clients: SecretStore, audit: AuditRecorder, keyring: Keyring) -> None:
        self._clients = clients
        self._audit = audit
        self._keyring = keyring

    def version(self, key: Client) -> str:
        """Which of its secrets a key has, telling nothing of it. A form that was shown with another is out of date."""
        return self._keyring.keyed_hash("version of api key", key.secret_hash or "")[:16]

    def rotate(
        self,
        tx: Transaction,
        origin: Origin,
        key: Client,
        *,
        version: str,
        overlap_hours: int,
        renewed_days: int | None = None,
        session_token: str | None = None,
        actor: str | None = None,
    ) -> str:
        """Gives a key another secret and returns it. The one before works for ``overlap_hours`` more, none before that.

        ``version`` is that of the key as somebody saw it: of a form sent twice, and of two windows, one rotates.
        ``renewed_days`` gives a key that expires so long a life from now. ``session_token`` is the cookie of who does it on
        a page: the secret follows from it. Raises ``RotatedMeanwhile``, ``ValueError`` for what is no choice.
        """
        if overlap_hours not in OVERLAP_HOURS or renewed_days not in (None, *RENEWED_DAYS):
            raise ValueError("no such choice")
        if version != self.version(key) or not key.is_usable(origin.now):
            raise RotatedMeanwhile
        before = key.secret_hash
        secret = key_secret(self._keyring, session_token, key.client_id, before) if session_token else new_secret("ak")
        values = {
            "previous_secret_hash": before,
            "previous_secret_until": origin.now + datetime.timedelta(hours=overlap_hours) if overlap_hours else None,
            "secret_rotated_at": origin.now,
            **_renewed(key, origin.now, renewed_days),
        }
        if not self._clients.replace_secret(tx, origin, key, secret, **values):
            raise RotatedMeanwhile
        self._audit.record(
            tx,
            AuditEvent.API_KEY_ROTATED,
            origin,
            user_id=key.owner_user_id,
            actor=actor,
            resource_type="oauth_clients",
            resource_id=key.client_id,
            name=key.name,
            overlap_hours=overlap_hours,
        )
        return secret


def _renewed(key: Client, now: datetime.datetime, days: int | None) -> Mapping[str, Any]:
    if days is None or key.expires_at is None:
        return {}
    return {"expires_at": now + datetime.timedelta(days=days), "expiry_told": None}
