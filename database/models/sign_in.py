"""What is remembered on the way to a session: steps in between, second factors' spares, counters."""

from __future__ import annotations

import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from database.models.base import Base
from database.models.columns import HASH, IDENTIFIER, UTCDateTime, exact_text


class LoginAttempt(Base):
    """A browser whose password was right and whose second factor is still asked for. Never a session."""

    __tablename__ = "login_attempts"
    __table_args__ = (Index(None, "user_id"), Index(None, "expires_at"))

    token_hash: Mapped[str] = mapped_column(HASH, primary_key=True)
    user_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"))
    amr: Mapped[str] = mapped_column(exact_text(64))
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)


class RememberedDevice(Base):
    """A browser in which a user is not asked for a code. ``password_changed_at`` is that of the user when it was given.

    ``device_hash`` is that of the sessions in the same browser. Whatever ends it deletes the row.
    """

    __tablename__ = "remembered_devices"
    __table_args__ = (Index(None, "user_id"), Index(None, "expires_at"))

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    user_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"))
    token: Mapped[str] = mapped_column(HASH, unique=True)
    device_hash: Mapped[str] = mapped_column(HASH)
    password_changed_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    user_agent: Mapped[str | None] = mapped_column(String(512))
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)


class RecoveryCode(Base):
    """``proved_at`` is when the user has typed one of the set back, on all of its rows."""

    __tablename__ = "recovery_codes"
    __table_args__ = (Index(None, "user_id"),)

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    user_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"))
    code_hash: Mapped[str] = mapped_column(exact_text(255))
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    proved_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)


class ConsecutiveFailures(Base):
    """Wrong guesses in a row for one way into one account. 101 stand for a closed way; ``closed_at`` is the last time."""

    __tablename__ = "consecutive_failures"

    user_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    way: Mapped[str] = mapped_column(exact_text(16), primary_key=True)
    known_device: Mapped[bool] = mapped_column(primary_key=True)
    failures: Mapped[int]
    closed_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)


class SetupLink(Base):
    """The one-time way to the first account. Works only while there is no user."""

    __tablename__ = "setup_links"

    token_hash: Mapped[str] = mapped_column(HASH, primary_key=True)
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)


class RateCounter(Base):
    """How often something happened in one window of time. ``bucket`` is a keyed hash: it names nobody."""

    __tablename__ = "rate_counters"
    __table_args__ = (Index(None, "expires_at"),)

    bucket: Mapped[str] = mapped_column(HASH, primary_key=True)
    count: Mapped[int]
    expires_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
