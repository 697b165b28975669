"""The letters that would have been sent, to be read by whoever develops on this machine: without a mail server alone."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from sqlalchemy import select

from database.models import MailMessage
from database.transaction import Transaction
from provider.deliveries.letters import Letter, Letters, NoSuchLetter
from provider.deliveries.mail import Mail, QueuedLetter
from provider.security.crypto import DecryptionFailed

MOST_LISTED = 50
_TABLE = MailMessage.__table__


@dataclass(frozen=True, slots=True)
class Post:
    """A letter in the mailbox."""

    id: str
    recipient: str
    written: datetime.datetime
    letter: Letter


class Mailbox:
    def __init__(self, mail: Mail, letters: Letters) -> None:
        self._mail = mail
        self._letters = letters

    def list(self, tx: Transaction) -> list[Post]:
        """The newest letters, the last one first."""
        newest = select(_TABLE).order_by(_TABLE.c.id.desc()).limit(MOST_LISTED)
        found = self._mail.queued(tx, tx.execute(newest).mappings().all())
        return [post for letter in found if (post := self._opened(letter)) is not None]

    def find(self, tx: Transaction, row_id: str) -> Post | None:
        rows = tx.execute(select(_TABLE).where(_TABLE.c.id == row_id)).mappings().all()
        return next(map(self._opened, self._mail.queued(tx, rows)), None)

    def _opened(self, queued: QueuedLetter) -> Post | None:
        """None where nobody can read it any more: it was sent once, or its keys or its template are gone."""
        if queued.sealed is None:
            return None
        try:
            values = self._mail.open(queued)
            letter = self._letters.write(queued.letter, queued.language, values, time_zone=queued.time_zone)
        except (NoSuchLetter, DecryptionFailed):
            return None
        return Post(queued.id, queued.recipient, queued.created_at, letter)
