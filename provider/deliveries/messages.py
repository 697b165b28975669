"""A letter as the message that goes over the wire: headers that nobody's name can break, text and HTML side by side.

The same row always makes the same message, with the same ``Message-ID``: one that was sent twice is seen as one.
"""

from __future__ import annotations

import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime

from provider.deliveries.letters import Letter
from provider.deliveries.mail_addresses import Sender, envelope_address, parts_of

MOST_BYTES = 60_000


class TooLong(ValueError):
    """A letter beyond ``MOST_BYTES``. The text says how long it is."""


def compose(letter: Letter, sender: Sender, recipient: str, *, identifier: str, written: datetime.datetime) -> bytes:
    """The message. ``identifier`` and ``written`` are those of its row. Raises ``BadAddress``, ``TooLong``."""
    to = envelope_address(recipient)
    policy = SMTP if to.isascii() else SMTPUTF8
    message = EmailMessage(policy)
    message["From"] = Address(sender.name, *parts_of(sender.address))
    message["To"] = Address("", *parts_of(to))
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(written)
    message["Message-ID"] = f"<{identifier}@{sender.domain}>"
    # No answer of a machine is wanted (RFC 3834 §5), also by those who look at no standard.
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(letter.text, cte=_encoding_of(letter.text))
    message.add_alternative(letter.html, subtype="html", cte=_encoding_of(letter.html))
    message.set_boundary(f"=_{identifier}")
    made = message.as_bytes()
    if len(made) > MOST_BYTES:
        raise TooLong(f"the letter would have {len(made)} bytes, and {MOST_BYTES} are the most")
    return made


def _encoding_of(text: str) -> str:
    """Seven bits in any case, so that no server on the way has to change anything."""
    return "quoted-printable" if text.isascii() else "base64"
