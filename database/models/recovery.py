"""What people recover with: requests for a new password, names that were given up, the wait without a second factor."""

from __future__ import annotations

import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from database.models.base import Base
from database.models.columns import HASH, IDENTIFIER, UTCDateTime, exact_text


class ResetRequest(Base):
    """A name that somebody typed who has forgotten a password. Nobody has looked yet whose it is."""

    __tablename__ = "reset_requests"
    __table_args__ = (Index(None, "created_at"),)

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    login_name_encrypted: Mapped[str] = mapped_column(Text)
    language: Mapped[str | None] = mapped_column(exact_text(16))
    ip_address: Mapped[str | None] = mapped_column(exact_text(45))
    user_agent: Mapped[str | None] = mapped_column(String(512))
    request_id: Mapped[str | None] = mapped_column(exact_text(32))
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)


class EmailChange(Base):
    """A confirmed address that was given up for another. ``token`` is the keyed hash of the link that brings it back."""

    __tablename__ = "email_changes"
    __table_args__ = (Index(None, "user_id"), Index(None, "expires_at"))

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    user_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"))
    token: Mapped[str] = mapped_column(HASH, unique=True)
    old_email: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)


class ReservedName(Base):
    """A user name or address that was given up and that nobody but its former owner may take for a while."""

    __tablename__ = "reserved_names"
    __table_args__ = (Index(None, "kind", "name_canonical"), Index(None, "user_id"), Index(None, "expires_at"))

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    user_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(exact_text(16))
    name_canonical: Mapped[str] = mapped_column(exact_text(255))
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)


class SecondFactorWait(Base):
    """The way back of somebody who lost the second factor with its recovery codes: asked for, begun, over, used or stopped.

    The tokens are keyed hashes of the links that begin and stop it. ``expires_at`` is the end of the first link, and once
    the wait has begun, of the time in which it can be used.
    """

    __tablename__ = "second_factor_waits"
    __table_args__ = (Index(None, "user_id"), Index(None, "expires_at"), Index(None, "next_letter_at"))

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    user_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"))
    begin_token: Mapped[str] = mapped_column(HASH, unique=True)
    stop_token: Mapped[str] = mapped_column(HASH, unique=True)
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    begun_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    over_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    next_letter_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    end_reason: Mapped[str | None] = mapped_column(exact_text(32))
