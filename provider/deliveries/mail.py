"""The outbox of letters: what people are still to be written.

A letter is written in the transaction of what it tells of, by its name and what stands in it, and put into words when it
is sent: ``templates/mail/<name>.txt``, whose first line is the subject.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping

from sqlalchemy import delete, insert, or_, select

from database.models import MailMessage
from database.models.columns import new_id
from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring

KEPT_DAYS = 7
_TABLE = MailMessage.__table__


class Mail:
    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> None:
        """Calls ``listener`` after each commit of new letters in this process."""
        self._listeners.append(listener)

    def post(
        self,
        tx: Transaction,
        origin: Origin,
        *,
        to: str,
        letter: str,
        language: str | None,
        values: Mapping[str, str],
        user_id: str | None = None,
    ) -> str:
        """Writes a letter to the address ``to``. Returns the id of its row.

        ``letter`` names its template and ``values`` fill it; they may hold links that work, and are sealed. ``language``
        is that of the person (``ko``), None where it is not known. The letter goes with the user ``user_id``.
        """
        row_id = new_id(origin.now)
        row = {
            "id": row_id,
            "user_id": user_id,
            "recipient": to,
            "letter": letter,
            "language": language,
            "values_encrypted": self._keyring.encrypt(json.dumps(dict(values)).encode(), context_of(row_id)),
            "attempts": 0,
            "created_at": origin.now,
            "next_attempt_at": origin.now,
        }
        tx.execute(insert(MailMessage), row)
        tx.on_commit(self._tell)
        return row_id

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes letters that were sent or given up a week ago."""
        before = now - datetime.timedelta(days=KEPT_DAYS)
        over = or_(_TABLE.c.delivered_at <= before, _TABLE.c.failed_at <= before)
        keys = (
            tx.execute(select(_TABLE.c.id).where(_TABLE.c.next_attempt_at.is_(None), over).limit(limit)).scalars().all()
        )
        if keys:
            tx.execute(delete(MailMessage).where(_TABLE.c.id.in_(keys)))
        return len(keys)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def context_of(row_id: str) -> dict[str, str]:
    """What the values of a letter are sealed to."""
    return {"table": "mail_messages", "column": "values_encrypted", "id": row_id}
