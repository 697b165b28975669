"""Cloud accounts of people."""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from database.models.base import Base
from database.models.columns import IDENTIFIER, UTCDateTime, exact_text


class CloudAccount(Base):
    """A connected cloud. ``label`` is what its owner and their programs call it.

    ``is_primary`` is true for one account of a person and null for the others; that one is mirrored in ``users.cloud_*``.
    ``options`` holds what the provider wants beside the named columns, and no secret. ``version`` counts changes: what is
    sealed is bound to it. ``mode`` is ``secret``, or ``keyless`` where the cloud trusts our tokens.
    """

    __tablename__ = "cloud_accounts"
    __table_args__ = (
        UniqueConstraint("user_id", "label"),
        UniqueConstraint("user_id", "is_primary"),
        CheckConstraint("provider IN ('aws', 'azure', 'gcp', 'alibaba', 'oracle', 'ibm', 'other')", name="provider"),
        CheckConstraint("mode IN ('secret', 'keyless')", name="mode"),
    )

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    user_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"))
    label: Mapped[str] = mapped_column(exact_text(63))
    provider: Mapped[str] = mapped_column(exact_text(16))
    mode: Mapped[str] = mapped_column(exact_text(16))
    is_primary: Mapped[bool | None] = mapped_column()
    account_id: Mapped[str | None] = mapped_column(String(255))
    access_key_encrypted: Mapped[str | None] = mapped_column(Text)
    secret_key_encrypted: Mapped[str | None] = mapped_column(Text)
    region: Mapped[str | None] = mapped_column(String(64))
    tenant_id: Mapped[str | None] = mapped_column(String(255))
    project_id: Mapped[str | None] = mapped_column(String(255))
    config_json_encrypted: Mapped[str | None] = mapped_column(Text)
    options: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    version: Mapped[int] = mapped_column()
    secrets_changed_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    tested_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    updated_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
