"""What was authorized, and what was handed out for it."""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from database.models.base import Base
from database.models.columns import HASH, IDENTIFIER, UTCDateTime, exact_text


class AuthorizationRequest(Base):
    """A checked authorization request that waits for its user. Bound to the browser that brought it."""

    __tablename__ = "authorization_requests"
    __table_args__ = (Index(None, "client_id"), Index(None, "expires_at"))

    handle_hash: Mapped[str] = mapped_column(HASH, primary_key=True)
    browser_hash: Mapped[str] = mapped_column(HASH)
    client_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("oauth_clients.id", ondelete="CASCADE"))
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    consented_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    consented_session_id: Mapped[str | None] = mapped_column(IDENTIFIER)
    used_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    consented_digest: Mapped[str | None] = mapped_column(HASH)


class GrantRecord(Base):
    """One authorization by a user: the family that a code, its refresh tokens and access tokens belong to."""

    __tablename__ = "oauth_grants"
    __table_args__ = (
        Index(None, "user_id", "client_id"),
        Index(None, "client_id"),
        Index(None, "session_id"),
        Index(None, "created_at"),
        Index(None, "resource"),
    )

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    user_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"))
    client_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("oauth_clients.id", ondelete="CASCADE"))
    session_id: Mapped[str | None] = mapped_column(IDENTIFIER)
    consent_id: Mapped[str | None] = mapped_column(IDENTIFIER)
    scope: Mapped[str] = mapped_column(Text)
    resource: Mapped[str] = mapped_column(exact_text(512))
    authenticated_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    amr: Mapped[str] = mapped_column(exact_text(64))
    acr: Mapped[str] = mapped_column(exact_text(64))
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    revoke_reason: Mapped[str | None] = mapped_column(exact_text(32))
    claims: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class AuthorizationCode(Base):
    __tablename__ = "authorization_codes"
    __table_args__ = (Index(None, "grant_id"), Index(None, "expires_at"))

    code_hash: Mapped[str] = mapped_column(HASH, primary_key=True)
    grant_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("oauth_grants.id", ondelete="CASCADE"))
    redirect_uri: Mapped[str] = mapped_column(Text)
    code_challenge: Mapped[str | None] = mapped_column(exact_text(128))
    nonce: Mapped[str | None] = mapped_column(Text)
    claims: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)


class RefreshToken(Base):
    """``expires_at`` is the idle limit, ``family_expires_at`` the absolute one."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (Index(None, "grant_id"), Index(None, "family_expires_at"))

    token_hash: Mapped[str] = mapped_column(HASH, primary_key=True)
    grant_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("oauth_grants.id", ondelete="CASCADE"))
    generation: Mapped[int]
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    family_expires_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)


class IssuedToken(Base):
    """One record for each access token: its audit entry, and what revocation and introspection look at."""

    __tablename__ = "issued_tokens"
    __table_args__ = (Index(None, "grant_id"), Index(None, "client_id", "issued_at"), Index(None, "expires_at"))

    jti: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    client_id: Mapped[str] = mapped_column(IDENTIFIER)
    grant_id: Mapped[str | None] = mapped_column(IDENTIFIER)
    user_id: Mapped[str | None] = mapped_column(IDENTIFIER)
    grant_type: Mapped[str] = mapped_column(exact_text(64))
    scope: Mapped[str] = mapped_column(Text)
    audience: Mapped[str] = mapped_column(exact_text(512))
    ip_address: Mapped[str | None] = mapped_column(exact_text(45))
    issued_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    subject: Mapped[str | None] = mapped_column(HASH)
    client_epoch: Mapped[int] = mapped_column(server_default="0")
    groups_digest: Mapped[str | None] = mapped_column(HASH)


class SigningKey(Base):
    """A key pair. Its state follows from the times alone, so that no two workers can disagree about it."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(exact_text(64), primary_key=True)
    algorithm: Mapped[str] = mapped_column(exact_text(16))
    public_jwk: Mapped[dict[str, Any]] = mapped_column(JSON)
    private_key_encrypted: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    activates_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    retires_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
