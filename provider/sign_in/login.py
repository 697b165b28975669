"""Signing in: a password, then a second factor where there is one. No session before the last step."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update

from database.models import LoginAttempt
from database.transaction import Transaction
from provider.accounts.alerts import Alert, Alerts
from provider.accounts.login_names import login_forms
from provider.accounts.users import User, Users
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring, constant_time_equal, is_secret, new_secret
from provider.sign_in.attempts import Attempts, CodesUnreadable
from provider.sign_in.hashing import HashingBusy
from provider.sign_in.passwords import Passwords
from provider.sign_in.recovery_codes import RecoveryCodes, is_recovery_code
from provider.sign_in.sessions import Sessions
from provider.sign_in.stand_in_hashes import StandInHashes
from provider.sign_in.totp import Totp

STEP_SECONDS = 600
_TABLE = LoginAttempt.__table__
_FIND_STEP = select(_TABLE.c.user_id, _TABLE.c.amr).where(
    _TABLE.c.token_hash == bindparam("token_hash"),
    _TABLE.c.used_at.is_(None),
    _TABLE.c.expires_at > bindparam("now"),
)


class WrongCredentials(Exception):
    """Unknown name, wrong password, no password or a disabled user: nobody can tell which."""


class WrongCode(Exception):
    """Neither a fresh TOTP code nor an unused recovery code."""


class StepExpired(Exception):
    """The time between password and code is over, or this sign-in was finished already."""


@dataclass(frozen=True, slots=True)
class CompletedLogin:
    """A person who passed every step. ``amr`` names the methods (RFC 8176)."""

    user: User
    amr: tuple[str, ...]
    recovery_codes_left: int | None = None


class Login:
    """Checks one step after the other. How often somebody may try is for ``Attempts`` to say."""

    def __init__(
        self,
        users: Users,
        passwords: Passwords,
        totp: Totp,
        recovery_codes: RecoveryCodes,
        sessions: Sessions,
        stand_ins: StandInHashes,
        attempts: Attempts,
        audit: AuditRecorder,
        keyring: Keyring,
        alerts: Alerts,
    ) -> None:
        self._users = users
        self._passwords = passwords
        self._totp = totp
        self._recovery_codes = recovery_codes
        self._sessions = sessions
        self._stand_ins = stand_ins
        self._attempts = attempts
        self._audit = audit
        self._keyring = keyring
        self._alerts = alerts

    def check_password(
        self, tx: Transaction, origin: Origin, login_name: str, password: str, *, device: str = ""
    ) -> User:
        """The user whose password this is. Raises ``WrongCredentials``, ``Throttled``, ``HashingBusy``.

        One whose account is closed (``closed_at``) is asked whether to come back, and gets no session before.
        Hashes outside of a transaction, and does the same work for every name, known or not. A right password is refused
        as well while a limit is exceeded, so that the answer tells a guesser nothing. ``device`` is what ``device_token``
        gave this browser when the user signed in there.
        """
        user_id = self._users.id_by_login(tx, login_name)
        name = _canonical(login_name)
        stand_in = self._stand_ins.choose(tx, origin.now, user_id or name)
        found = self._users.find(tx, user_id or self._stand_ins.user_id)
        user = found if user_id else None
        is_known_device = self._is_known_device(user, device)
        attempt = self._attempts.count_password(tx, origin, name, user, is_known_device=is_known_device)
        tx.commit()
        try:
            is_right = self._passwords.verify(user.password_hash if user else None, password, stand_in=stand_in)
        except HashingBusy:
            self._attempts.take_back(tx, origin, attempt)
            tx.commit()
            raise
        if not attempt.is_looked_at:
            raise WrongCredentials
        if user is None or not is_right or not user.may_prove:
            self._attempts.fail(tx, origin, attempt)
            self._audit.record(tx, AuditEvent.LOGIN_FAILED, origin, user_id=user_id, outcome="failed")
            raise WrongCredentials
        renewed = self._renewed(user, password)
        self._attempts.succeed(
            tx, origin, attempt
        )  # counters before the user, as everywhere: no two wait for each other
        if renewed is not None:
            self._users.renew_password_hash(tx, user, renewed)
        return user

    def _renewed(self, user: User, password: str) -> str | None:
        """The hash of a right password under newer parameters, None where the stored one has them already."""
        if user.password_hash is None or not self._passwords.needs_rehash(user.password_hash):
            return None
        try:
            return self._passwords.hash(password)
        except HashingBusy:  # another time
            return None

    def device_token(self, user: User) -> str:
        """What a browser keeps to be known as one in which this user has signed in. Void once the password is another.

        A session is no less proof of that: what a signed-in person is asked for can be checked with it as well.
        """
        return self._device_token(f"{user.id}|{user.password_changed_at}")

    def _is_known_device(self, user: User | None, device: str) -> bool:
        whose = f"{user.id}|{user.password_changed_at}" if user is not None else "nobody"
        return constant_time_equal(device, self._device_token(whose)) and user is not None

    def _device_token(self, whose: str) -> str:
        return self._keyring.keyed_hash("known device", whose)

    def begin_second_factor(self, tx: Transaction, origin: Origin, user: User) -> str:
        """Remembers that this browser knew the password. Returns the value of its step cookie, good for ten minutes."""
        token = new_secret("step")
        row = {
            "token_hash": self._hash(token),
            "user_id": user.id,
            "amr": "pwd",
            "created_at": origin.now,
            "expires_at": origin.now + datetime.timedelta(seconds=STEP_SECONDS),
        }
        tx.execute(insert(LoginAttempt), row)
        tx.mark((_TABLE.c.token_hash, row["token_hash"]))
        return token

    def find_step(self, tx: Transaction, now: datetime.datetime, step_token: str) -> User | None:
        """The user whose second factor is being asked for, None when the step is over."""
        if not is_secret("step", step_token):
            return None
        row = tx.execute(_FIND_STEP, {"token_hash": self._hash(step_token), "now": now}).first()
        user = None if row is None else self._users.find(tx, row.user_id)
        return user if user is not None and user.may_prove else None

    def check_second_factor(
        self, tx: Transaction, origin: Origin, step_token: str, code: str, *, device: str = ""
    ) -> CompletedLogin:
        """Finishes a sign-in by a TOTP or recovery code. Raises ``StepExpired`` and what ``check_code`` does."""
        user = self.find_step(tx, origin.now, step_token)
        if user is None:
            raise StepExpired
        amr, left = self.check_code(tx, origin, user, code, device=device)
        self.use_step(tx, origin, step_token)
        return CompletedLogin(user, ("pwd", *amr), left)

    def use_step(self, tx: Transaction, origin: Origin, step_token: str) -> None:
        """Uses the step up once its second factor was right, for one caller. Raises ``StepExpired``."""
        claim = update(LoginAttempt).where(_TABLE.c.token_hash == self._hash(step_token), _TABLE.c.used_at.is_(None))
        if tx.execute(claim.values(used_at=origin.now)).rowcount != 1:
            raise StepExpired

    def check_code(
        self, tx: Transaction, origin: Origin, user: User, code: str, *, device: str = ""
    ) -> tuple[tuple[str, ...], int | None]:
        """Checks one code of a user whose password was right: its methods, and the recovery codes left if it was one.

        A recovery code is hashed outside of the transaction, and its use is told by mail. Raises ``WrongCode``,
        ``Throttled``, ``CodesNotTaken``, ``HashingBusy``.
        """
        is_spare = is_recovery_code(code)
        attempt = self._attempts.count_code(
            tx, origin, user, is_recovery_code=is_spare, is_known_device=self._is_known_device(user, device)
        )
        left = None
        amr: tuple[str, ...] = ("mfa",) if is_spare else ("otp", "mfa")
        try:
            if is_spare:
                left = self._recovery_codes.use(tx, origin, user.id, code)
            is_right = left is not None if is_spare else self._totp.verify(tx, origin, user.id, code)
        except HashingBusy:
            self._attempts.take_back(tx, origin, attempt)
            tx.commit()
            raise
        except CodesUnreadable:  # nobody has guessed
            self._attempts.take_back(tx, origin, attempt)
            raise
        if not is_right:
            self._attempts.fail(tx, origin, attempt)
            self._audit.record(tx, AuditEvent.SECOND_FACTOR_FAILED, origin, user_id=user.id, outcome="failed")
            raise WrongCode
        self._attempts.succeed(tx, origin, attempt)
        if left is not None:
            self._alerts.tell(tx, origin, user, Alert.RECOVERY_CODE_USED, left=str(left))
        return amr, left

    def start_session(
        self,
        tx: Transaction,
        origin: Origin,
        user: User,
        amr: tuple[str, ...],
        previous_token: str | None = None,
        browser: str = "",
        device: str = "",
    ) -> str:
        """Signs the user in. A session that the browser had before ends. ``browser`` is the id in its cookie.

        By that, or by what ``device_token`` gave it, it is known; who signs in elsewhere is told so. Nobody is told of the
        first time, before which there is no device.
        """
        is_known = self._is_known_device(user, device) or self._sessions.knows(tx, user.id, browser)
        said: dict[str, Any] = {"amr": list(amr)}
        said |= {"new_device": True} if user.last_login_at is not None and not is_known else {}
        if previous_token:
            self._sessions.end_by_token(tx, origin, previous_token, "replaced")
        token = self._sessions.start(tx, origin, user.id, amr, browser=browser)
        self._users.record_login(tx, user.id, origin.now)
        self._audit.record(tx, AuditEvent.LOGIN_SUCCEEDED, origin, user_id=user.id, **said)
        return token

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        keys = tx.execute(select(_TABLE.c.token_hash).where(_TABLE.c.expires_at <= now).limit(limit)).scalars().all()
        if keys:
            tx.execute(delete(LoginAttempt).where(_TABLE.c.token_hash.in_(keys)))
        return len(keys)

    def _hash(self, token: str) -> str:
        return self._keyring.keyed_hash("login step", token)


def _canonical(login_name: str) -> str:
    """What attempts on an unknown name are counted under: the same as for a known one."""
    return next(iter(login_forms(login_name)), login_name[:255])
