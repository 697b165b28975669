"""Recovery codes: what gets a person in when the phone is lost. Each works once."""

from __future__ import annotations

import datetime
import re
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from database.models import RecoveryCode
from database.models.columns import new_id
from database.transaction import Transaction
from provider.accounts.shown_once import RECOVERY_ALPHABET, RECOVERY_CHARACTERS, is_shown_still, recovery_codes
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.protocol.text import typed_code
from provider.security.crypto import Keyring, constant_time_equal, new_secret
from provider.sign_in.passwords import Passwords
from provider.sign_in.sessions import Session

COUNT = 10
FEW = 3
_FORM = re.compile(f"[{RECOVERY_ALPHABET}]{{{RECOVERY_CHARACTERS}}}")
_TABLE = RecoveryCode.__table__


class RecoveryCodes:
    """Codes of 69 random bits, stored with the password hash."""

    def __init__(self, passwords: Passwords, audit: AuditRecorder, keyring: Keyring) -> None:
        self._passwords = passwords
        self._audit = audit
        self._keyring = keyring

    def generate(self, tx: Transaction, origin: Origin, user_id: str, session_token: str | None = None) -> list[str]:
        """Ten new codes, shown once; those from before stop working. Hashes outside of a transaction.

        ``session_token`` is the cookie that the session gets with them: by it ``shown`` finds them again.
        """
        tx.commit()
        codes = recovery_codes(self._keyring, session_token or new_secret("session"), COUNT)
        hashes = [self._passwords.hash(code) for code in codes]
        tx.execute(delete(RecoveryCode).where(_TABLE.c.user_id == user_id))
        rows = [
            {"id": new_id(origin.now), "user_id": user_id, "code_hash": code_hash, "created_at": origin.now}
            for code_hash in hashes
        ]
        tx.execute(insert(RecoveryCode), rows)
        self._record(tx, origin, AuditEvent.RECOVERY_CODES_MADE, user_id)
        return [grouped(code) for code in codes]

    def shown(self, tx: Transaction, now: datetime.datetime, session: Session, session_token: str) -> list[str] | None:
        """The codes once more for the session that they were made with, within ten minutes. None for every other.

        A session has the cookie that its codes follow from as long as it was last proved when they were made.
        """
        statement = select(_TABLE.c.created_at).where(_TABLE.c.user_id == session.user_id).limit(1)
        made_at = tx.execute(statement).scalar()
        if made_at is None or made_at != session.authenticated_at or not is_shown_still(made_at, now):
            return None
        return [grouped(code) for code in recovery_codes(self._keyring, session_token, COUNT)]

    def prove(self, tx: Transaction, origin: Origin, session: Session, session_token: str, code: str) -> bool:
        """Notes that the codes were kept, if ``code`` is one of those that this session is being shown.

        It goes on working: it was compared with what stands on the person's own page, and has opened nothing.
        """
        shown = self.shown(tx, origin.now, session, session_token)
        if shown is None or not any(constant_time_equal(_typed(code), _typed(one)) for one in shown):
            return False
        set_of_codes = update(RecoveryCode).where(_TABLE.c.user_id == session.user_id, _TABLE.c.proved_at.is_(None))
        if tx.execute(set_of_codes.values(proved_at=origin.now)).rowcount:
            self._record(tx, origin, AuditEvent.RECOVERY_CODES_PROVED, session.user_id)
        return True

    def use(self, tx: Transaction, origin: Origin, user_id: str, code: str) -> int | None:
        """Uses a code and returns how many are left, None when it is wrong or used. Hashes outside of a transaction."""
        text = _typed(code)
        if not _FORM.fullmatch(text):
            return None
        statement = select(_TABLE.c.id, _TABLE.c.code_hash).where(
            _TABLE.c.user_id == user_id, _TABLE.c.used_at.is_(None)
        )
        rows = tx.execute(statement).all()
        tx.commit()
        found = [row.id for row in rows if self._passwords.verify(row.code_hash, text)]
        if not found:
            return None
        claim = update(RecoveryCode).where(_TABLE.c.id == found[0], _TABLE.c.used_at.is_(None))
        if tx.execute(claim.values(used_at=origin.now)).rowcount != 1:
            return None
        left = self.count(tx, user_id)
        self._record(tx, origin, AuditEvent.RECOVERY_CODE_USED, user_id, left=left)
        return left

    def count(self, tx: Transaction, user_id: str) -> int:
        """How many codes are left."""
        statement = select(func.count()).where(_TABLE.c.user_id == user_id, _TABLE.c.used_at.is_(None))
        return int(tx.execute(statement).scalar_one())

    def are_proved(self, tx: Transaction, user_id: str) -> bool:
        """Whether the user has typed one of the set back."""
        statement = select(_TABLE.c.id).where(_TABLE.c.user_id == user_id, _TABLE.c.proved_at.is_not(None)).limit(1)
        return tx.execute(statement).first() is not None

    def forget(self, tx: Transaction, user_id: str) -> None:
        """Deletes all codes, when the second factor is switched off."""
        tx.execute(delete(RecoveryCode).where(_TABLE.c.user_id == user_id))

    def _record(self, tx: Transaction, origin: Origin, event: AuditEvent, user_id: str, **details: Any) -> None:
        self._audit.record(tx, event, origin, user_id=user_id, resource_type="users", resource_id=user_id, **details)


def is_recovery_code(text: str) -> bool:
    """Whether ``text`` has the form of a recovery code, however it is typed."""
    return _FORM.fullmatch(_typed(text)) is not None


def _typed(text: str) -> str:
    return typed_code(text).lower()


def grouped(code: str) -> str:
    """A code as people read it: two groups of seven."""
    return f"{code[:7]}-{code[7:]}"
