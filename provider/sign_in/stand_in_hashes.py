"""What a guess at nobody's password is checked against: a hash as costly as those that are there, a row like theirs."""

from __future__ import annotations

import datetime
import re

from database.transaction import Transaction
from provider.accounts.users import Users
from provider.security.crypto import Keyring
from provider.sign_in.passwords import hash_of_nobody

FRESH_FOR = datetime.timedelta(hours=1)
_PARAMETERS = re.compile(r"\$argon2id\$v=19\$m=[0-9]+,t=[0-9]+,p=[0-9]+")
_STEPS = 1 << 52


class StandInHashes:
    """Gives each unknown name a cost out of those that are stored, in their proportions.

    Once hashes are made costlier, people keep their old hash until they sign in, and stand-ins of the new cost alone
    would tell them all from unknown names. A name keeps its cost until the proportions change: asking often tells nothing.
    """

    def __init__(self, users: Users, keyring: Keyring, *, parameters: str) -> None:
        self._users = users
        self._keyring = keyring
        self._of_new_hashes = parameters
        self._hashes: dict[str, str] = {}
        self._stored: list[tuple[str, int]] = []
        self._user_id = ""
        self._fresh_until = datetime.datetime.min.replace(tzinfo=datetime.UTC)

    def choose(self, tx: Transaction, now: datetime.datetime, name: str) -> str:
        """The stand-in for ``name``. Once an hour the stored costs are counted anew, whoever is asked about."""
        if now >= self._fresh_until:
            counted = self._users.count_hash_parameters(tx)
            self._stored = sorted((found, users) for found, users in counted.items() if _PARAMETERS.fullmatch(found))
            self._user_id = self._users.first_id(tx)
            self._fresh_until = now + FRESH_FOR
        parameters = self._pick(int(self._keyring.keyed_hash("stand-in hash", name)[:13], 16) / _STEPS)
        return self._hashes.setdefault(parameters, hash_of_nobody(parameters))

    @property
    def user_id(self) -> str:
        """Whose row is read where there is no user, so that as much is read. Empty while there are none."""
        return self._user_id

    def _pick(self, point: float) -> str:
        """The cost at ``point`` (0 to 1) of all that are stored, laid end to end."""
        before = 0
        share = point * sum(users for _, users in self._stored)
        for parameters, users in self._stored:
            before += users
            if share < before:
                return parameters
        return self._of_new_hashes
