"""What is refused at the authorization endpoint, for whoever has to find out why: a line in the log and a record.

The application, and the person, get a fixed text. What was sent, and what an operator can do, stands here alone.
"""

from __future__ import annotations

import logging

from database.transaction import Transaction
from provider.audit import AuditEvent, without_secrets
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin
from provider.services import Services

log = logging.getLogger("mcp_core.authorization")

# What an application asks with prompt=none, and is told: no refusal, and some ask every few minutes.
_ANSWERS = ("login_required", "consent_required", "interaction_required", "account_selection_required")


class AuthorizationRefusals:
    """Refusals of what strangers send. Past the limit of a network only the log has them, so that nobody fills a table."""

    def __init__(self, services: Services) -> None:
        self._refusals = services.refusals

    def record(
        self, tx: Transaction, origin: Origin, client_id: str | None, error: OAuthError, *, endpoint: str = "authorize"
    ) -> None:
        """``client_id`` is what was claimed, whether or not there is such a client."""
        if error.error in _ANSWERS:
            return
        shown, reason = without_secrets(client_id), without_secrets(error.detail, 480) or error.description
        self._refusals.of_network(
            tx,
            AuditEvent.AUTHORIZATION_REFUSED,
            origin,
            resource_type="oauth_clients",
            resource_id=shown,
            endpoint=endpoint,
            error=error.error,
            reason=reason,
        )
        line = ("%s refused for %s: %s: %s [%s]", endpoint, shown or "nobody", error.error, reason, origin.request_id)
        tx.on_commit(lambda: log.info(*line))
