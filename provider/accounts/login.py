"""Signing in: a password, then a second factor where there is one. No session before the last step."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, insert, select, update

from database.models import LoginAttempt
from database.transaction import Transaction
from provider.accounts.passwords import Passwords
from provider.accounts.recovery_codes import RecoveryCodes
from provider.accounts.sessions import Sessions
from provider.accounts.totp import Totp
from provider.accounts.users import InvalidName, User, Users, canonical_email, canonical_username
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring, constant_time_equal, is_secret, new_secret
from provider.security.rate_limit import Limit, RateLimiter

STEP_SECONDS = 600
PASSWORD_PER_ACCOUNT = (Limit("password per account", 10, 900), Limit("password per account", 50, 86400))
PASSWORD_PER_SOURCE = (Limit("password per source", 50, 900),)
CODE_PER_ACCOUNT = (Limit("code", 5, 300), Limit("code", 20, 3600), Limit("code", 50, 86400))
RECORDED = Limit("throttled sign-ins on record", 1, 300)
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


class Throttled(Exception):
    """Too many attempts. ``until`` is when the next one is looked at."""

    def __init__(self, until: datetime.datetime) -> None:
        super().__init__(until.isoformat())
        self.until = until


@dataclass(frozen=True, slots=True)
class CompletedLogin:
    """A person who passed every step. ``amr`` names the methods (RFC 8176)."""

    user: User
    amr: tuple[str, ...]
    recovery_codes_left: int | None = None


class Login:
    """Attempts are counted before they are looked at, so that parallel guesses can't slip past the limit."""

    def __init__(
        self,
        users: Users,
        passwords: Passwords,
        totp: Totp,
        recovery_codes: RecoveryCodes,
        sessions: Sessions,
        rate_limits: RateLimiter,
        audit: AuditRecorder,
        keyring: Keyring,
    ) -> None:
        self._users = users
        self._passwords = passwords
        self._totp = totp
        self._recovery_codes = recovery_codes
        self._sessions = sessions
        self._rate_limits = rate_limits
        self._audit = audit
        self._keyring = keyring

    def check_password(
        self, tx: Transaction, origin: Origin, login_name: str, password: str, *, device: str = ""
    ) -> User:
        """The user whose password this is. Raises ``WrongCredentials``, ``Throttled``. Hashes outside of a transaction.

        The same work is done for every name, known or not, and a right password is refused as well while the limit is
        exceeded: the answer tells a guesser nothing. ``device`` is what ``device_token`` gave this browser when the user
        signed in there; its attempts are counted apart, so that a stranger's guesses keep nobody out at home.
        """
        user = self._users.find_by_login(tx, login_name)
        account = user.id if user else _canonical(login_name)
        if user is not None and constant_time_equal(device, self.device_token(user)):
            account = f"{user.id}|known device"
        user_id = user.id if user else None
        # What an address tries beyond its limit counts for no account: it could keep everybody out otherwise.
        for limits, key in ((PASSWORD_PER_SOURCE, origin.network), (PASSWORD_PER_ACCOUNT, account)):
            until = self._count(tx, origin, limits, key)
            if until is not None:
                self._record_throttled(tx, origin, AuditEvent.LOGIN_THROTTLED, key, user_id)
                raise Throttled(until)
        tx.commit()
        is_right = self._passwords.verify(user.password_hash if user else None, password)
        if user is None or not is_right or not user.is_active:
            self._audit.record(tx, AuditEvent.LOGIN_FAILED, origin, user_id=user_id, outcome="failed")
            raise WrongCredentials
        if user.password_hash is not None and self._passwords.needs_rehash(user.password_hash):
            self._users.renew_password_hash(tx, user, self._passwords.hash(password))
        for limit in PASSWORD_PER_ACCOUNT:
            self._rate_limits.clear(tx, limit, account, origin.now)
        for limit in PASSWORD_PER_SOURCE:  # people of one office share an address; only their mistakes count
            self._rate_limits.take_back(tx, limit, origin.network, origin.now)
        return user

    def device_token(self, user: User) -> str:
        """What a browser keeps to be known as one in which this user has signed in. Void once the password is another."""
        return self._keyring.keyed_hash("known device", f"{user.id}|{user.password_hash}")

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
        return token

    def find_step(self, tx: Transaction, now: datetime.datetime, step_token: str) -> User | None:
        """The user whose second factor is being asked for, None when the step is over."""
        if not is_secret("step", step_token):
            return None
        row = tx.execute(_FIND_STEP, {"token_hash": self._hash(step_token), "now": now}).first()
        user = None if row is None else self._users.find(tx, row.user_id)
        return user if user is not None and user.is_active else None

    def check_second_factor(self, tx: Transaction, origin: Origin, step_token: str, code: str) -> CompletedLogin:
        """Finishes a sign-in by a TOTP or recovery code. Raises ``StepExpired``, ``WrongCode``, ``Throttled``."""
        user = self.find_step(tx, origin.now, step_token)
        if user is None:
            raise StepExpired
        amr, left = self.check_code(tx, origin, user, code)
        claim = update(LoginAttempt).where(_TABLE.c.token_hash == self._hash(step_token), _TABLE.c.used_at.is_(None))
        if tx.execute(claim.values(used_at=origin.now)).rowcount != 1:
            raise StepExpired
        return CompletedLogin(user, ("pwd", *amr), left)

    def check_code(self, tx: Transaction, origin: Origin, user: User, code: str) -> tuple[tuple[str, ...], int | None]:
        """Checks one code of a user who is known already. Returns its methods and the recovery codes left, if one was used.

        Counted per account, whatever browser or address it comes from; recovery codes share the count. Raises
        ``WrongCode``, ``Throttled``.
        """
        until = self._count(tx, origin, CODE_PER_ACCOUNT, user.id)
        if until is not None:
            self._record_throttled(tx, origin, AuditEvent.SECOND_FACTOR_THROTTLED, user.id, user.id)
            raise Throttled(until)
        left = None
        is_right = self._totp.verify(tx, origin, user.id, code)
        amr: tuple[str, ...] = ("otp", "mfa")
        if not is_right:
            left = self._recovery_codes.use(tx, origin, user.id, code)
            amr = ("mfa",)
        if not is_right and left is None:
            self._audit.record(tx, AuditEvent.SECOND_FACTOR_FAILED, origin, user_id=user.id, outcome="failed")
            raise WrongCode
        for limit in CODE_PER_ACCOUNT:
            self._rate_limits.clear(tx, limit, user.id, origin.now)
        return amr, left

    def start_session(
        self,
        tx: Transaction,
        origin: Origin,
        user: User,
        amr: tuple[str, ...],
        previous_token: str | None = None,
    ) -> str:
        """Signs the user in. A session that the browser had before ends."""
        if previous_token:
            self._sessions.end_by_token(tx, origin, previous_token, "replaced")
        token = self._sessions.start(tx, origin, user.id, amr)
        self._users.record_login(tx, user.id, origin.now)
        self._audit.record(tx, AuditEvent.LOGIN_SUCCEEDED, origin, user_id=user.id, amr=list(amr))
        return token

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        keys = tx.execute(select(_TABLE.c.token_hash).where(_TABLE.c.expires_at <= now).limit(limit)).scalars().all()
        if keys:
            tx.execute(delete(LoginAttempt).where(_TABLE.c.token_hash.in_(keys)))
        return len(keys)

    def _count(self, tx: Transaction, origin: Origin, limits: tuple[Limit, ...], key: str) -> datetime.datetime | None:
        over = [self._rate_limits.hit(tx, limit, key, origin.now) for limit in limits]
        return max((until for until in over if until is not None), default=None)

    def _record_throttled(
        self, tx: Transaction, origin: Origin, event: AuditEvent, key: str, user_id: str | None
    ) -> None:
        """Once in a while: what is refused without a look costs the guesser nothing, and must fill no table."""
        if self._rate_limits.hit(tx, RECORDED, f"{event}|{key}", origin.now) is None:
            self._audit.record(tx, event, origin, user_id=user_id, outcome="denied")

    def _hash(self, token: str) -> str:
        return self._keyring.keyed_hash("login step", token)


def _canonical(login_name: str) -> str:
    """What attempts on an unknown name are counted under: the same as for a known one."""
    try:
        return canonical_email(login_name) if "@" in login_name else canonical_username(login_name)
    except InvalidName:
        return login_name[:255]
