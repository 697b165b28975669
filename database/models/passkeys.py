"""Passkeys: public keys of people's authenticators."""

from __future__ import annotations

import datetime

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from database.models.base import Base
from database.models.columns import HASH, IDENTIFIER, UTCDateTime, exact_char, exact_text


class Passkey(Base):
    """One WebAuthn credential. Nothing in it is secret: it checks signatures and makes none.

    ``credential_hash`` finds it (an id may be too long for an index). ``user_handle`` is the same for all passkeys of one
    user; ``backup_eligible`` those that their maker may keep on several devices. ``suspected_at`` is when its counter went
    back, which is what a copy of its private key would show.
    """

    __tablename__ = "passkeys"
    __table_args__ = (Index(None, "user_id"),)

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    user_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"))
    credential_hash: Mapped[str] = mapped_column(HASH, unique=True)
    credential_id: Mapped[str] = mapped_column(exact_text(1364))
    public_key: Mapped[str] = mapped_column(exact_text(2048))
    user_handle: Mapped[str] = mapped_column(exact_text(86))
    sign_count: Mapped[int] = mapped_column(BigInteger)
    aaguid: Mapped[str] = mapped_column(exact_char(36))
    backup_eligible: Mapped[bool]
    backed_up: Mapped[bool]
    transports: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    name: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    suspected_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
