"""How letters are sent: put into words and handed to the mail server, each with the same ``Message-ID`` whenever it is.

A server that cannot be had costs no letter an attempt. All of them wait then, a little longer each time.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Collection

from database.transaction import Transaction
from provider.deliveries.letters import Letters
from provider.deliveries.mail import AGAIN, FRESH, Mail, QueuedLetter
from provider.deliveries.mail_addresses import BadAddress, Sender
from provider.deliveries.messages import TooLong, compose
from provider.deliveries.outbox import Outcome
from provider.deliveries.smtp import About, NotSent, Smtp
from provider.security.crypto import DecryptionFailed

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 300.0


class MailDelivery:
    name = "letter"
    lanes = {FRESH: 2, AGAIN: 1}  # noqa: RUF012 - a constant

    def __init__(
        self, clock: Callable[[], datetime.datetime], mail: Mail, letters: Letters, smtp: Smtp, sender: Sender
    ) -> None:
        self._clock = clock
        self._mail = mail
        self._letters = letters
        self._smtp = smtp
        self._sender = sender
        self._pause = _Pause()
        self.listen = mail.listen

    def receiver(self, item: QueuedLetter) -> str:
        return item.id

    def claim(
        self, tx: Transaction, now: datetime.datetime, limit: int, lane: str, busy: Collection[str]
    ) -> list[QueuedLetter]:
        return [] if self._pause.is_on(now) else self._mail.claim(tx, now, limit, lane=lane, busy=busy)

    def send(self, item: QueuedLetter) -> Outcome:
        try:
            letter = self._letters.write(item.letter, item.language, self._mail.open(item), time_zone=item.time_zone)
            message = compose(letter, self._sender, item.recipient, identifier=item.id, written=item.created_at)
            self._smtp.send(self._sender.address, item.recipient, message)
        except BadAddress:
            return Outcome("nothing can be sent to this address", is_final=True)
        except (TooLong, DecryptionFailed) as error:
            return Outcome(str(error), is_final=True)
        except NotSent as failure:
            problem = f"{failure.step}: {failure}"
            if failure.about is About.SERVER:
                return Outcome(problem, pause_seconds=self._pause.begin(self._clock()))
            self._pause.end()
            return Outcome(problem, is_final=failure.about is About.FOR_GOOD)
        self._pause.end()
        return Outcome()

    def note(self, tx: Transaction, now: datetime.datetime, item: QueuedLetter, outcome: Outcome) -> None:
        if outcome.problem is None:
            self._mail.delivered(tx, now, item)
        else:
            self._mail.failed(tx, now, item, outcome)


class _Pause:
    """Grows with each failure in a row: 5 seconds, 10, 20 and so on up to five minutes."""

    def __init__(self) -> None:
        self._until: datetime.datetime | None = None
        self._seconds = 0.0
        self._lock = threading.Lock()

    def is_on(self, now: datetime.datetime) -> bool:
        with self._lock:
            return self._until is not None and now < self._until

    def begin(self, now: datetime.datetime) -> float:
        """Returns how long it is. Two who fail side by side begin one pause."""
        with self._lock:
            if self._until is None or now >= self._until:
                self._seconds = min(LONGEST_PAUSE_SECONDS, max(FIRST_PAUSE_SECONDS, 2 * self._seconds))
                self._until = now + datetime.timedelta(seconds=self._seconds)
            return (self._until - now).total_seconds()

    def end(self) -> None:
        with self._lock:
            self._until, self._seconds = None, 0.0
