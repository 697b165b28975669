"""Time-based one-time passwords (RFC 6238): enrolment, checking, and each step used once."""

from __future__ import annotations

import datetime
import re

import pyotp
from sqlalchemy import bindparam, select, update

from database.models import User as UserRow
from database.models import UserSession
from database.transaction import Transaction
from provider.accounts.users import User
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.protocol.text import typed_code
from provider.sealed_values import SealedValues
from provider.security.crypto import DecryptionFailed, constant_time_equal
from provider.security.sealed_columns import TOTP_ENROLMENT, TOTP_SECRET
from provider.sign_in.attempts import CodesUnreadable
from provider.sign_in.remembered_devices import RememberedDevices
from provider.sign_in.sessions import Session

STEP_SECONDS = 30
WINDOW_STEPS = 1
_STUMBLING_BLOCKS = re.compile(r"[:/?#&=%+;\\\"]|[^\S ]")
_CODE = re.compile(r"[0-9]{6}")
_USERS = UserRow.__table__
_SESSIONS = UserSession.__table__
_FIND_SECRET = select(_USERS.c.two_factor_secret).where(
    _USERS.c.id == bindparam("user_id"), _USERS.c.two_factor_enabled.is_(True)
)
_USE_STEP = (
    update(UserRow)
    .where(
        _USERS.c.id == bindparam("row_id"),
        _USERS.c.two_factor_last_step.is_(None) | (_USERS.c.two_factor_last_step < bindparam("step")),
    )
    .values(two_factor_last_step=bindparam("step"))
)


class Totp:
    """A secret is stored encrypted: on the session while it is being set up, on the user once a code has proved it."""

    def __init__(self, sealed: SealedValues, audit: AuditRecorder, remembered: RememberedDevices) -> None:
        self._sealed = sealed
        self._audit = audit
        self._remembered = remembered

    def begin(self, tx: Transaction, session: Session) -> str:
        """A fresh secret of 160 bits (base32), kept with the session until it is confirmed. Changes no sign-in yet."""
        secret = pyotp.random_base32(32)
        sealed = self._sealed.seal(TOTP_ENROLMENT, session.id, secret.encode())
        tx.execute(update(UserSession).where(_SESSIONS.c.id == session.id).values(totp_enrolment_encrypted=sealed))
        return secret

    def pending_secret(self, tx: Transaction, origin: Origin, session: Session) -> str | None:
        """What is being set up. None where nothing is, and where it does not open: then it has to begin again."""
        statement = select(_SESSIONS.c.totp_enrolment_encrypted).where(_SESSIONS.c.id == session.id)
        sealed = tx.execute(statement).scalar()
        if sealed is None:
            return None
        try:
            return self._sealed.open(tx, origin, TOTP_ENROLMENT, session.id, sealed, user_id=session.user_id).decode()
        except DecryptionFailed:
            return None

    def provisioning_uri(self, secret: str, user: User, service_name: str) -> str:
        """The ``otpauth:`` URI that authenticator applications read from a QR code."""
        return pyotp.TOTP(secret).provisioning_uri(name=_label(user.username), issuer_name=_label(service_name))

    def confirm(self, tx: Transaction, origin: Origin, session: Session, user: User, code: str) -> bool:
        """Switches the second factor on if ``code`` proves the session's pending secret. The code's step is used up.

        False as well while there is a second factor: it is never replaced, only removed first.
        """
        secret = self.pending_secret(tx, origin, session)
        step = None if secret is None else matching_step(secret, code, origin.now)
        if secret is None or step is None:
            return False
        statement = (
            update(UserRow)
            .where(_USERS.c.id == user.id, _USERS.c.two_factor_enabled.is_(False))
            .values(
                two_factor_enabled=True,
                two_factor_secret=self._sealed.seal(TOTP_SECRET, user.id, secret.encode()),
                two_factor_last_step=step,
                updated_at=origin.now,
            )
        )
        if tx.execute(statement).rowcount != 1:
            return False
        tx.execute(update(UserSession).where(_SESSIONS.c.user_id == user.id).values(totp_enrolment_encrypted=None))
        self._remembered.forget_all(tx, origin, user.id, "second_factor_changed")
        self._record(tx, origin, AuditEvent.SECOND_FACTOR_ENROLLED, user.id)
        return True

    def verify(self, tx: Transaction, origin: Origin, user_id: str, code: str) -> bool:
        """Whether the code is right and its step, or a later one, has not been used. True for one caller only.

        Raises ``CodesUnreadable``, of which a record is left.
        """
        sealed = tx.execute(_FIND_SECRET, {"user_id": user_id}).scalar()
        if sealed is None:
            return False
        try:
            secret = self._sealed.open(tx, origin, TOTP_SECRET, user_id, sealed, user_id=user_id).decode()
        except DecryptionFailed:
            raise CodesUnreadable from None
        step = matching_step(secret, code, origin.now)
        return step is not None and tx.execute(_USE_STEP, {"row_id": user_id, "step": step}).rowcount == 1

    def disable(self, tx: Transaction, origin: Origin, user_id: str, actor: str | None = None) -> bool:
        """Takes the second factor away. False when there was none."""
        statement = (
            update(UserRow)
            .where(_USERS.c.id == user_id, _USERS.c.two_factor_enabled.is_(True))
            .values(
                two_factor_enabled=False,
                two_factor_secret=None,
                two_factor_last_step=None,
                updated_at=origin.now,
            )
        )
        if tx.execute(statement).rowcount != 1:
            return False
        self._remembered.forget_all(tx, origin, user_id, "second_factor_changed")
        self._record(tx, origin, AuditEvent.SECOND_FACTOR_REMOVED, user_id, actor)
        return True

    def _record(
        self, tx: Transaction, origin: Origin, event: AuditEvent, user_id: str, actor: str | None = None
    ) -> None:
        self._audit.record(tx, event, origin, user_id=user_id, actor=actor, resource_type="users", resource_id=user_id)


def matching_step(secret: str, code: str, now: datetime.datetime) -> int | None:
    """The time step whose code this is, the newest first. All steps of the window are compared, in constant time."""
    digits = typed_code(code)
    if not _CODE.fullmatch(digits):
        return None
    generator = pyotp.TOTP(secret)
    current = int(now.timestamp()) // STEP_SECONDS
    steps = range(current + WINDOW_STEPS, current - WINDOW_STEPS - 1, -1)
    matches = [step for step in steps if constant_time_equal(generator.generate_otp(step), digits)]
    return matches[0] if matches else None


def _label(name: str) -> str:
    """``name`` as authenticator applications can read it.

    A colon parts service and account, whether it is written as itself or as ``%3A``; some applications decode twice, and
    then find other parts of a URI in what a name has.
    """
    return " ".join(_STUMBLING_BLOCKS.sub(" ", name).split()) or "-"
