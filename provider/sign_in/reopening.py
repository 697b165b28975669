"""Coming back to a closed account: whoever proved who they are, as for signing in, is asked whether to open it again."""

from __future__ import annotations

import datetime

from sqlalchemy import insert, select, update

from database.models import LoginAttempt
from database.transaction import Transaction
from provider.accounts.users import Users
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring, is_secret, new_secret
from provider.sign_in.closing import Closing
from provider.sign_in.login import STEP_SECONDS, CompletedLogin, StepExpired

_TABLE = LoginAttempt.__table__


class Reopening:
    """A step as between password and code, under a name of its own: neither works in the other's place."""

    def __init__(self, users: Users, closing: Closing, keyring: Keyring) -> None:
        self._users = users
        self._closing = closing
        self._keyring = keyring

    def begin(self, tx: Transaction, origin: Origin, completed: CompletedLogin) -> str:
        """Remembers who has passed every step of signing in. Returns the value of the step cookie, good for ten minutes."""
        token = new_secret("step")
        row = {
            "token_hash": self._hash(token),
            "user_id": completed.user.id,
            "amr": " ".join(completed.amr),
            "created_at": origin.now,
            "expires_at": origin.now + datetime.timedelta(seconds=STEP_SECONDS),
        }
        tx.execute(insert(LoginAttempt), row)
        return token

    def find(self, tx: Transaction, now: datetime.datetime, token: str) -> CompletedLogin | None:
        """Who is asked, None when the step is over or there is nothing to open again."""
        if not is_secret("step", token):
            return None
        mine = (_TABLE.c.token_hash == self._hash(token), _TABLE.c.used_at.is_(None), _TABLE.c.expires_at > now)
        row = tx.execute(select(_TABLE.c.user_id, _TABLE.c.amr).where(*mine)).first()
        user = None if row is None else self._users.find(tx, row.user_id)
        if row is None or user is None or user.closed_at is None:
            return None
        return CompletedLogin(user, tuple(row.amr.split()))

    def finish(self, tx: Transaction, origin: Origin, token: str) -> CompletedLogin:
        """Opens the account again, for one caller. Raises ``StepExpired``."""
        completed = self.find(tx, origin.now, token)
        if completed is None:
            raise StepExpired
        mine = update(LoginAttempt).where(_TABLE.c.token_hash == self._hash(token), _TABLE.c.used_at.is_(None))
        if tx.execute(mine.values(used_at=origin.now)).rowcount != 1:
            raise StepExpired
        if not self._closing.reopen(tx, origin, completed.user.id):
            raise StepExpired
        user = self._users.find(tx, completed.user.id)
        assert user is not None  # noqa: S101 - it has just been opened
        return CompletedLogin(user, completed.amr)

    def _hash(self, token: str) -> str:
        return self._keyring.keyed_hash("reopening", token)
