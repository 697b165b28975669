"""Trying an account: a fresh token is exchanged, and what the cloud gives is thrown away."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import update

from database.models import CloudAccount as Row
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.security.rate_limit import Limit, RateLimiter
from provider.vault.account import CloudAccount
from provider.vault.cloud_tokens import Asker
from provider.vault.credentials import CloudCredentialsGiver
from provider.vault.exchanges.exchange import Condition, ExchangeRefused

TESTS_PER_PERSON = Limit("tests of cloud accounts per person", 20, 600)
_TABLE = Row.__table__


@dataclass(frozen=True, slots=True)
class Outcome:
    """``condition`` is what failed, None when the cloud gave credentials. ``said`` are its words, for the owner alone."""

    condition: Condition | None
    said: str = ""

    @property
    def works(self) -> bool:
        return self.condition is None


class CloudTests:
    def __init__(self, credentials: CloudCredentialsGiver, rate_limits: RateLimiter, audit: AuditRecorder) -> None:
        self._credentials = credentials
        self._rate_limits = rate_limits
        self._audit = audit

    def test(self, tx: Transaction, origin: Origin, account: CloudAccount, session_id: str) -> Outcome:
        """Asks the cloud now, by the session of its owner. Commits. ``tested_at`` is when it last worked, if it still does.

        Raises ``AuthorizationGone``, ``DecryptionFailed``.
        """
        if self._rate_limits.hit(tx, TESTS_PER_PERSON, account.user_id, origin.now) is not None:
            return Outcome(Condition.LIMIT)
        asker = Asker(account.user_id, session_id=session_id)
        try:
            self._credentials.fresh(tx, origin, account, asker)
            tested = Outcome(None)
        except ExchangeRefused as refusal:
            tested = Outcome(refusal.condition, refusal.said)
        known = update(Row).where(_TABLE.c.id == account.id, _TABLE.c.version == account.version)
        tx.execute(known.values(tested_at=origin.now if tested.works else None))
        self._audit.record(
            tx,
            AuditEvent.CLOUD_TESTED,
            origin,
            user_id=account.user_id,
            outcome="ok" if tested.works else "refused",
            resource_type="cloud_accounts",
            resource_id=account.id,
            label=account.label,
            provider=account.provider,
            condition=None if tested.condition is None else tested.condition.value,
        )
        tx.commit()
        return tested
