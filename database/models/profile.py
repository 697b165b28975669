"""What people say of themselves, and their pictures."""

from __future__ import annotations

import datetime

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from database.models.base import Base
from database.models.columns import IDENTIFIER, UTCDateTime, exact_text


class UserProfile(Base):
    """The standard claims that are not in ``users`` (OpenID Connect Core §5.1). One row of each user who has said any."""

    __tablename__ = "user_profiles"

    user_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    given_name: Mapped[str | None] = mapped_column(String(100))
    family_name: Mapped[str | None] = mapped_column(String(100))
    middle_name: Mapped[str | None] = mapped_column(String(100))
    nickname: Mapped[str | None] = mapped_column(String(100))
    profile: Mapped[str | None] = mapped_column(exact_text(512))
    website: Mapped[str | None] = mapped_column(exact_text(512))
    gender: Mapped[str | None] = mapped_column(exact_text(16))
    birthdate: Mapped[str | None] = mapped_column(exact_text(10))
    phone_number: Mapped[str | None] = mapped_column(exact_text(16))
    street_address: Mapped[str | None] = mapped_column(String(255))
    locality: Mapped[str | None] = mapped_column(String(100))
    region: Mapped[str | None] = mapped_column(String(100))
    postal_code: Mapped[str | None] = mapped_column(String(32))
    country: Mapped[str | None] = mapped_column(String(100))
    updated_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)


class UserPicture(Base):
    """The picture of a user, made anew by us. ``id`` is in its public address, and another one for each picture."""

    __tablename__ = "user_pictures"

    id: Mapped[str] = mapped_column(exact_text(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"), unique=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
