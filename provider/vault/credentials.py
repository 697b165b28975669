"""What a connected cloud gives its owner's programs: a kept secret, short-lived credentials, or a token of ours.

Each time it is asked for, all that it rests on is looked at again, in the statement that takes down the use.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.errors import refuse_until
from provider.protocol.messages import Origin
from provider.security.outbound import Outbound
from provider.security.rate_limit import Limit, RateLimiter
from provider.tokens.cloud_records import record_use
from provider.tokens.token_records import AuthorizationGone
from provider.vault.account import CloudAccount
from provider.vault.cloud_accounts import CloudAccounts
from provider.vault.cloud_tokens import Asker, CloudTokens
from provider.vault.credential_cache import CredentialCache
from provider.vault.door import GuardedDoor
from provider.vault.exchanges import EXCHANGES
from provider.vault.exchanges.exchange import CloudCredentials, ExchangeRefused

Want = Literal["credentials", "assertion"]
# A command that a cloud's own program calls asks for each of its starts.
GIVEN_PER_PERSON = Limit("cloud credentials per person", 600, 3600)
EXCHANGES_PER_PERSON = Limit("exchanges with clouds per person", 60, 600)


class NotKeyless(ValueError):
    """A token for the cloud is asked for, and the account has a secret instead."""


@dataclass(frozen=True, slots=True)
class Given:
    """``credentials`` by the names of the API, or ``assertion``: our own token for the cloud. None ends by itself where
    ``expires_at`` is None."""

    credentials: Mapping[str, str] | None = field(default=None, repr=False)
    assertion: str | None = field(default=None, repr=False)
    expires_at: datetime.datetime | None = None


class CloudCredentialsGiver:
    """``issuer`` is this server, which access tokens that ask must be for."""

    def __init__(
        self,
        issuer: str,
        accounts: CloudAccounts,
        tokens: CloudTokens,
        outbound: Outbound,
        rate_limits: RateLimiter,
        audit: AuditRecorder,
    ) -> None:
        self._issuer = issuer
        self._accounts = accounts
        self._tokens = tokens
        self._outbound = outbound
        self._rate_limits = rate_limits
        self._audit = audit
        self._cache = CredentialCache()

    def give(
        self,
        tx: Transaction,
        origin: Origin,
        account: CloudAccount,
        asker: Asker,
        purpose: str,
        want: Want = "credentials",
    ) -> Given:
        """Hands out what ``asker`` may have of ``account``, recorded with ``purpose``. Commits, before it asks a cloud too.

        Raises ``AuthorizationGone`` when the account, its owner or what ``asker`` rests on has gone or is another person's,
        ``ExchangeRefused``, ``NotKeyless``, ``DecryptionFailed``, and ``OAuthError`` (429).
        """
        if want == "assertion" and account.mode != "keyless":
            raise NotKeyless("the account has a secret")
        refuse_until(self._rate_limits.hit(tx, GIVEN_PER_PERSON, asker.user_id, origin.now), origin.now)
        try:
            known = self._exchanged(tx, origin, account, asker, want)
            # Before a token is minted, which only reads the account: of two at once neither waits for the other's end.
            record_use(tx, self._issuer, self._tokens.authorization(origin, account, asker), origin.now)
            given = self._given(tx, origin, account, asker, known)
        except ExchangeRefused as refusal:
            self._record_refusal(tx, origin, account, asker, purpose, refusal.condition.value)
            raise
        except AuthorizationGone:
            self._record_refusal(tx, origin, account, asker, purpose, "gone")
            raise
        until = None if given.expires_at is None else given.expires_at.isoformat(timespec="seconds")
        said = {"purpose": purpose, "want": want, "until": until}
        self._record(tx, AuditEvent.CLOUD_CREDENTIALS_GIVEN, origin, account, asker, **said)
        tx.commit()
        return given

    def fresh(self, tx: Transaction, origin: Origin, account: CloudAccount, asker: Asker) -> CloudCredentials:
        """Mints a token and exchanges it, whatever is known already. Commits before it asks the cloud.

        How often somebody may ask is the caller's to say. Raises ``AuthorizationGone``, ``ExchangeRefused``,
        ``DecryptionFailed``.
        """
        options = self._options(tx, origin, account)
        token = self._tokens.mint(tx, origin, account, asker, options)
        tx.commit()
        door = GuardedDoor(self._outbound, account.user_id)
        return EXCHANGES[account.provider].exchange(options, token, door, origin.now)

    def _exchanged(
        self, tx: Transaction, origin: Origin, account: CloudAccount, asker: Asker, want: Want
    ) -> CloudCredentials | None:
        """What the cloud gives, or gave a while ago; None where nothing is wanted of it."""
        if account.mode == "secret" or want == "assertion":
            return None
        known = self._cache.get(account, origin.now)
        if known is None:
            refuse_until(self._rate_limits.hit(tx, EXCHANGES_PER_PERSON, asker.user_id, origin.now), origin.now)
            known = self.fresh(tx, origin, account, asker)
            self._cache.put(account, origin.now, known)
        return known

    def _given(
        self, tx: Transaction, origin: Origin, account: CloudAccount, asker: Asker, known: CloudCredentials | None
    ) -> Given:
        if known is not None:
            return Given(credentials=known.values, expires_at=known.expires_at)
        if account.mode == "secret":
            return Given(credentials=self._accounts.read(tx, origin, account))
        options = self._options(tx, origin, account)
        seconds = EXCHANGES[account.provider].demands(options).seconds
        token = self._tokens.mint(tx, origin, account, asker, options)
        return Given(assertion=token, expires_at=origin.now + datetime.timedelta(seconds=seconds))

    def _options(self, tx: Transaction, origin: Origin, account: CloudAccount) -> dict[str, str]:
        return {**self._accounts.read(tx, origin, account), "label": account.label}

    def _record_refusal(
        self, tx: Transaction, origin: Origin, account: CloudAccount, asker: Asker, purpose: str, condition: str
    ) -> None:
        said = {"outcome": "refused", "purpose": purpose, "condition": condition}
        self._record(tx, AuditEvent.CLOUD_CREDENTIALS_REFUSED, origin, account, asker, **said)
        tx.commit()

    def _record(
        self, tx: Transaction, event: AuditEvent, origin: Origin, account: CloudAccount, asker: Asker, **details: Any
    ) -> None:
        self._audit.record(
            tx,
            event,
            origin,
            user_id=account.user_id,
            actor=asker.name or None,
            resource_type="cloud_accounts",
            resource_id=account.id,
            label=account.label,
            provider=account.provider,
            mode=account.mode,
            client=asker.program or None,
            **details,
        )
