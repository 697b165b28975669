"""Sealed values as services want them: sealed to their place, and opened, or refused and on record."""

from __future__ import annotations

import datetime
import logging

from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.security.crypto import DecryptionFailed, Keyring
from provider.security.replay import ReplayGuard
from provider.security.sealed_columns import SealedColumn

log = logging.getLogger("mcp_core.vault")
# A value that does not open is recorded once in this time, however often it is asked for.
RECORDED_EVERY = datetime.timedelta(hours=1)


class SealedValues:
    def __init__(self, keyring: Keyring, audit: AuditRecorder, replay: ReplayGuard) -> None:
        self._keyring = keyring
        self._audit = audit
        self._replay = replay

    def seal(self, column: SealedColumn, row_id: str, value: bytes, **bound: str) -> str:
        """``value`` for this column of this row, bound to what ``column`` names."""
        return self._keyring.encrypt(value, column.context(row_id, **bound))

    def opened(self, column: SealedColumn, row_id: str, sealed: str, **bound: str) -> bytes:
        """Like ``open``, for who sees to the record: ``note_unreadable``. Raises ``DecryptionFailed``."""
        return self._keyring.decrypt(sealed, column.context(row_id, **bound))

    def open(
        self,
        tx: Transaction,
        origin: Origin,
        column: SealedColumn,
        row_id: str,
        sealed: str,
        *,
        user_id: str | None = None,
        **bound: str,
    ) -> bytes:
        """What is sealed in this column of this row, bound to what ``column`` names. ``user_id`` is whom it concerns.

        Raises ``DecryptionFailed`` when it is in doubt, and has recorded that: the caller ends in a clean answer and a
        commit.
        """
        try:
            return self.opened(column, row_id, sealed, **bound)
        except DecryptionFailed:
            self.note_unreadable(tx, origin, column, row_id, user_id=user_id)
            raise

    def note_unreadable(
        self, tx: Transaction, origin: Origin, column: SealedColumn, row_id: str, *, user_id: str | None = None
    ) -> None:
        """Records that a value does not open, by its place and without any of it."""
        place = f"{column}|{row_id}"
        if self._replay.claim(tx, "unreadable value", place, origin.now + RECORDED_EVERY):
            log.error("a sealed value does not open [%s of %s]", column, row_id)
            self._audit.record(
                tx,
                AuditEvent.DECRYPTION_FAILED,
                origin,
                user_id=user_id,
                outcome="failed",
                resource_type=column.table.name,
                resource_id=row_id,
                column=column.name,
            )
