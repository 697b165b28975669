"""The outbox of letters: what people are still to be written.

A letter is written in the transaction of what it tells of, by its name and what stands in it, and put into words when it
is sent: ``templates/mail/<name>.txt``, whose first line is the subject.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import RowMapping, insert, select

from database.models import MailMessage, User
from database.models.columns import new_id
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.deliveries.mail_server import Way
from provider.deliveries.outbox import Outbox, Outcome
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring
from provider.security.sealed_columns import LETTER_VALUES

# How long after each failed attempt the next one follows. After the last of them, 17 hours later, a letter is given up.
RETRY_SECONDS = (15, 60, 300, 900, 3600, 14_400, 43_200)
# Longer than an attempt takes (``smtp.SECONDS``): who has claimed a letter and died leaves it to the others then.
LEASE_SECONDS = 120
KEPT_DAYS = 7
# A heap of letters that are refused for now holds up no new one.
FRESH, AGAIN = "fresh", "again"
_TABLE = MailMessage.__table__
_USERS = User.__table__


@dataclass(frozen=True, slots=True)
class QueuedLetter:
    """A letter of the outbox, or a claimed one: ``attempts`` then counts this one too."""

    id: str
    user_id: str | None
    recipient: str
    letter: str
    language: str | None
    attempts: int
    created_at: datetime.datetime
    sealed: str | None = field(repr=False)
    time_zone: str | None = None

    @classmethod
    def from_row(cls, row: RowMapping, time_zone: str | None = None) -> QueuedLetter:
        names = ("id", "user_id", "recipient", "letter", "language", "attempts", "created_at")
        return cls(**{name: row[name] for name in names}, sealed=row["values_encrypted"], time_zone=time_zone)


class Mail:
    """``way`` is where letters go. Without a server none is due, now or later: what is old when there is one is not sent."""

    def __init__(self, keyring: Keyring, audit: AuditRecorder, *, way: Way) -> None:
        self._keyring = keyring
        self._audit = audit
        self._way = way
        self._outbox = Outbox(
            MailMessage, retry_seconds=RETRY_SECONDS, lease_seconds=LEASE_SECONDS, kept_days=KEPT_DAYS
        )
        self.listen = self._outbox.listen

    @property
    def can_send(self) -> bool:
        """Whether what is posted reaches anybody. What needs mail is not offered otherwise."""
        return self._way != "nowhere"

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
            "values_encrypted": self._keyring.encrypt(json.dumps(dict(values)).encode(), LETTER_VALUES.context(row_id)),
            "attempts": 0,
            "created_at": origin.now,
            "next_attempt_at": origin.now if self._way == "server" else None,
        }
        tx.execute(insert(MailMessage), row)
        self._outbox.wrote(tx)
        return row_id

    def claim(
        self, tx: Transaction, now: datetime.datetime, limit: int, *, lane: str, busy: Collection[str] = ()
    ) -> list[QueuedLetter]:
        """Takes due letters for as long as an attempt may last: those that were never tried, or the others."""
        tried = _TABLE.c.attempts == 0 if lane == FRESH else _TABLE.c.attempts > 0
        due = select(_TABLE.c.id).where(_TABLE.c.next_attempt_at <= now, tried, _TABLE.c.id.not_in(busy))
        ids = tx.execute(due.order_by(_TABLE.c.next_attempt_at).limit(limit)).scalars().all()
        return self.queued(tx, self._outbox.take(tx, now, ids))

    def queued(self, tx: Transaction, rows: Sequence[RowMapping]) -> list[QueuedLetter]:
        """What rows of the outbox hold, with the time zone of each reader who has an account."""
        owners = select(_USERS.c.id, _USERS.c.time_zone).where(_USERS.c.id.in_([row["user_id"] for row in rows]))
        zones = {row["id"]: row["time_zone"] for row in tx.execute(owners).mappings()} if rows else {}
        return [QueuedLetter.from_row(row, zones.get(row["user_id"])) for row in rows]

    def open(self, letter: QueuedLetter) -> dict[str, str]:
        """What stands in a letter. Raises ``DecryptionFailed``; nothing stands in one that was sent."""
        if letter.sealed is None:
            return {}
        values: dict[str, str] = json.loads(self._keyring.decrypt(letter.sealed, LETTER_VALUES.context(letter.id)))
        return values

    def delivered(self, tx: Transaction, now: datetime.datetime, letter: QueuedLetter) -> None:
        """Notes that the server has taken it, and forgets what stood in it."""
        self._outbox.delivered(tx, now, letter.id, values_encrypted=None)

    def failed(self, tx: Transaction, now: datetime.datetime, letter: QueuedLetter, outcome: Outcome) -> bool:
        """Notes a failed attempt, and when the next one is due. True when there will be none, which is recorded."""
        if not self._outbox.failed(tx, now, letter, outcome):
            return False
        self._audit.record(
            tx,
            AuditEvent.MAIL_FAILED,
            Origin.of_server(now),
            user_id=letter.user_id,
            outcome="failed",
            resource_type="mail_messages",
            resource_id=letter.id,
            letter=letter.letter,
            attempts=letter.attempts,
            problem=outcome.problem,
        )
        return True

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes letters that were sent or given up, or had nowhere to go, a week after they were written."""
        return self._outbox.purge(tx, now, limit)
