"""The way back of somebody who lost phone *and* recovery codes: password, mailbox, and days in which the owner can object.

Whoever has the mailbox alone doesn't get here: it takes the password to ask, and a password is reset with the second
factor only. Whoever has both has to wait in full view of the owner.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import bindparam, delete, insert, select, update

from database.models import SecondFactorWait
from database.models.columns import new_id
from database.transaction import Transaction
from provider.accounts.letters import write_to
from provider.accounts.mailed_links import PAUSE
from provider.accounts.users import User, Users
from provider.audit import AuditEvent, AuditRecorder
from provider.deliveries.mail import Mail
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring, is_secret
from provider.security.rate_limit import Limit, RateLimiter
from provider.sign_in.second_factors import has_second_factor
from provider.sign_in.wait_ends import end_waits

BEGIN_SECONDS = 3600
# For so long a wait that is over can be used. Nobody comes back after months to find the second factor gone.
USABLE = datetime.timedelta(days=14)
ASKED_PER_ACCOUNT = Limit("waits without a second factor", 3, 86400)
Kind = Literal["wait", "stop"]
_TABLE = SecondFactorWait.__table__
_RUNNING = (_TABLE.c.begun_at.is_not(None), _TABLE.c.ended_at.is_(None))
_FIND = select(_TABLE).where(
    _TABLE.c.user_id == bindparam("of_user"), *_RUNNING, _TABLE.c.expires_at > bindparam("now")
)


class TooManyWaits(Exception):
    """Three were asked for today. Nothing was sent."""


class WaitOver(Exception):
    """The link was used, has expired, or what it would begin or stop has ended."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait that has begun. From ``over_at`` on the next right password ends the second factor."""

    id: str
    user_id: str
    begun_at: datetime.datetime
    over_at: datetime.datetime
    expires_at: datetime.datetime


