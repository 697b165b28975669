"""Signing up: an account that its owner makes, which opens no application before its address is confirmed.

A known address is answered as an unknown one because nothing differs: the account is made, it holds the address without
owning it (``users.confirm_by``), and a letter leaves. What the letter says differs, and only the mailbox's owner reads it.
"""

from __future__ import annotations

import datetime

from database.transaction import Transaction
from provider.accounts.confirmations import Confirmations
from provider.accounts.users import User, Users
from provider.protocol.messages import Origin
from provider.protocol.networks import networks_and_provider
from provider.security.rate_limit import Limit, RateLimiter

# As long as nobody confirms the address, the account and its user name are kept.
UNCONFIRMED_FOR = datetime.timedelta(days=7)
# Judging a password takes a tenth of a second, so that forms are counted before they are looked at.
TRIED_PER_SOURCE = Limit("sign-up forms per source", 100, 3600)
MADE_PER_SOURCE = Limit("accounts made per source", 40, 86400)


class TooManySignUps(Exception):
    """The network has made too many accounts, or sent too many forms. ``until`` is when the next one is looked at."""

    def __init__(self, until: datetime.datetime) -> None:
        super().__init__(until.isoformat())
        self.until = until


class SignUps:
    def __init__(self, users: Users, confirmations: Confirmations, rate_limits: RateLimiter, *, policy: str) -> None:
        self._users = users
        self._confirmations = confirmations
        self._rate_limits = rate_limits
        self._policy = policy

    def are_open(self, tx: Transaction) -> bool:
        """Whether anybody may make an account. Not before there is a first one, which a stranger must not become."""
        return self._policy == "open" and not self._users.is_empty(tx)

    def count_try(self, tx: Transaction, origin: Origin) -> None:
        """Counts a form that was sent. Raises ``TooManySignUps``."""
        self._count(tx, origin, TRIED_PER_SOURCE)

    def create(
        self,
        tx: Transaction,
        origin: Origin,
        *,
        username: str,
        email: str,
        password_hash: str | None,
        locale: str,
        request: str = "",
    ) -> User:
        """Makes the account and posts its letter. ``request`` is the handle of the application's request that wants it.

        Raises ``TooManySignUps``, ``NameTaken`` (of the user name alone) and ``InvalidName``.
        """
        self._count(tx, origin, MADE_PER_SOURCE)
        user = self._users.create(
            tx,
            origin,
            username=username,
            email=email,
            password_hash=password_hash,
            locale=locale,
            confirm_by=origin.now + UNCONFIRMED_FOR,
        )
        self._confirmations.ask(tx, origin, user, request=request)
        return user

    def _count(self, tx: Transaction, origin: Origin, limit: Limit) -> None:
        networks = networks_and_provider(origin.source)
        until = self._rate_limits.hit_source(tx, limit, networks, origin.now)
        if until is not None:
            raise TooManySignUps(until)
