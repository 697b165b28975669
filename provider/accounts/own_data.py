"""The archive of what is kept about one person: which tables, and of each the columns that are theirs to read."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, select

from database.models import Client as ClientRow
from database.models import metadata
from database.transaction import Transaction

MOST_ROWS = 5000
_CLIENTS = ClientRow.__table__
_GROUPS = metadata.tables["user_groups"]


@dataclass(frozen=True)
class Part:
    """One list of the archive: the rows of ``table`` whose column ``of`` is the person, the newest first."""

    table: str
    of: str
    columns: tuple[str, ...]
    newest: str = "created_at"


# A table that knows a person is here, or below with the reason. Nothing that would let anybody in is ever in it.
PARTS: Mapping[str, Part] = {
    "account": Part(
        "users",
        "id",
        (
            *("id", "username", "email", "display_name", "locale", "time_zone", "theme", "is_verified", "is_admin"),
            *("two_factor_enabled", "cloud_provider", "cloud_account_id", "cloud_region", "cloud_tenant_id"),
            *("cloud_project_id", "last_login_at", "password_changed_at", "created_at", "updated_at"),
        ),
    ),
    "profile": Part(
        "user_profiles",
        "user_id",
        (
            *("given_name", "family_name", "middle_name", "nickname", "profile", "website", "gender", "birthdate"),
            *("phone_number", "street_address", "locality", "region", "postal_code", "country", "updated_at"),
        ),
        newest="updated_at",
    ),
    "picture": Part("user_pictures", "user_id", ("content", "created_at")),
    "former_addresses": Part("email_changes", "user_id", ("old_email", "created_at")),
    "former_names": Part("reserved_names", "user_id", ("kind", "name_canonical", "created_at", "expires_at")),
    "invitation": Part("invitations", "user_id", ("email", "created_at", "used_at")),
    "groups": Part("group_members", "user_id", ("group_id", "added_at"), newest="added_at"),
    "remembered_devices": Part(
        "remembered_devices", "user_id", ("user_agent", "created_at", "last_used_at", "expires_at")
    ),
    "second_factor_waits": Part(
        "second_factor_waits", "user_id", ("created_at", "begun_at", "over_at", "ended_at", "end_reason")
    ),
    "sessions": Part(
        "user_sessions",
        "user_id",
        (
            *("created_at", "last_seen_at", "expires_at", "ended_at", "end_reason", "amr", "acr", "ip_address"),
            "user_agent",
        ),
    ),
    "apps": Part("consents", "user_id", ("client_id", "resource", "scope", "created_at", "updated_at", "withdrawn_at")),
    "authorizations": Part(
        "oauth_grants",
        "user_id",
        ("client_id", "resource", "scope", "amr", "authenticated_at", "created_at", "revoked_at", "revoke_reason"),
    ),
    "api_keys": Part(
        "oauth_clients",
        "owner_user_id",
        ("client_id", "name", "scope", "resource", "created_at", "last_used_at", "expires_at", "revoked_at"),
    ),
    "cloud_accounts": Part(
        "cloud_accounts",
        "user_id",
        (
            *("label", "provider", "mode", "is_primary", "account_id", "region", "tenant_id", "project_id", "options"),
            *("last_used_at", "tested_at", "created_at", "updated_at"),
        ),
    ),
    "passkeys": Part(
        "passkeys", "user_id", ("name", "aaguid", "backup_eligible", "backed_up", "created_at", "last_used_at")
    ),
    "recovery_codes": Part("recovery_codes", "user_id", ("created_at", "used_at")),
    "activity": Part(
        "user_audit_log",
        "user_id",
        ("created_at", "action", "outcome", "actor", "resource_type", "metadata", "ip_address", "user_agent"),
    ),
}
LEFT_OUT: Mapping[str, str] = {
    "alert_links": "tokens of letters",
    "consecutive_failures": "counters of wrong guesses",
    "data_exports": "this archive itself",
    "email_verification_tokens": "tokens of letters",
    "held_alerts": "letters of the next hour",
    "issued_tokens": "gone a day after they expire; the authorizations say where they come from",
    "login_attempts": "steps of the last ten minutes",
    "mail_messages": "letters that the person has",
    "password_reset_tokens": "tokens of letters",
}


def archive(tx: Transaction, now: datetime.datetime, user_id: str) -> dict[str, Any]:
    """Everything about one person, ready for JSON. Of a list longer than ``MOST_ROWS`` the newest, and it says so."""
    made: dict[str, Any] = {"made_at": _plain(now)}
    for name, part in PARTS.items():
        table = metadata.tables[part.table]
        statement = select(*(table.c[column] for column in part.columns)).where(table.c[part.of] == user_id)
        statement = statement.order_by(table.c[part.newest].desc()).limit(MOST_ROWS + 1)
        rows = [dict(row) for row in tx.execute(statement).mappings()]
        made[name] = [{key: _plain(value) for key, value in row.items()} for row in rows[:MOST_ROWS]]
        if len(rows) > MOST_ROWS:
            made[f"{name}_left_out"] = f"older than the newest {MOST_ROWS}"
    made["account"] = made["account"][0] if made["account"] else None
    _name_apps(tx, [*made["apps"], *made["authorizations"]])
    _name_groups(tx, made["groups"])
    return made


def _name_apps(tx: Transaction, rows: list[dict[str, Any]]) -> None:
    """By the name and the public id of the application, where the row names its row."""
    wanted: ColumnElement[bool] = _CLIENTS.c.id.in_({row["client_id"] for row in rows})
    found = tx.execute(select(_CLIENTS.c.id, _CLIENTS.c.client_id, _CLIENTS.c.name).where(wanted)) if rows else ()
    known = {row.id: (row.client_id, row.name) for row in found}
    for row in rows:
        row["client_id"], row["app"] = known.get(row["client_id"], (None, None))


def _name_groups(tx: Transaction, rows: list[dict[str, Any]]) -> None:
    """By the name of the group, where the row names its row."""
    wanted = _GROUPS.c.id.in_([row["group_id"] for row in rows])
    known = {row.id: row.name for row in tx.execute(select(_GROUPS.c.id, _GROUPS.c.name).where(wanted))} if rows else {}
    for row in rows:
        row["group"] = known.get(row.pop("group_id"))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.astimezone(datetime.UTC).isoformat() if isinstance(value, datetime.datetime) else value
