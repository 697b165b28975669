"""Who may register applications, and what works once between them and this server."""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from database.models.base import Base
from database.models.columns import HASH, IDENTIFIER, OFF, ON, UTCDateTime, exact_text


class RegistrationToken(Base):
    """An initial access token (RFC 7591 §1.2): who registers with it is vouched for.

    ``uses_left`` None is without end. ``require_pkce`` off lets confidential clients that it registers go without.
    ``claims_in_id_token`` is what they get of it.
    """

    __tablename__ = "registration_tokens"

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    token_hash: Mapped[str] = mapped_column(HASH, unique=True)
    name: Mapped[str] = mapped_column(String(255))
    require_pkce: Mapped[bool] = mapped_column(**ON)
    uses_left: Mapped[int | None]
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    claims_in_id_token: Mapped[bool] = mapped_column(**OFF)


class ReplayGuard(Base):
    """What was seen and must not be seen again until it has expired: the ``jti`` of a client's assertion."""

    __tablename__ = "replay_guard"
    __table_args__ = (Index(None, "expires_at"),)

    value_hash: Mapped[str] = mapped_column(HASH, primary_key=True)
    expires_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)


class PushedRequest(Base):
    """A checked authorization request that its client pushed (RFC 9126). Used up when it is answered."""

    __tablename__ = "pushed_requests"
    __table_args__ = (Index(None, "client_id"), Index(None, "expires_at"))

    handle_hash: Mapped[str] = mapped_column(HASH, primary_key=True)
    client_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("oauth_clients.id", ondelete="CASCADE"))
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    used_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)


class LogoutNotice(Base):
    """A back-channel logout to deliver. ``next_attempt_at`` is None once it was delivered or given up."""

    __tablename__ = "logout_notices"
    __table_args__ = (Index(None, "client_id"), Index(None, "next_attempt_at"))

    id: Mapped[str] = mapped_column(IDENTIFIER, primary_key=True)
    client_id: Mapped[str] = mapped_column(IDENTIFIER, ForeignKey("oauth_clients.id", ondelete="CASCADE"))
    uri: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(exact_text(255))
    session_id: Mapped[str | None] = mapped_column(IDENTIFIER)
    attempts: Mapped[int]
    created_at: Mapped[datetime.datetime] = mapped_column(UTCDateTime)
    next_attempt_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    delivered_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    failed_at: Mapped[datetime.datetime | None] = mapped_column(UTCDateTime)
    last_problem: Mapped[str | None] = mapped_column(String(255))
