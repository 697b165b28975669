"""Applications and the APIs that tokens are for."""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from database.models.base import Base
from database.models.columns import HASH, IDENTIFIER, OFF, ON, UTCDateTime, exact_text


class Client(Base):
    """An OAuth client. An API key is one: ``kind`` is ``api_key`` and ``owner_user_id`` its owner.

    ``expiry_told`` is how many days before its end the owner of a key was written to last.
    """

    __tablename__ = "oauth_clients"
    __table_args__ = (
        CheckConstraint("kind IN ('application', 'api_key', 'dynamic', 'metadata_document')", name="kind"),
        Index(None, "owner_user_id"),
        Index(None, "kind", "created_at"),
        Index(None, "kind", "last_used_at", "created_at"),
        Index(None, "expires_at"),
    )

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    client_id: Mapped[str] = mapped_column(exact_text(512), unique=True)
    kind: Mapped[str] = mapped_column(exact_text(32))
    name: Mapped[str] = mapped_column(String(255))
    owner_user_id: Mapped[str | None] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"))
    secret_hash: Mapped[str | None] = mapped_column(HASH)
    token_endpoint_auth_method: Mapped[str] = mapped_column(exact_text(32))
    application_type: Mapped[str] = mapped_column(exact_text(16))
    redirect_uris: Mapped[list[str]] = mapped_column(JSON)
    post_logout_redirect_uris: Mapped[list[str]] = mapped_column(JSON)
    grant_types: Mapped[list[str]] = mapped_column(JSON)
    scope: Mapped[str] = mapped_column(Text)
    resource: Mapped[str | None] = mapped_column(exact_text(512))
    require_pkce: Mapped[bool] = mapped_column(**ON)
    rotate_refresh_tokens: Mapped[bool] = mapped_column(**ON)
    is_trusted: Mapped[bool] = mapped_column(**OFF)
    is_vouched: Mapped[bool] = mapped_column(**OFF)
    is_active: Mapped[bool] = mapped_column(**ON)
    id_token_signed_response_alg: Mapped[str] = mapped_column(exact_text(16))
    details: Mapped[dict[str, Any] | None] = mapped_column("metadata", JSON(none_as_null=True))
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    updated_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    registration_token_hash: Mapped[str | None] = mapped_column(HASH)
    document_fresh_until: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    epoch: Mapped[int] = mapped_column(server_default="0")
    nonce_replaces_pkce: Mapped[bool] = mapped_column(**OFF)
    exact_auth_method: Mapped[bool] = mapped_column(**ON)
    claims_in_id_token: Mapped[bool] = mapped_column(**OFF)
    only_groups: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    previous_secret_hash: Mapped[str | None] = mapped_column(HASH)
    previous_secret_until: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    secret_rotated_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    expiry_told: Mapped[int | None]
    last_used_address: Mapped[str | None] = mapped_column(exact_text(45))


class Resource(Base):
    """An API that tokens are for (RFC 8707). ``uri`` is the spelling that becomes ``aud``."""

    __tablename__ = "resources"

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    uri: Mapped[str] = mapped_column(exact_text(512), unique=True)
    name: Mapped[str] = mapped_column(String(255))
    scope: Mapped[str] = mapped_column(Text)
    admin_scope: Mapped[str] = mapped_column(Text)
    token_alg: Mapped[str] = mapped_column(exact_text(16))
    access_token_seconds: Mapped[int | None]
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    updated_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    introspection_clients: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    descriptions: Mapped[dict[str, dict[str, str]] | None] = mapped_column(JSON(none_as_null=True))
    token_typ: Mapped[str] = mapped_column(exact_text(16), server_default="at+jwt")
    groups_claim: Mapped[bool] = mapped_column(**OFF)
    scope_groups: Mapped[dict[str, list[str]] | None] = mapped_column(JSON(none_as_null=True))


class Consent(Base):
    """What a user has allowed an application to have, remembered between authorizations."""

    __tablename__ = "consents"
    __table_args__ = (
        Index(None, "user_id", "client_id", "resource"),
        Index(None, "client_id"),
        Index(None, "withdrawn_at"),
    )

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    user_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("users.id", ondelete="CASCADE"))
    client_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("oauth_clients.id", ondelete="CASCADE"))
    resource: Mapped[str] = mapped_column(exact_text(512))
    redirect_uri_hash: Mapped[str] = mapped_column(HASH)
    metadata_hash: Mapped[str] = mapped_column(HASH)
    scope: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    updated_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    withdrawn_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
