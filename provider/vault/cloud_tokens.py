"""Tokens for clouds: what they say of an account, for whom they are, and that nothing of ours takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.tokens.authorization import CloudAuthorization
from provider.tokens.issuer import TokenIssuer
from provider.vault.account import CloudAccount
from provider.vault.exchanges import EXCHANGES
from provider.vault.exchanges.exchange import Condition, ExchangeRefused
from provider.vault.subjects import subject_of

MAX_AUDIENCE = 512


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for what is a person's: an application or an API key by its access token (``jti``), or the person on a page
    in a session. ``name`` is the ``client_id`` for the records and ``program`` what people call it, both empty on pages."""

    user_id: str
    access_token: str | None = None
    session_id: str | None = None
    name: str = ""
    program: str = ""


class OwnAudiences(Protocol):
    """What tokens of ours are for anyway. None of it can be the audience of a token for a cloud."""

    def has(self, tx: Transaction, audience: str) -> bool: ...


class CloudTokens:
    """Mints by the one issuer. ``own`` knows the audiences that are no cloud's."""

    def __init__(self, issuer: TokenIssuer, own: OwnAudiences) -> None:
        self._issuer = issuer
        self._own = own

    def subject(self, account: CloudAccount) -> str:
        """``user:<id>``, or ``user:<id>:cloud:<label>``: what a trust policy names."""
        return subject_of(account.user_id, account.label, account.options.get("subject", ""))

    def fault_of_audience(self, tx: Transaction, provider: str, options: Mapping[str, str]) -> str | None:
        """Why these fields may not be connected without a secret: a reason of ``InvalidCloudField``, None where they may."""
        audience = EXCHANGES[provider].demands(options).audience
        others = [it.audiences for name, it in EXCHANGES.items() if name != provider and it.audiences is not None]
        if not audience.strip() or len(audience) > MAX_AUDIENCE:
            return "form"
        if any(pattern.match(audience.strip()) for pattern in others):
            return "another_cloud"
        return "issuer_url" if self._own.has(tx, audience) else None

    def authorization(
        self, origin: Origin, account: CloudAccount, asker: Asker, options: Mapping[str, str] | None = None
    ) -> CloudAuthorization:
        """What may be given to ``asker`` rests on this. Without ``options`` it is for no token, but for what is kept."""
        demands = None if options is None else EXCHANGES[account.provider].demands(options)
        return CloudAuthorization(
            user_id=asker.user_id,
            account_id=account.id,
            account_version=account.version,
            subject=self.subject(account),
            audience="" if demands is None else demands.audience,
            algorithm="" if demands is None else demands.algorithm,
            seconds=0 if demands is None else demands.seconds,
            claims={} if demands is None else demands.claims,
            access_token=asker.access_token,
            session_id=asker.session_id,
            source=origin.source,
        )

    def mint(
        self, tx: Transaction, origin: Origin, account: CloudAccount, asker: Asker, options: Mapping[str, str]
    ) -> str:
        """A token for the account's cloud, recorded. Raises ``ExchangeRefused``, ``AuthorizationGone``.

        The audience is looked at again: there may be another API of this name by now.
        """
        if self.fault_of_audience(tx, account.provider, options) is not None:
            raise ExchangeRefused(Condition.AUDIENCE)
        authorization = self.authorization(origin, account, asker, options)
        try:
            return self._issuer.cloud_token(tx, authorization, origin.now)
        except LookupError:
            raise ExchangeRefused(Condition.SIGNATURE, "this server does not sign with the algorithm") from None
