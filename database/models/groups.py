"""Groups of people."""

from __future__ import annotations

import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from database.models.base import Base
from database.models.columns import IDENTIFIER, UTCDateTime, exact_text


class UserGroup(Base):
    """A group. Its name is what applications read in the claim ``groups``. (``groups`` is a reserved word of MySQL.)"""

    __tablename__ = "user_groups"

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    name_canonical: Mapped[str] = mapped_column(exact_text(64), unique=True)
    description: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    updated_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)


class GroupMember(Base):
    """A person in a group. Whoever writes a row counts ``users.groups_version`` up in the same transaction."""

    __tablename__ = "group_members"
    __table_args__ = (Index(None, "user_id"),)

    group_id: Mapped[str] = mapped_column(
        IDENTIFIER, ForeignKey("user_groups.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    added_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
