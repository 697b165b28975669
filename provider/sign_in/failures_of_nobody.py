"""Wrong guesses in a row at a name that nobody has, counted as those at an account are: the time of answers is no other.

The counters stand among the others (``rate_counters``) and end by themselves. What a real account does for good, a name
without one does for thirty days: a guesser who comes back later has fifty answers a day to compare, and begins anew.
"""

from __future__ import annotations

import datetime

from sqlalchemy import bindparam, update
from sqlalchemy.dialects import mysql, sqlite

from database.models import RateCounter
from database.prepared import Counting, Prepared
from database.transaction import Transaction
from provider.security.crypto import Keyring
from provider.sign_in.consecutive_failures import MOST

KEPT = datetime.timedelta(days=30)
_TABLE = RateCounter.__table__
_THIS = _TABLE.c.bucket == bindparam("of_bucket")
_COUNT = Counting.up(update(RateCounter).where(_THIS, _TABLE.c.count < MOST), "count")
_NONE = {name: bindparam(name, type_=_TABLE.c[name].type) for name in ("bucket", "count", "expires_at")}
_AS_IT_IS = {"count": _TABLE.c.count}
_BEGIN_SERVER = Prepared(mysql.insert(RateCounter).values(_NONE).on_duplicate_key_update(_AS_IT_IS))
_BEGIN_SQLITE = Prepared(
    sqlite.insert(RateCounter).values(_NONE).on_conflict_do_update(index_elements=["bucket"], set_=_AS_IT_IS)
)
_TAKE_BACK = Prepared(
    update(RateCounter).where(_THIS, _TABLE.c.count.between(1, MOST)).values(count=_TABLE.c.count - 1)
)
_CLOSE = Prepared(update(RateCounter).where(_THIS, _TABLE.c.count == MOST).values(count=MOST + 1))


class FailuresOfNobody:
    """``name`` is the canonical form of what was typed. The statements are those of ``ConsecutiveFailures``, one by one."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def count(self, tx: Transaction, now: datetime.datetime, name: str) -> int | None:
        """Which one in a row this guess is, None where a real account would be closed."""
        this = self._this(name)
        number = tx.total(_COUNT, this)
        if number is None:
            none = {"bucket": this["of_bucket"], "count": 0, "expires_at": now + KEPT}
            tx.count(_BEGIN_SQLITE if tx.is_sqlite else _BEGIN_SERVER, none)
            number = tx.total(_COUNT, this)
            if number is None:
                tx.count(_CLOSE, this)
        return number

    def take_back(self, tx: Transaction, name: str) -> None:
        """A counted guess was not looked at after all."""
        tx.count(_TAKE_BACK, self._this(name))

    def _this(self, name: str) -> dict[str, str]:
        return {"of_bucket": self._keyring.keyed_hash("failures of nobody", name)}
