"""Letters to people that are still to be sent, or were sent a short while ago."""

from __future__ import annotations

import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from database.models.base import Base
from database.models.columns import IDENTIFIER, UTCDateTime, exact_text


class MailMessage(Base):
    """A letter by name, and what stands in it, sealed: it holds links that work.

    ``next_attempt_at`` is None once it was sent or given up.
    """

    __tablename__ = "mail_messages"
    __table_args__ = (Index(None, "user_id"), Index(None, "next_attempt_at"))

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    user_id: Mapped[str | None] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"))
    recipient: Mapped[str] = mapped_column(String(320))
    letter: Mapped[str] = mapped_column(exact_text(64))
    language: Mapped[str | None] = mapped_column(exact_text(16))
    values_encrypted: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int]
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    next_attempt_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    delivered_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    failed_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    last_problem: Mapped[str | None] = mapped_column(String(255))
