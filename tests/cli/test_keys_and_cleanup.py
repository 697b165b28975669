"""``mcp-core keys`` and ``mcp-core cleanup``."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from sqlalchemy import JSON, Boolean, Integer, insert, select

from database.models import (
    AlertLink,
    AuditRecord,
    AuthorizationCode,
    AuthorizationRequest,
    Client,
    Consent,
    DataExport,
    EmailChange,
    EmailVerificationToken,
    GrantRecord,
    HeldAlert,
    Invitation,
    IssuedToken,
    LoginAttempt,
    LogoutNotice,
    MailMessage,
    PasswordResetToken,
    PushedRequest,
    RateCounter,
    RefreshToken,
    RememberedDevice,
    ReplayGuard,
    ReservedName,
    ResetRequest,
    SecondFactorWait,
    SetupLink,
    User,
    UserSession,
)
from database.models.columns import UTCDateTime, first_id
from provider.cli import upkeep
from provider.tokens.signing_keys import SETTLE_SECONDS
from tests.cli.conftest import Terminal

COUNTED = {
    "authorization_codes", "authorization_requests", "refresh_tokens", "issued_tokens", "login_attempts",
    "rate_counters", "user_sessions", "signing_keys", "pushed_requests", "replay_guard", "logout_notices",
    "mail_messages", "unused_clients", "password_reset_tokens", "email_verification_tokens", "reset_requests",
    "email_changes", "reserved_names", "second_factor_waits", "letters_about_waits",
    "remembered_devices",
    "surplus_clients",
    "username_skeletons",
    "setup_links", "grants", "consents", "api_key_names", "alert_links", "held_alerts", "closing_reminders",
    "audit_records",
    "data_exports", "data_exports_made",
    "closed_accounts",
    "unconfirmed_users", "invitations",
    "api_key_letters",
}  # fmt: skip


def states(terminal: Terminal) -> list[tuple[str, str]]:
    return sorted((key["algorithm"], key["state"]) for key in terminal.json("keys", "list"))


def test_the_list_is_empty_before_the_first_start(terminal: Terminal) -> None:
    assert terminal.json("keys", "list") == []
    assert "first start" in terminal.ok("keys", "list")


def test_rotation_publishes_new_keys_before_they_sign(terminal: Terminal) -> None:
    terminal.ok("keys", "rotate", "--now")
    rotated = terminal.json("keys", "rotate")
    assert (len(rotated["kids"]), rotated["immediately"]) == (3, False)
    assert states(terminal) == [(name, state) for name in ("ES256", "EdDSA", "RS256") for state in ("active", "next")]
    listed = {key["kid"]: key for key in terminal.json("keys", "list")}
    for kid in rotated["kids"]:
        assert set(listed[kid]) == {"kid", "algorithm", "state", "created_at", "activates_at", "retires_at"}
        published = datetime.datetime.fromisoformat(listed[kid]["activates_at"]) - datetime.datetime.fromisoformat(
            listed[kid]["created_at"]
        )
        assert published == datetime.timedelta(hours=2)
        assert listed[kid]["retires_at"] is None
    old = [key for kid, key in listed.items() if kid not in rotated["kids"]]
    newest = max(key["activates_at"] for key in listed.values())
    assert all(key["retires_at"] > newest for key in old), "an old key outlives what it signs until the new one does"


def test_rotation_in_an_emergency_signs_with_the_new_keys_after_half_a_minute(terminal: Terminal) -> None:
    first = terminal.json("keys", "rotate", "--now")["kids"]
    second = terminal.json("keys", "rotate", "--now")
    assert (second["immediately"], second["revoked"]) == (True, False)
    listed = {key["kid"]: key for key in terminal.json("keys", "list")}
    assert {listed[kid]["state"] for kid in second["kids"]} == {"next"}
    assert {listed[kid]["state"] for kid in first} == {"active"}
    for kid in second["kids"]:
        begins, made = (datetime.datetime.fromisoformat(listed[kid][name]) for name in ("activates_at", "created_at"))
        assert begins - made == datetime.timedelta(seconds=SETTLE_SECONDS)
    assert len(terminal.audit("keys.rotated")) == 2


def test_without_a_time_of_publication_the_new_keys_sign_at_once(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_SIGNING_KEY_PUBLISH_SECONDS", "0")
    first = terminal.json("keys", "rotate", "--now")["kids"]
    second = terminal.json("keys", "rotate", "--now")["kids"]
    listed = {key["kid"]: key["state"] for key in terminal.json("keys", "list")}
    assert {listed[kid] for kid in second} == {"active"}
    assert {listed[kid] for kid in first} == {"retiring"}


def test_rotation_that_revokes_leaves_the_new_keys_alone(terminal: Terminal) -> None:
    terminal.ok("keys", "rotate")
    terminal.ok("keys", "rotate")
    made = terminal.json("keys", "rotate", "--revoke")
    assert (made["immediately"], made["revoked"]) == (True, True)
    assert {key["kid"]: key["state"] for key in terminal.json("keys", "list")} == dict.fromkeys(made["kids"], "active")


def test_for_people_rotation_names_the_new_keys_and_the_list_is_a_table(terminal: Terminal) -> None:
    assert terminal.ok("keys", "rotate").startswith("New keys: ")
    assert terminal.ok("keys", "list").splitlines()[0].split()[:3] == ["KID", "ALGORITHM", "STATE"]


def test_only_the_algorithms_of_the_settings_get_keys(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_SIGNING_ALGORITHMS", "RS256")
    terminal.ok("keys", "rotate", "--now")
    assert states(terminal) == [("RS256", "active")]


def test_private_keys_are_stored_sealed(terminal: Terminal) -> None:
    terminal.ok("keys", "rotate")
    for row in terminal.rows("SELECT private_key_encrypted, public_jwk FROM signing_keys"):
        assert row["private_key_encrypted"].startswith("v2.")
        assert '"d"' not in row["public_jwk"]


def filled(terminal: Terminal, now: datetime.datetime) -> None:
    """Two things of each kind: one that is long over and one that is not."""
    long_ago, soon = now - datetime.timedelta(days=60), now + datetime.timedelta(days=1)
    years_ago = now - datetime.timedelta(days=800)
    user = {
        "id": "u",
        "api_key": "key_that_ended",
        "username": "u",
        "username_canonical": "u",
        "email": "u",
        "email_canonical": "u",
    }
    common = {"created_at": long_ago, "updated_at": long_ago}
    client = {
        "id": "c", "client_id": "app_c", "kind": "application", "name": "c", "token_endpoint_auth_method": "none",
        "application_type": "web", "redirect_uris": [], "post_logout_redirect_uris": [], "grant_types": [], "scope": "",
        "require_pkce": True, "rotate_refresh_tokens": True, "is_trusted": False, "is_vouched": True, "is_active": True,
        "id_token_signed_response_alg": "RS256",
    }  # fmt: skip
    unused, used = {"kind": "dynamic", "is_vouched": False}, {"over": None, "live": now}
    flags = {"is_active": True, "is_verified": False, "is_admin": False, "two_factor_enabled": False}
    engine = terminal.engine()
    with engine.begin() as connection:
        connection.execute(insert(User), {**user, **flags, **common})
        for name, days, told_days in (("v", None, None), ("reminded", 13.5, None), ("erased", 20, 2)):
            names = {"api_key": None, **dict.fromkeys(("id", "username", "username_canonical"), name)}
            names |= {"email": name, "email_canonical": name}
            over = {"closed_at": days, "closing_told_at": told_days}
            closed = {name: None if ago is None else now - datetime.timedelta(days=ago) for name, ago in over.items()}
            connection.execute(insert(User), {**user, **flags, **common, **names, **closed})
        for name in (first_id(now - datetime.timedelta(days=401)), first_id(now)):
            record = {"id": f"{name}-7000-8000-000000000000", "created_at": now}
            connection.execute(insert(AuditRecord), {**_required(AuditRecord), **record})
        connection.execute(insert(Client), {**client, **common})
        grant = {"id": "g", "client_id": "c", "user_id": "u", "scope": "", "resource": "r", "created_at": long_ago}
        connection.execute(insert(GrantRecord), {**_required(GrantRecord), **grant})
        for name, expires_at in (("over", long_ago), ("live", soon)):
            times = {"created_at": long_ago, "expires_at": expires_at}
            for model, values in (
                (AuthorizationCode, {"code_hash": name, "grant_id": "g"}),
                (AuthorizationRequest, {"handle_hash": name, "client_id": "c"}),
                (RefreshToken, {"token_hash": name, "grant_id": "g", "family_expires_at": expires_at}),
                (IssuedToken, {"jti": name, "client_id": "c", "grant_id": None, "user_id": None}),
                (LoginAttempt, {"token_hash": name, "user_id": "u"}),
                (RateCounter, {"bucket": name, "count": 1}),
                (UserSession, {"id": name, "session_token": name, "user_id": "u"}),
                (SetupLink, {"token_hash": name}),
                (PasswordResetToken, {"id": name, "token": name, "user_id": "u"}),
                (EmailVerificationToken, {"id": name, "token": name, "user_id": "u"}),
                (ResetRequest, {"id": name, "created_at": long_ago if name == "over" else now}),
                (EmailChange, {"id": name, "token": name, "user_id": "u"}),
                (ReservedName, {"id": name, "user_id": "u"}),
                (
                    SecondFactorWait,
                    {
                        "id": name,
                        "begin_token": name,
                        "stop_token": name,
                        "user_id": "u",
                        "begun_at": long_ago,
                        "over_at": soon,
                        "next_letter_at": {"live": now}.get(name),
                    },
                ),
                (RememberedDevice, {"id": name, "user_id": "u", "token": name}),
                (DataExport, {"id": name, "user_id": "u", "next_attempt_at": {"live": long_ago}.get(name)}),
                (AlertLink, {"id": name, "token": name, "user_id": "u"}),
                (
                    HeldAlert,
                    {"user_id": "u" if name == "over" else "v", "alert": name, "first_at": times["expires_at"]},
                ),
                (GrantRecord, {**grant, "id": name, "session_id": "live" if name == "live" else None}),
                (
                    Consent,
                    {"id": name, "client_id": "c", "user_id": "u", "withdrawn_at": {"over": years_ago}.get(name)},
                ),
                (Invitation, {"id": name, "token": name, "user_id": None}),
                (
                    User,
                    {
                        **user,
                        **flags,
                        **common,
                        **dict.fromkeys(
                            ("id", "username", "username_canonical", "email_canonical", "username_skeleton"),
                            f"{name} and unconfirmed",
                        ),
                        "api_key": None,
                        "confirm_by": expires_at,
                    },
                ),
                (PushedRequest, {"handle_hash": name, "client_id": "c"}),
                (ReplayGuard, {"value_hash": name}),
                (LogoutNotice, {"id": name, "client_id": "c", "next_attempt_at": None if name == "over" else soon}),
                (
                    MailMessage,
                    {
                        "id": name,
                        "next_attempt_at": None if name == "over" else soon,
                        "delivered_at": {"over": long_ago}.get(name),
                    },
                ),
                (Client, {**client, **common, **unused, "id": name, "client_id": name, "last_used_at": used[name]}),
            ):
                row = {**_required(model), **times, **values}
                columns = model.__table__.columns
                connection.execute(insert(model), {key: row[key] for key in row if key in columns})
    engine.dispose()


def _required(model: Any) -> dict[str, Any]:
    """Some value for each column that must have one."""
    values: tuple[tuple[type, Any], ...] = (
        (UTCDateTime, datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)),
        (Boolean, False),
        (Integer, 1),
        (JSON, {}),
    )
    return {
        column.key: next((value for kind, value in values if isinstance(column.type, kind)), "x")
        for column in model.__table__.columns
        if not column.nullable
    }


def test_cleanup_deletes_what_is_over_and_nothing_else(terminal: Terminal) -> None:
    now = datetime.datetime.now(datetime.UTC)
    filled(terminal, now)
    terminal.ok("keys", "rotate", "--now")
    terminal.ok("keys", "rotate", "--now")
    engine = terminal.engine()
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE signing_keys SET retires_at = '2026-01-01' WHERE retires_at IS NOT NULL")
    before = len(terminal.rows("SELECT id FROM user_audit_log"))
    deleted = terminal.json("cleanup")
    assert deleted == {
        name: {"signing_keys": 3, "surplus_clients": 0, "api_key_letters": 0, "username_skeletons": 4}.get(name, 1)
        for name in COUNTED
    }
    assert terminal.json("cleanup") == dict.fromkeys(COUNTED, 0)
    with engine.connect() as connection:
        for column in (
            AuthorizationCode.__table__.c.code_hash,
            AuthorizationRequest.__table__.c.handle_hash,
            RefreshToken.__table__.c.token_hash,
            IssuedToken.__table__.c.jti,
            LoginAttempt.__table__.c.token_hash,
            RateCounter.__table__.c.bucket,
            UserSession.__table__.c.id,
            PushedRequest.__table__.c.handle_hash,
            ReplayGuard.__table__.c.value_hash,
            LogoutNotice.__table__.c.id,
            SetupLink.__table__.c.token_hash,
            Invitation.__table__.c.id,
            Consent.__table__.c.id,
            PasswordResetToken.__table__.c.id,
            EmailVerificationToken.__table__.c.id,
            ResetRequest.__table__.c.id,
            EmailChange.__table__.c.id,
            ReservedName.__table__.c.id,
            SecondFactorWait.__table__.c.id,
            AlertLink.__table__.c.id,
            DataExport.__table__.c.id,
            HeldAlert.__table__.c.alert,
        ):
            assert connection.execute(select(column)).scalars().all() == ["live"], column
        assert set(connection.execute(select(GrantRecord.__table__.c.id)).scalars()) == {"g", "live"}
        assert set(connection.execute(select(User.__table__.c.api_key)).scalars()) == {None}
    engine.dispose()
    assert len(terminal.rows("SELECT id FROM user_audit_log")) == before, (
        "an old record went, another says who was erased"
    )


def test_cleanup_works_in_batches_until_nothing_is_left(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "BATCH", 10)
    over = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    engine = terminal.engine()
    with engine.begin() as connection:
        rows = [{"bucket": f"bucket-{number}", "count": 1, "expires_at": over} for number in range(35)]
        connection.execute(insert(RateCounter), rows)
    engine.dispose()
    assert terminal.json("cleanup")["rate_counters"] == 35
    assert terminal.rows("SELECT * FROM rate_counters") == []


def test_for_people_cleanup_is_a_list_of_counts(terminal: Terminal) -> None:
    shown = dict(line.split() for line in terminal.ok("cleanup").splitlines())
    assert shown == dict.fromkeys(COUNTED, "0")
