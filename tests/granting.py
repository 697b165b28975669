"""Grants of nobody at a browser: what tests and the benchmark begin with. The server's own rest on a session that lives."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from sqlalchemy import insert

from database.models import GrantRecord
from database.models.columns import new_id
from database.transaction import Transaction


def add_grant(
    tx: Transaction,
    now: datetime.datetime,
    *,
    user_id: str,
    client_row_id: str,
    session_id: str | None,
    consent_id: str | None,
    scope: tuple[str, ...],
    resource_uri: str,
    authenticated_at: datetime.datetime,
    amr: tuple[str, ...],
    acr: str,
    claims: Mapping[str, Any] | None = None,
) -> str:
    """Inserts a record and returns its id."""
    grant_id = new_id(now)
    row = {
        "id": grant_id,
        "user_id": user_id,
        "client_id": client_row_id,
        "session_id": session_id,
        "consent_id": consent_id,
        "scope": " ".join(scope),
        "resource": resource_uri,
        "authenticated_at": authenticated_at,
        "amr": " ".join(amr),
        "acr": acr,
        "created_at": now,
        "claims": dict(claims) if claims else None,
    }
    tx.execute(insert(GrantRecord), row)
    return grant_id
