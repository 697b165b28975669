"""What watches over people: links of security notices, notices told later, and archives of one's own data."""

from __future__ import annotations

import datetime

from sqlalchemy import ForeignKey, Index, Text
from sqlalchemy.dialects.mysql import MEDIUMTEXT
from sqlalchemy.orm import Mapped, mapped_column

from database.models.base import Base
from database.models.columns import HASH, IDENTIFIER, UTCDateTime, exact_text


class AlertLink(Base):
    """The "This wasn't me" of one letter. Works once, signed out as well."""

    __tablename__ = "alert_links"
    __table_args__ = (Index(None, "user_id"), Index(None, "expires_at"))

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    user_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"))
    token: Mapped[str] = mapped_column(HASH, unique=True)
    alert: Mapped[str] = mapped_column(exact_text(32))
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)


class HeldAlert(Base):
    """How often something happened that a person has had enough letters of in this hour, to be told in one."""

    __tablename__ = "held_alerts"
    __table_args__ = (Index(None, "first_at"),)

    user_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    alert: Mapped[str] = mapped_column(exact_text(32), primary_key=True)
    times: Mapped[int]
    first_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    last_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)


class DataExport(Base):
    """An archive of one person's data: asked for, being made (``next_attempt_at``), or made and encrypted."""

    __tablename__ = "data_exports"
    __table_args__ = (Index(None, "user_id"), Index(None, "next_attempt_at"), Index(None, "expires_at"))

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    user_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"))
    attempts: Mapped[int]
    next_attempt_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    content_encrypted: Mapped[str | None] = mapped_column(Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb"))
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    made_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