class SecondFactorWaits:
    """``days`` is how long the owner has to object; with 0 nobody can ask. ``site`` is the origin that links lead to."""

    def __init__(
        self,
        users: Users,
        mail: Mail,
        rate_limits: RateLimiter,
        audit: AuditRecorder,
        keyring: Keyring,
        *,
        days: int,
        site: str,
    ) -> None:
        self._users = users
        self._mail = mail
        self._rate_limits = rate_limits
        self._audit = audit
        self._keyring = keyring
        self._site = site
        self.days = days

    def ask(self, tx: Transaction, origin: Origin, user: User) -> None:
        """Mails the link that begins a wait to somebody whose password was right. Raises ``TooManyWaits``.

        Links from before stop working; a wait that runs goes on. Asked for twice within a minute, it is written once.
        """
        asked = (_TABLE.c.user_id == user.id, _TABLE.c.begun_at.is_(None), _TABLE.c.ended_at.is_(None))
        if tx.execute(select(_TABLE.c.id).where(*asked, _TABLE.c.created_at > origin.now - PAUSE)).first() is not None:
            return
        if not self.days or self._rate_limits.hit(tx, ASKED_PER_ACCOUNT, user.id, origin.now) is not None:
            raise TooManyWaits
        earlier = update(SecondFactorWait).where(*asked)
        tx.execute(earlier.values(ended_at=origin.now, end_reason="asked_again"))
        wait_id = new_id(origin.now)
        row = {
            "id": wait_id,
            "user_id": user.id,
            "begin_token": self._hash(self._token("wait", wait_id)),
            "stop_token": self._hash(self._token("stop", wait_id)),
            "created_at": origin.now,
            "expires_at": origin.now + datetime.timedelta(seconds=BEGIN_SECONDS),
        }
        tx.execute(insert(SecondFactorWait), row)
        link = f"{self._site}/second-factor-wait/{self._token('wait', wait_id)}"
        said = {"link": link, "days": str(self.days)}
        write_to(self._mail, tx, origin, user, "second_factor_wait_asked", said)
        self._record(tx, origin, AuditEvent.SECOND_FACTOR_WAIT_ASKED, user.id, wait_id)

    def find_asked(self, tx: Transaction, now: datetime.datetime, token: str) -> User | None:
        """The user whose wait this link would begin now."""
        row = self._find_by(tx, "wait", token)
        if row is None or row.begun_at is not None or row.ended_at is not None or row.expires_at <= now:
            return None
        user = self._users.find(tx, row.user_id)
        return user if user is not None and user.is_active and has_second_factor(tx, user) else None

    def begin(self, tx: Transaction, origin: Origin, token: str) -> Wait:
        """Begins a wait, unless one runs already. Once for each link. Raises ``WaitOver``."""
        user, row = self.find_asked(tx, origin.now, token), self._find_by(tx, "wait", token)
        if user is None or row is None or self.running(tx, origin.now, user.id) is not None:
            raise WaitOver
        over_at = origin.now + datetime.timedelta(days=self.days)
        mine = update(SecondFactorWait).where(
            _TABLE.c.id == row.id,
            _TABLE.c.begun_at.is_(None),
            _TABLE.c.ended_at.is_(None),
            _TABLE.c.expires_at > origin.now,
        )
        values = {
            "begun_at": origin.now,
            "over_at": over_at,
            "expires_at": over_at + USABLE,
            "next_letter_at": _next_letter(origin.now, over_at, origin.now),
        }
        if tx.execute(mine.values(values)).rowcount != 1:
            raise WaitOver
        self._post_stop(tx, origin, user, "second_factor_wait_begun", row.id, over_at)
        self._record(tx, origin, AuditEvent.SECOND_FACTOR_WAIT_BEGUN, user.id, row.id)
        return Wait(row.id, user.id, origin.now, over_at, over_at + USABLE)

    def running(self, tx: Transaction, now: datetime.datetime, user_id: str) -> Wait | None:
        """The wait of a user that has begun, is not stopped, and can be used or will be."""
        row = tx.execute(_FIND.limit(1), {"of_user": user_id, "now": now}).first()
        return None if row is None else Wait(row.id, row.user_id, row.begun_at, row.over_at, row.expires_at)

    def find_stoppable(self, tx: Transaction, now: datetime.datetime, token: str) -> Wait | None:
        """The wait that this link would stop now, also one that is only asked for (its times are then those of asking)."""
        row = self._find_by(tx, "stop", token)
        if row is None or row.ended_at is not None or row.expires_at <= now:
            return None
        begun_at, over_at = row.begun_at or row.created_at, row.over_at or row.expires_at
        return Wait(row.id, row.user_id, begun_at, over_at, row.expires_at)

    def stop_by_link(self, tx: Transaction, origin: Origin, token: str) -> None:
        """The owner objects. Raises ``WaitOver``."""
        wait = self.find_stoppable(tx, origin.now, token)
        if wait is None or not end_waits(
            tx, origin, self._audit, wait.user_id, reason="owner_objected", wait_id=wait.id
        ):
            raise WaitOver

    def use(self, tx: Transaction, origin: Origin, user_id: str) -> bool:
        """Whether the second factor may go now, to whoever has just given the right password. True once."""
        mine = update(SecondFactorWait).where(
            _TABLE.c.user_id == user_id, *_RUNNING, _TABLE.c.over_at <= origin.now, _TABLE.c.expires_at > origin.now
        )
        return tx.execute(mine.values(ended_at=origin.now, end_reason="used")).rowcount > 0

    def remind(self, tx: Transaction, now: datetime.datetime, limit: int = 100) -> int:
        """Mails the owners of running waits in the middle and a day before the end. Returns how many were due.

        Each letter is claimed by a conditional UPDATE: of several servers one writes it.
        """
        due = select(_TABLE).where(*_RUNNING, _TABLE.c.next_letter_at <= now, _TABLE.c.over_at > now).limit(limit)
        rows = tx.execute(due).all()
        for row in rows:
            mine = update(SecondFactorWait).where(
                _TABLE.c.id == row.id, _TABLE.c.next_letter_at == row.next_letter_at, _TABLE.c.ended_at.is_(None)
            )
            following = _next_letter(row.begun_at, row.over_at, now)
            user = self._users.find(tx, row.user_id)
            if tx.execute(mine.values(next_letter_at=following)).rowcount == 1 and user is not None and user.is_active:
                origin = Origin.of_server(now)
                self._post_stop(tx, origin, user, "second_factor_wait_runs", row.id, row.over_at)
        return len(rows)

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes waits that nobody began or used in time, and a while later those that were stopped or used."""
        ids = tx.execute(select(_TABLE.c.id).where(_TABLE.c.expires_at <= now).limit(limit)).scalars().all()
        if ids:
            tx.execute(delete(SecondFactorWait).where(_TABLE.c.id.in_(ids)))
        return len(ids)

    def _find_by(self, tx: Transaction, kind: Kind, token: str) -> Any:
        if not is_secret(kind, token):
            return None
        column = _TABLE.c.begin_token if kind == "wait" else _TABLE.c.stop_token
        return tx.execute(select(_TABLE).where(column == self._hash(token))).first()

    def _token(self, kind: Kind, wait_id: str) -> str:
        """A link's secret follows from the row, so that later letters can have the same one and no table has it."""
        return self._keyring.derive_secret(kind, "second factor wait", f"{kind}|{wait_id}")

    def _hash(self, token: str) -> str:
        return self._keyring.keyed_hash("second factor wait link", token)

    def _post_stop(
        self, tx: Transaction, origin: Origin, user: User, letter: str, wait_id: str, over_at: datetime.datetime
    ) -> None:
        link = f"{self._site}/second-factor-wait/stop/{self._token('stop', wait_id)}"
        write_to(self._mail, tx, origin, user, letter, {"link": link, "over_at": over_at.isoformat()})

    def _record(
        self, tx: Transaction, origin: Origin, event: AuditEvent, user_id: str, wait_id: str | None, **details: str
    ) -> None:
        self._audit.record(
            tx,
            event,
            origin,
            user_id=user_id,
            resource_type="second_factor_waits",
            resource_id=wait_id,
            **details,
        )


def _next_letter(
    begun_at: datetime.datetime, over_at: datetime.datetime, now: datetime.datetime
) -> datetime.datetime | None:
    """When the next letter in between is due: in the middle, and a day before the end (of one day: at three quarters)."""
    last = max(over_at - datetime.timedelta(days=1), begun_at + (over_at - begun_at) * 3 / 4)
    return next((moment for moment in (begun_at + (over_at - begun_at) / 2, last) if moment > now), None)
