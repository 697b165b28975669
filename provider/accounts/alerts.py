"""What a person is told by mail because it could have been somebody else.

Each letter has one link, "This wasn't me", that works signed out and once. Of what happens again and again a person gets
few letters at once, and the rest together in one.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects import mysql, sqlite

from database.models import HeldAlert, metadata
from database.transaction import Transaction
from provider.accounts.letters import write_to
from provider.accounts.mailed_links import MailedLinks
from provider.accounts.users import User, Users
from provider.deliveries.mail import Mail
from provider.protocol.messages import Origin
from provider.protocol.user_agents import browser_and_system
from provider.security.crypto import SECRET_PATTERN, Keyring
from provider.security.rate_limit import Limit, RateLimiter

LINK_SECONDS = 30 * 86400
HELD = datetime.timedelta(hours=1)
_HELD = HeldAlert.__table__


class Alert(StrEnum):
    """Kinds of notices. Each has its own letter, ``templates/mail/alert_<value>.txt``."""

    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - the name of a notice
    PASSKEY_ADDED = "passkey_added"
    PASSKEY_REMOVED = "passkey_removed"
    PASSKEY_SUSPECTED = "passkey_suspected"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - the same
    USERNAME_CHANGED = "username_changed"
    SECOND_FACTOR_LOST = "second_factor_lost"
    NEW_DEVICE = "new_device"
    SECOND_FACTOR_ON = "second_factor_on"
    SECOND_FACTOR_OFF = "second_factor_off"
    RECOVERY_CODE_USED = "recovery_code_used"
    WRONG_CODES = "wrong_codes"
    API_KEY_MADE = "api_key_made"
    OFFLINE_APP = "offline_app"
    TOKEN_REPLAYED = "token_replayed"  # noqa: S105 - the name of a notice
    LOCKED_DOWN = "locked_down"
    ACCOUNT_CLOSED = "account_closed"
    ERASED_SOON = "erased_soon"
    MADE_ADMINISTRATOR = "made_administrator"


# What a thief could fill a mailbox with. Those together are bounded for a person, so that no flood of them takes away
# the letters of anything else; every kind is bounded for itself.
_REPEATED = frozenset(
    {Alert.NEW_DEVICE, Alert.WRONG_CODES, Alert.API_KEY_MADE, Alert.OFFLINE_APP, Alert.TOKEN_REPLAYED}
)
_PER_PERSON = Limit("letters of what repeats", 8, 3600)
_TIMES = {Alert.WRONG_CODES: 1}
_ONCE_ANYWAY = frozenset({Alert.LOCKED_DOWN, Alert.ERASED_SOON})
_WITHOUT_LINK = frozenset({Alert.LOCKED_DOWN})


class Alerts:
    """``origin`` is where pages live, for the addresses in letters."""

    def __init__(self, mail: Mail, keyring: Keyring, rate_limits: RateLimiter, users: Users, *, origin: str) -> None:
        self._mail = mail
        self._rate_limits = rate_limits
        self._users = users
        self._origin = origin
        self._links = MailedLinks(keyring, metadata.tables["alert_links"], "alert", LINK_SECONDS)

    def tell(
        self, tx: Transaction, origin: Origin, user: User, alert: Alert, *, to: str | None = None, **values: str
    ) -> None:
        """Writes the person a letter about what happened just now. ``to`` is another address than that of the account.

        ``values`` are what the letter says besides when and where; no secret is among them, but a link that works in place
        of ours. One too many of an hour is told of later, with others of its kind. An address that waits to be confirmed may
        be a stranger's, and gets none.
        """
        if user.is_unconfirmed and to is None:
            return
        if to is None and self._is_too_many(tx, origin, user.id, alert):
            self._hold(tx, origin.now, user.id, alert)
            return
        browser, system = browser_and_system(origin.user_agent)
        said = {
            "at": origin.now.isoformat(),
            "network": origin.source,
            "browser": browser,
            "system": system,
            **values,
        }
        has_link = any(SECRET_PATTERN.search(value) for value in values.values())
        if alert not in _WITHOUT_LINK and not has_link and (user.is_verified or to):
            said["not_me"] = self._not_me(tx, origin, user.id, alert)
        write_to(self._mail, tx, origin, user, f"alert_{alert}", said, to=to)

    def page(self, path: str) -> str:
        """The whole address of a page, for a letter."""
        return f"{self._origin}{path}"

    def find(self, tx: Transaction, now: datetime.datetime, token: str) -> Mapping[str, Any] | None:
        """Whose a "This wasn't me" is (``user_id``) and what it is about (``alert``). None when it works no more."""
        return self._links.find(tx, now, token)

    def use(self, tx: Transaction, now: datetime.datetime, token: str) -> Mapping[str, Any]:
        """The same, and it works no more. Raises ``LinkOver``."""
        return self._links.use(tx, now, token)

    def forget_links(self, tx: Transaction, now: datetime.datetime, user_id: str) -> None:
        """What the letters before offered has been done."""
        self._links.void(tx, now, user_id)

    def tell_held(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Tells people in one letter each of what was held back an hour ago and since. Returns how many letters."""
        due = select(_HELD.c.user_id).where(_HELD.c.first_at <= now - HELD).distinct().limit(limit)
        return sum(self._tell_held(tx, now, user_id) for user_id in sorted(tx.execute(due).scalars()))

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes links that are over."""
        return self._links.purge(tx, now, limit)

    def _tell_held(self, tx: Transaction, now: datetime.datetime, user_id: str) -> bool:
        rows = tx.execute(select(_HELD).where(_HELD.c.user_id == user_id)).all()
        user = self._users.find(tx, user_id)
        if tx.execute(delete(HeldAlert).where(_HELD.c.user_id == user_id)).rowcount == 0 or user is None:
            return False  # another sweeper was quicker
        counts: dict[str, int] = defaultdict(int)
        for row in rows:
            counts[row.alert if row.alert in _REPEATED else "other"] += row.times
        said = {kind: str(count) for kind, count in counts.items()}
        said["since"] = min(row.first_at for row in rows).isoformat()
        origin = Origin.of_server(now)
        if user.is_verified:
            said["not_me"] = self._not_me(tx, origin, user_id, max(rows, key=lambda row: row.times).alert)
        write_to(self._mail, tx, origin, user, "alerts_held", said)
        return True

    def _is_too_many(self, tx: Transaction, origin: Origin, user_id: str, alert: Alert) -> bool:
        if alert in _ONCE_ANYWAY:
            return False
        is_one_too_many = False
        if alert in _REPEATED:  # first what they share, so that no two letters wait for each other's counters
            is_one_too_many = self._rate_limits.hit(tx, _PER_PERSON, user_id, origin.now) is not None
        own = Limit(f"letters of {alert}", _TIMES.get(alert, 3), 3600)
        return self._rate_limits.hit(tx, own, user_id, origin.now) is not None or is_one_too_many

    def _hold(self, tx: Transaction, now: datetime.datetime, user_id: str, alert: Alert) -> None:
        row = {"user_id": user_id, "alert": alert.value, "times": 1, "first_at": now, "last_at": now}
        again = {"times": _HELD.c.times + 1, "last_at": now}
        if tx.is_sqlite:
            tx.execute(
                sqlite.insert(HeldAlert).on_conflict_do_update(index_elements=list(_HELD.primary_key), set_=again), row
            )
        else:
            tx.execute(mysql.insert(HeldAlert).on_duplicate_key_update(again), row)

    def _not_me(self, tx: Transaction, origin: Origin, user_id: str, alert: str) -> str:
        return self.page(f"/not-me/{self._links.issue(tx, origin, user_id, alert=alert)}")
