"""Counting attempts in fixed windows, in the database that every worker shares."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects import mysql, sqlite

from database.models import RateCounter
from database.prepared import Counting, Prepared
from database.transaction import Transaction
from provider.security.crypto import Keyring

_TABLE = RateCounter.__table__
_FIND = Prepared(select(_TABLE.c.count).where(_TABLE.c.bucket == bindparam("bucket")))
# One statement: of many that begin a window together, those that fail to insert and then update stand in each other's way.
# And it says what it has counted to; a server does so by what is called the id of the last insert.
_ROW = {name: bindparam(name, type_=_TABLE.c[name].type) for name in ("bucket", "count", "expires_at")}
_INSERT_SQLITE = sqlite.insert(RateCounter).values(_ROW)
_HIT_SQLITE = Prepared(
    _INSERT_SQLITE.on_conflict_do_update(
        index_elements=["bucket"], set_={"count": _TABLE.c.count + _INSERT_SQLITE.excluded["count"]}
    ).returning(_TABLE.c.count)
)
_INSERT_SERVER = mysql.insert(RateCounter).values({**_ROW, "count": func.last_insert_id(_ROW["count"])})
_HIT_SERVER = Prepared(
    _INSERT_SERVER.on_duplicate_key_update(count=func.last_insert_id(_TABLE.c.count + _INSERT_SERVER.inserted["count"]))
)
_HIT = Counting(_HIT_SQLITE, _HIT_SERVER)
_CLEAR = Prepared(delete(RateCounter).where(_TABLE.c.bucket == bindparam("bucket")))
_TAKE_BACK = Prepared(
    update(RateCounter)
    .where(_TABLE.c.bucket == bindparam("of_bucket"), _TABLE.c.count > 0)
    .values(count=_TABLE.c.count - 1)
)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``times`` in ``seconds``. ``name`` tells counters of the same key apart."""

    name: str
    times: int
    seconds: int


class RateLimiter:
    """Counts per key. A window begins at a fixed moment for every key and always ends: nobody is locked out for good."""

    def __init__(self, keyring: Keyring, *, enabled: bool = True) -> None:
        self._keyring = keyring
        self._enabled = enabled

    @property
    def is_enabled(self) -> bool:
        return self._enabled

    def hit(
        self, tx: Transaction, limit: Limit, key: str, now: datetime.datetime, *, weight: int = 1
    ) -> datetime.datetime | None:
        """Counts one attempt, or ``weight`` bytes. Returns when the next is allowed if it was over the limit, else None."""
        if not self._enabled:
            return None
        bucket, ends_at = self._bucket(limit, key, now)
        row = {"bucket": bucket, "count": weight, "expires_at": ends_at}
        count = tx.total(_HIT, row)
        return ends_at if count is None or count > limit.times else None

    def hit_source(
        self,
        tx: Transaction,
        limit: Limit,
        networks: Sequence[tuple[str, int]],
        now: datetime.datetime,
        *,
        about: str = "",
        weight: int = 1,
    ) -> datetime.datetime | None:
        """The same for an address, under each network that it is in, and for each thing that it is ``about`` apart.

        ``networks`` are from the narrowest to the widest, each with how many times the limit holds for it. What is over the
        limit of a narrow one does not count for the wider ones: it would keep the neighbours out. In a wide one that is
        full nothing is written: a sender with a fresh address for each attempt leaves no counters.
        """
        limits = [(replace(limit, times=limit.times * looser), f"{name}|{about}") for name, looser in networks]
        for wide, key in limits[1:]:
            until = self.blocked_until(tx, wide, key, now)
            if until is not None:
                return until
        for each, key in limits:
            until = self.hit(tx, each, key, now, weight=weight)
            if until is not None:
                return until
        return None

    def blocked_until(
        self, tx: Transaction, limit: Limit, key: str, now: datetime.datetime
    ) -> datetime.datetime | None:
        """When the next attempt is allowed, None if it is now. Counts nothing."""
        if not self._enabled:
            return None
        bucket, ends_at = self._bucket(limit, key, now)
        found = tx.first(_FIND, {"bucket": bucket})
        return ends_at if found is not None and found[0] >= limit.times else None

    def clear(self, tx: Transaction, limit: Limit, key: str, now: datetime.datetime) -> None:
        """Forgets the attempts of the current window, after a success."""
        if self._enabled:
            tx.count(_CLEAR, {"bucket": self._bucket(limit, key, now)[0]})

    def take_back(self, tx: Transaction, limit: Limit, key: str, now: datetime.datetime) -> None:
        """Counts one attempt of the current window no more: it was a success, where only failures are to be limited."""
        if self._enabled:
            tx.count(_TAKE_BACK, {"of_bucket": self._bucket(limit, key, now)[0]})

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        buckets = tx.execute(select(_TABLE.c.bucket).where(_TABLE.c.expires_at <= now).limit(limit)).scalars().all()
        if buckets:
            tx.execute(delete(RateCounter).where(_TABLE.c.bucket.in_(buckets)))
        return len(buckets)

    def _bucket(self, limit: Limit, key: str, now: datetime.datetime) -> tuple[str, datetime.datetime]:
        """The counter of this key and window."""
        name = f"{limit.name}|{limit.seconds}|{key}"
        phase = self._phase(name, limit.seconds)
        window = (int(now.timestamp()) + phase) // limit.seconds
        ends_at = datetime.datetime.fromtimestamp((window + 1) * limit.seconds - phase, datetime.UTC)
        return self._keyring.keyed_hash("rate limit", f"{name}|{window}"), ends_at

    def _phase(self, name: str, seconds: int) -> int:
        """By how many seconds the windows of ``name`` end early. It depends on the key: not all end at the same moment."""
        return int(self._keyring.keyed_hash("rate limit phase", name)[:8], 16) % seconds
