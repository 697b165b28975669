"""Credentials that clouds gave a while ago, until shortly before they end. In the memory of this process alone."""

from __future__ import annotations

import datetime
import threading
from collections import OrderedDict

from provider.vault.account import CloudAccount
from provider.vault.exchanges.exchange import CloudCredentials

MOST = 4096
# Programs of the clouds renew what ends within a quarter of an hour: they would come again for the same.
LONGEST_REST = datetime.timedelta(minutes=15)
_Key = tuple[str, str, int]


class CredentialCache:
    """By account, owner and version: what was changed or made anew is another account. Beyond ``most`` the oldest go."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: OrderedDict[_Key, tuple[datetime.datetime, CloudCredentials]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, account: CloudAccount, now: datetime.datetime) -> CloudCredentials | None:
        with self._lock:
            known = self._kept.get(_key(account))
            if known is None:
                return None
            if known[0] <= now:
                del self._kept[_key(account)]
                return None
            return known[1]

    def put(self, account: CloudAccount, now: datetime.datetime, credentials: CloudCredentials) -> None:
        """Keeps what ends; for three quarters of its life at least."""
        if credentials.expires_at is None:
            return
        fresh_until = credentials.expires_at - min(LONGEST_REST, (credentials.expires_at - now) / 4)
        with self._lock:
            self._kept[_key(account)] = (fresh_until, credentials)
            self._kept.move_to_end(_key(account))
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)


def _key(account: CloudAccount) -> _Key:
    return account.id, account.user_id, account.version
