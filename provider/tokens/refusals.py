"""Refusals on record: what was presented by somebody whose it is not, or once more than it works."""

from __future__ import annotations

from typing import Any

from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.security.rate_limit import Limit, RateLimiter
from provider.tokens.grant_records import GrantRecord

RECORDED = Limit("refusals on record", 1, 3600)
RECORDED_OF_NETWORK = 60


class Refusals:
    """Who goes on trying must fill no table: the log has the rest, since records are kept for long."""

    def __init__(self, audit: AuditRecorder, rate_limits: RateLimiter) -> None:
        self._audit = audit
        self._rate_limits = rate_limits

    def record(
        self,
        tx: Transaction,
        event: AuditEvent,
        origin: Origin,
        *,
        resource_type: str,
        resource_id: str,
        reason: str,
        user_id: str | None = None,
        actor: str | None = None,
        **details: Any,
    ) -> None:
        """For one thing and reason one record an hour.

        ``user_id`` is whose it was, ``actor`` the ``client_id`` that tried.
        """
        if self._rate_limits.hit(tx, RECORDED, f"{event}|{reason}|{resource_id}", origin.now) is not None:
            return
        self._audit.record(
            tx,
            event,
            origin,
            user_id=user_id,
            actor=actor,
            outcome="denied",
            resource_type=resource_type,
            resource_id=resource_id,
            reason=reason,
            **details,
        )

    def of_network(
        self,
        tx: Transaction,
        event: AuditEvent,
        origin: Origin,
        *,
        resource_type: str,
        resource_id: str,
        **details: Any,
    ) -> None:
        """For one event and network ``RECORDED_OF_NETWORK`` records an hour: what strangers send has no end."""
        limit = Limit(f"{event} of a network on record", RECORDED_OF_NETWORK, 3600)
        if self._rate_limits.hit_source(tx, limit, origin.networks, origin.now) is None:
            self._audit.record(
                tx, event, origin, outcome="denied", resource_type=resource_type, resource_id=resource_id, **details
            )

    def of_grant(
        self,
        tx: Transaction,
        event: AuditEvent,
        origin: Origin,
        grant: GrantRecord,
        reason: str,
        *,
        actor: str | None = None,
        **details: Any,
    ) -> None:
        """Records the refusal of a code or a refresh token, and whose it was. Without ``actor`` that client tried itself."""
        self.record(
            tx,
            event,
            origin,
            resource_type="oauth_grants",
            resource_id=grant.id,
            reason=reason,
            user_id=grant.user_id,
            actor=actor,
            client=grant.client_row_id,
            **details,
        )
