"""How guesses at passwords and codes are counted: by network, by name, by account, and in a row.

What the answer says is decided by what was typed and where it came from. What is known of the account decides only
whether a guess is looked at: to the guesser it is a wrong one, whether or not there is such an account.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from database.transaction import Transaction
from provider.accounts.users import User
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.security.rate_limit import Limit, RateLimiter
from provider.sign_in.consecutive_failures import ConsecutiveFailures, Way, WayIn
from provider.sign_in.failures_of_nobody import FailuresOfNobody

# Three limits that stand together are for an address, or an IPv6 network of 64 bits, and for those of 56 and 48 bits.
PASSWORD_PER_SOURCE = tuple(Limit("password per source", times, 900) for times in (50, 100, 200))
PASSWORD_PER_NAME = Limit("password per name and source", 10, 900)
# Two windows of the widest network lie within one of the account: no network reaches the limit of the account.
PASSWORD_PER_ACCOUNT_AND_SOURCE = tuple(Limit("password per account and source", n, 86400) for n in (15, 20, 24))
PASSWORD_PER_ACCOUNT = Limit("password per account", 50, 86400)
PASSWORD_ON_KNOWN_DEVICE = tuple(Limit("password on a known device", n, s) for n, s in ((10, 900), (50, 86400)))
CODE = tuple(Limit("code", times, seconds) for times, seconds in ((5, 300), (20, 3600), (50, 86400)))
RECOVERY_CODE = tuple(Limit("recovery code", limit.times, limit.seconds) for limit in CODE)
PASSKEY_PER_SOURCE = tuple(Limit("passkey per source", limit.times, limit.seconds) for limit in PASSWORD_PER_SOURCE)
RECORDED = Limit("throttled sign-ins on record", 1, 300)
Counter = tuple[Limit, str]


class Throttled(Exception):
    """Too many attempts. ``until`` is when the next one is looked at."""

    def __init__(self, until: datetime.datetime) -> None:
        super().__init__(until.isoformat())
        self.until = until


class CodesNotTaken(Exception):
    """No code from the app is taken, right or wrong. Recovery codes and passkeys are."""


class CodesUnreadable(CodesNotTaken):
    """The secret that codes are checked with does not open. An operator has to look: it is on record."""


class CodesClosed(CodesNotTaken):
    """A hundred wrong codes came in a row: none is taken, until a recovery code, a known device or an operator opens it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One guess that has been counted. ``is_looked_at`` is whether it may decide anything.

    ``counters`` are in the order in which every transaction takes them; a success sets those of the ``own`` limits to
    nothing. ``in_a_row`` is its number among the consecutive failures of ``way_in``, or of a name that is ``nobodys``,
    None where they are not counted.
    """

    counters: Sequence[Counter]
    own: Sequence[Limit] = ()
    way_in: WayIn | None = None
    nobodys: str | None = None
    in_a_row: int | None = None
    is_looked_at: bool = True


class Attempts:
    """Attempts are counted before they are looked at, so that parallel guesses can't slip past a limit."""

    def __init__(
        self,
        rate_limits: RateLimiter,
        failures: ConsecutiveFailures,
        failures_of_nobody: FailuresOfNobody,
        audit: AuditRecorder,
    ) -> None:
        self._rate_limits = rate_limits
        self._failures = failures
        self._failures_of_nobody = failures_of_nobody
        self._audit = audit

    def count_password(
        self, tx: Transaction, origin: Origin, name: str, user: User | None, *, is_known_device: bool
    ) -> Attempt:
        """Counts a guess at the password of ``name``, who is ``user`` or nobody. Raises ``Throttled``.

        A known device is counted by itself: what strangers do, at the same address too, keeps nobody out there.
        """
        if user is not None and is_known_device:
            counters = [(limit, f"{user.id}|known device") for limit in PASSWORD_ON_KNOWN_DEVICE]
            self._count_or_refuse(tx, origin, AuditEvent.LOGIN_THROTTLED, counters, user.id)
            known = WayIn(user.id, Way.PASSWORD, is_known_device=True)
            return self._in_a_row(tx, origin, Attempt(counters, PASSWORD_ON_KNOWN_DEVICE, known))
        user_id = user.id if user is not None else None
        account = user_id or f"no account|{name}"
        # Of IPv4 the address alone: neighbours in a /24 are strangers to each other.
        networks = [network.name for network in origin.networks if ":" in network.name] or [origin.network]
        typed = [*_each(PASSWORD_PER_SOURCE, networks), (PASSWORD_PER_NAME, f"{name}|{networks[0]}")]
        # What is over one limit is counted no further: a network that tries too often uses up nobody's attempts.
        self._count_or_refuse(tx, origin, AuditEvent.LOGIN_THROTTLED, typed, user_id)
        pairs = _each(PASSWORD_PER_ACCOUNT_AND_SOURCE, [f"{account}|{network}" for network in networks])
        meant = [*pairs, (PASSWORD_PER_ACCOUNT, account)]
        if self._count(tx, origin.now, meant) is not None:
            self._record_throttled(tx, origin, AuditEvent.LOGIN_THROTTLED, account, user_id)
            return Attempt((), is_looked_at=False)
        way_in = WayIn(user_id, Way.PASSWORD, is_known_device=False) if user_id else None
        own, nobodys = PASSWORD_PER_ACCOUNT_AND_SOURCE[:1], None if user_id else name
        return self._in_a_row(tx, origin, Attempt([*typed, *meant], own, way_in, nobodys))

    def count_code(
        self, tx: Transaction, origin: Origin, user: User, *, is_recovery_code: bool, is_known_device: bool
    ) -> Attempt:
        """Counts a code of somebody whose password was right. Raises ``Throttled``, ``CodesClosed``.

        Recovery codes are counted by themselves: they are the way in when guesses have closed the other.
        """
        key = f"{user.id}|known device" if is_known_device else user.id
        limits = RECOVERY_CODE if is_recovery_code else CODE
        counters = [(limit, key) for limit in limits]
        self._count_or_refuse(tx, origin, AuditEvent.SECOND_FACTOR_THROTTLED, counters, user.id)
        attempt = Attempt(counters, limits, WayIn(user.id, Way.CODE, is_known_device))
        if is_recovery_code:
            return attempt
        attempt = self._in_a_row(tx, origin, attempt)
        if not attempt.is_looked_at:
            raise CodesClosed
        return attempt

    def count_passkey(self, tx: Transaction, origin: Origin, user: User | None) -> Attempt:
        """Counts an answer of an authenticator, by network alone: nobody guesses one. Raises ``Throttled``.

        ``user`` is whose it has to be, None where nobody was named.
        """
        networks = [network.name for network in origin.networks if ":" in network.name] or [origin.network]
        counters = _each(PASSKEY_PER_SOURCE, networks)
        event = AuditEvent.LOGIN_THROTTLED if user is None else AuditEvent.SECOND_FACTOR_THROTTLED
        self._count_or_refuse(tx, origin, event, counters, user.id if user is not None else None)
        return Attempt(counters)

    def fail(self, tx: Transaction, origin: Origin, attempt: Attempt) -> None:
        """The guess was looked at and wrong."""
        if attempt.way_in is not None and attempt.in_a_row is not None:
            self._failures.fail(tx, origin, attempt.way_in, attempt.in_a_row)

    def succeed(self, tx: Transaction, origin: Origin, attempt: Attempt) -> None:
        """The guess was right: the failures before it are forgotten, and what they had closed is open."""
        for limit, key in attempt.counters:
            if limit in attempt.own:
                self._rate_limits.clear(tx, limit, key, origin.now)
            else:  # people of one office share an address, and only their mistakes count
                self._rate_limits.take_back(tx, limit, key, origin.now)
        if attempt.way_in is not None:
            self._failures.succeed(tx, origin, attempt.way_in.user_id, attempt.way_in.way)

    def take_back(self, tx: Transaction, origin: Origin, attempt: Attempt) -> None:
        """Nothing was decided: the guess counts for nothing."""
        for limit, key in attempt.counters:
            self._rate_limits.take_back(tx, limit, key, origin.now)
        if attempt.in_a_row is None:
            return
        if attempt.way_in is not None:
            self._failures.take_back(tx, attempt.way_in)
        elif attempt.nobodys is not None:
            self._failures_of_nobody.take_back(tx, attempt.nobodys)

    def unlock(
        self, tx: Transaction, origin: Origin, user_id: str, ways: Iterable[Way] = Way, *, actor: str | None
    ) -> list[WayIn]:
        """Opens what guesses have closed, and forgets how many there were. Returns what had been closed.

        An operator does so, the ``actor``; or a new password, at which nobody has guessed yet.
        """
        limits = {Way.PASSWORD: (PASSWORD_PER_ACCOUNT, *PASSWORD_ON_KNOWN_DEVICE), Way.CODE: (*CODE, *RECOVERY_CODE)}
        opened = []
        for way in ways:
            for limit in limits[way]:
                for key in (user_id, f"{user_id}|known device"):
                    self._rate_limits.clear(tx, limit, key, origin.now)
            opened += self._failures.succeed(tx, origin, user_id, way, actor=actor)
        return opened

    def _in_a_row(self, tx: Transaction, origin: Origin, attempt: Attempt) -> Attempt:
        if not self._rate_limits.is_enabled:
            return attempt
        way_in = attempt.way_in
        if way_in is not None:
            number = self._failures.count(tx, origin, way_in)
        else:
            number = self._failures_of_nobody.count(tx, origin.now, attempt.nobodys or "")
        if number is None:
            is_code = way_in is not None and way_in.way is Way.CODE
            event = AuditEvent.SECOND_FACTOR_THROTTLED if is_code else AuditEvent.LOGIN_THROTTLED
            user_id = way_in.user_id if way_in is not None else None
            self._record_throttled(tx, origin, event, user_id or f"no account|{attempt.nobodys}", user_id)
        return replace(attempt, in_a_row=number, is_looked_at=number is not None)

    def _count(
        self, tx: Transaction, now: datetime.datetime, counters: Sequence[Counter]
    ) -> tuple[str, datetime.datetime] | None:
        """Counts until one is over its limit: returns its key, and when all of them allow an attempt again."""
        for place, (limit, key) in enumerate(counters):
            until = self._rate_limits.hit(tx, limit, key, now)
            if until is not None:
                others = [self._rate_limits.blocked_until(tx, *other, now) for other in counters[place + 1 :]]
                return key, max([until, *(other for other in others if other is not None)])
        return None

    def _count_or_refuse(
        self, tx: Transaction, origin: Origin, event: AuditEvent, counters: Sequence[Counter], user_id: str | None
    ) -> None:
        over = self._count(tx, origin.now, counters)
        if over is not None:
            key, until = over
            self._record_throttled(tx, origin, event, key, user_id)
            raise Throttled(until)

    def _record_throttled(
        self, tx: Transaction, origin: Origin, event: AuditEvent, key: str, user_id: str | None
    ) -> None:
        """Once in a while: what is refused without a look costs the guesser nothing, and must fill no table."""
        if self._rate_limits.hit(tx, RECORDED, f"{event}|{key}", origin.now) is None:
            self._audit.record(tx, event, origin, user_id=user_id, outcome="denied")


def _each(limits: Sequence[Limit], keys: Sequence[str]) -> list[Counter]:
    """The first limit for the first key and so on, as many as there are keys."""
    return list(zip(limits, keys, strict=False))
