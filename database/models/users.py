"""People: the five tables of the seed document, and invitations to become one of them."""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from database.models.base import Base
from database.models.columns import HASH, IDENTIFIER, OFF, ON, UTCDateTime, exact_text

CLOUD_PROVIDERS = ("aws", "azure", "gcp", "alibaba", "oracle", "ibm", "other")


class User(Base):
    """A person. ``id`` is the ``sub`` that applications see.

    ``confirm_by`` is until when the address has to be confirmed, of an account that its owner made. Such an account does not
    own the address: ``email_canonical`` is its id. ``username_skeleton`` is the same for all names that look alike.
    ``closed_at`` is when they closed their account, ``erased_at`` when nothing personal was left of it.
    """

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint(
            "cloud_provider IN ('aws', 'azure', 'gcp', 'alibaba', 'oracle', 'ibm', 'other')", name="cloud_provider"
        ),
        Index(None, "confirm_by"),
        Index(None, "username_skeleton", unique=True),
        Index(None, "closed_at"),
        {"comment": "사용자"},
    )

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    username: Mapped[str] = mapped_column(String(64))
    username_canonical: Mapped[str] = mapped_column(exact_text(64), unique=True)
    email: Mapped[str] = mapped_column(String(255))
    email_canonical: Mapped[str] = mapped_column(exact_text(255), unique=True)
    password_hash: Mapped[str | None] = mapped_column(exact_text(255))
    display_name: Mapped[str | None] = mapped_column(String(255))
    locale: Mapped[str | None] = mapped_column(exact_text(16))
    cloud_provider: Mapped[str | None] = mapped_column(exact_text(16))
    cloud_account_id: Mapped[str | None] = mapped_column(String(255))
    cloud_access_key: Mapped[str | None] = mapped_column(Text)
    cloud_secret_key: Mapped[str | None] = mapped_column(Text)
    cloud_region: Mapped[str | None] = mapped_column(String(64))
    cloud_tenant_id: Mapped[str | None] = mapped_column(String(255))
    cloud_project_id: Mapped[str | None] = mapped_column(String(255))
    cloud_config_json: Mapped[str | None] = mapped_column(Text)
    api_key: Mapped[str | None] = mapped_column(exact_text(255), unique=True)
    two_factor_enabled: Mapped[bool] = mapped_column(**OFF)
    two_factor_secret: Mapped[str | None] = mapped_column(Text)
    two_factor_last_step: Mapped[int | None] = mapped_column(BigInteger)
    is_active: Mapped[bool] = mapped_column(**ON)
    is_verified: Mapped[bool] = mapped_column(**OFF)
    is_admin: Mapped[bool] = mapped_column(**OFF)
    last_login_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    password_changed_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    updated_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    time_zone: Mapped[str | None] = mapped_column(exact_text(64))
    confirm_by: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    username_skeleton: Mapped[str | None] = mapped_column(HASH)
    groups_version: Mapped[int] = mapped_column(server_default="0")
    password_reset_required: Mapped[bool] = mapped_column(server_default="0")
    second_factor_asked_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    closed_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    closing_told_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    erased_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    theme: Mapped[str | None] = mapped_column(exact_text(8))


class UserSession(Base):
    """A signed-in browser. ``session_token`` is the keyed hash of the cookie; ``id`` is the ``sid`` of OpenID Connect."""

    __tablename__ = "user_sessions"
    __table_args__ = (
        Index(None, "user_id", "ended_at"),
        Index(None, "expires_at"),
        {"comment": "사용자 세션"},
    )

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    session_token: Mapped[str] = mapped_column(HASH, unique=True)
    user_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"))
    authenticated_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    amr: Mapped[str] = mapped_column(exact_text(64))
    acr: Mapped[str] = mapped_column(exact_text(64))
    ip_address: Mapped[str | None] = mapped_column(exact_text(45))
    user_agent: Mapped[str | None] = mapped_column(String(512))
    totp_enrolment_encrypted: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    last_seen_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    end_reason: Mapped[str | None] = mapped_column(exact_text(32))
    device_hash: Mapped[str | None] = mapped_column(HASH)


class PasswordResetToken(Base):
    __tablename__ = "password_reset_tokens"
    __table_args__ = (Index(None, "user_id"), Index(None, "expires_at"), {"comment": "비밀번호 재설정 토큰"})

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    user_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"))
    token: Mapped[str] = mapped_column(HASH, unique=True)
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)


class EmailVerificationToken(Base):
    __tablename__ = "email_verification_tokens"
    __table_args__ = (Index(None, "user_id"), Index(None, "expires_at"), {"comment": "이메일 인증 토큰"})

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    user_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"))
    token: Mapped[str] = mapped_column(HASH, unique=True)
    email: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    verified_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)


class Invitation(Base):
    """A way to an account for whoever reads the mail of one address. ``user_id`` is who came of it."""

    __tablename__ = "invitations"
    __table_args__ = (Index(None, "email_canonical"), Index(None, "expires_at"), Index(None, "user_id"))

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    token: Mapped[str] = mapped_column(HASH, unique=True)
    email: Mapped[str] = mapped_column(String(255))
    email_canonical: Mapped[str] = mapped_column(exact_text(255))
    username: Mapped[str | None] = mapped_column(String(64))
    locale: Mapped[str | None] = mapped_column(exact_text(16))
    is_admin: Mapped[bool] = mapped_column(**OFF)
    invited_by: Mapped[str | None] = mapped_column(exact_text(255))
    user_id: Mapped[str | None] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    withdrawn_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)


class AuditRecord(Base):
    """One security event. The column ``metadata`` is ``details`` in Python, where SQLAlchemy owns the other name."""

    __tablename__ = "user_audit_log"
    __table_args__ = (
        Index(None, "user_id", "created_at"),
        Index(None, "action", "created_at"),
        {"comment": "감사 로그"},
    )

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    user_id: Mapped[str | None] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="SET NULL"))
    actor: Mapped[str | None] = mapped_column(exact_text(255))
    action: Mapped[str] = mapped_column(exact_text(64))
    outcome: Mapped[str] = mapped_column(exact_text(16))
    resource_type: Mapped[str | None] = mapped_column(exact_text(32))
    resource_id: Mapped[str | None] = mapped_column(exact_text(255))
    details: Mapped[dict[str, Any] | None] = mapped_column("metadata", JSON(none_as_null=True))
    ip_address: Mapped[str | None] = mapped_column(exact_text(45))
    user_agent: Mapped[str | None] = mapped_column(String(512))
    request_id: Mapped[str | None] = mapped_column(exact_text(32))
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
