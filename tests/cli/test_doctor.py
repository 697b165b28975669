"""``mcp-core doctor``: each finding, and that it changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from database.connection import create_engine_for
from provider.cli import doctor
from tests.cli.conftest import Terminal
from tests.database_servers import MariaDBServer, create_database, create_migrated_database, free_port
from tests.serving import Server, serving

CHECKS = {"settings", "python", "database", "schema", "clock", "keys", "vault", "clients", "people", "mail", "issuer"}


def findings(terminal: Terminal, check: str) -> list[tuple[str, str]]:
    """State and text of what doctor finds for one check. No server runs: the issuer fails, and so does doctor."""
    result = terminal.run("doctor", "--json")
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert {tuple(finding) for finding in found} == {("check", "state", "text")}
    assert {finding["check"] for finding in found} <= CHECKS
    assert {finding["state"] for finding in found} <= {"ok", "warn", "fail"}
    assert result.exit_code == (1 if any(finding["state"] == "fail" for finding in found) else 0)
    return [(finding["state"], finding["text"]) for finding in found if finding["check"] == check]


@pytest.fixture
def quiet(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """An issuer at which nobody listens."""
    monkeypatch.setenv("MCP_ISSUER", f"http://localhost:{free_port()}/oauth")
    return terminal


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with serving(tmp_path_factory.mktemp("doctor")) as server:
        yield server


def test_a_healthy_server_has_no_failure_and_exit_code_zero(running: Server) -> None:
    found = running.mcp_core_json("doctor")
    assert {finding["check"] for finding in found} == CHECKS
    assert [finding for finding in found if finding["state"] == "fail"] == []
    assert [finding["text"] for finding in found if finding["check"] == "issuer"] == [
        "answers as itself (OpenID Connect Discovery)",
        "answers as itself (RFC 8414)",
    ]
    assert ("people", "warn") in {(finding["check"], finding["state"]) for finding in found}, "nobody is there yet"
    lines = running.mcp_core("doctor").splitlines()
    assert len(lines) == len(found)
    assert lines[0].split()[:2] == ["ok", "settings"]


def test_an_address_that_names_another_issuer_fails(
    running: Server, bare_terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_HOME", str(running.home / "instance"))
    monkeypatch.setenv("MCP_ISSUER", running.issuer.replace("localhost", "127.0.0.1"))
    found = findings(bare_terminal, "issuer")
    assert [(state, "names another issuer than MCP_ISSUER" in text) for state, text in found] == [("fail", True)] * 2


def test_a_path_that_the_proxy_does_not_pass_on_fails(
    running: Server, bare_terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_HOME", str(running.home / "instance"))
    monkeypatch.setenv("MCP_ISSUER", running.origin + "/elsewhere")
    found = findings(bare_terminal, "issuer")
    assert [(state, "status 404" in text) for state, text in found] == [("fail", True)] * 2


def test_an_issuer_that_does_not_answer_fails(quiet: Terminal) -> None:
    found = findings(quiet, "issuer")
    assert [(state, "no connection" in text) for state, text in found] == [("fail", True)] * 2


def test_wrong_settings_are_the_only_finding(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_ISUER", "x")
    monkeypatch.setenv("MCP_CODE_SECOND", "x")
    assert {text for _, text in findings(terminal, "settings")} == {
        "MCP_ISUER is not a setting. Did you mean MCP_ISSUER?",
        "MCP_CODE_SECOND is not a setting. Did you mean MCP_CODE_SECONDS?",
    }
    assert findings(terminal, "database") == []


def test_settings_worth_a_look(quiet: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [state for state, _ in findings(quiet, "settings")] == ["ok"]
    monkeypatch.setenv("MCP_RATE_LIMITS", "false")
    assert ("warn", "MCP_RATE_LIMITS is off: guesses are not throttled") in findings(quiet, "settings")
    monkeypatch.delenv("MCP_RATE_LIMITS")
    (quiet.folder / ".env").write_text("MCP_SERVICE_NAME=Acme\n")
    (quiet.folder / ".env").chmod(0o644)
    assert any("chmod 600 .env" in text for _, text in findings(quiet, "settings"))
    (quiet.folder / ".env").chmod(0o600)
    assert [state for state, _ in findings(quiet, "settings")] == ["ok"]


@pytest.mark.parametrize("is_profiled, state", [(True, "ok"), (False, "warn")])
def test_a_python_without_a_profile_is_worth_a_look(
    quiet: Terminal, monkeypatch: pytest.MonkeyPatch, is_profiled: bool, state: str
) -> None:
    monkeypatch.setattr("provider.start.interpreter.is_profiled", lambda: is_profiled)
    assert [state for state, _ in findings(quiet, "python")] == [state]


def test_a_proxy_whose_addresses_are_not_believed_is_worth_a_look(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_ISSUER", "https://id.invalid/oauth")
    monkeypatch.setenv("MCP_BEHIND_TLS_PROXY", "true")
    assert any("MCP_TRUSTED_PROXY_COUNT is 0" in text for _, text in findings(terminal, "settings"))
    assert any(
        state == "warn" and "SQLite serves one machine" in text for state, text in findings(terminal, "database")
    )
    monkeypatch.setenv("MCP_TRUSTED_PROXY_COUNT", "1")
    assert [state for state, _ in findings(terminal, "settings")] == ["ok"]


def test_a_database_that_is_not_there_fails_and_is_not_made(bare_terminal: Terminal) -> None:
    (finding,) = findings(bare_terminal, "database")
    assert finding == ("fail", f"there is none at {bare_terminal.database} (mcp-core serve makes it)")
    assert list(bare_terminal.folder.iterdir()) == []


def test_pending_migrations_fail_by_their_names(bare_terminal: Terminal) -> None:
    bare_terminal.engine().dispose()
    (finding,) = findings(bare_terminal, "schema")
    assert finding[0] == "fail"
    assert "schemas/001_users_authentication.sql" in finding[1]


def test_a_migrated_database_without_keys_says_who_makes_them_and_makes_none(quiet: Terminal) -> None:
    assert findings(quiet, "schema") == [("ok", "up to date")]
    assert findings(quiet, "clock") == [("ok", "the database runs on this machine's clock")]
    assert findings(quiet, "keys") == [("warn", "not made yet: the first start of the server makes them")]
    assert not (quiet.home / "keys").exists()


def test_signing_keys_are_counted_and_missing_ones_named(quiet: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_SIGNING_ALGORITHMS", "RS256")
    quiet.ok("keys", "rotate", "--now")
    assert findings(quiet, "keys") == [("ok", "1 signing keys, key files closed to others")]
    monkeypatch.delenv("MCP_SIGNING_ALGORITHMS")
    assert findings(quiet, "keys") == [("warn", "no signing key yet for ES256, EdDSA: the next start makes it")]


def test_open_and_missing_key_files_fail(quiet: Terminal) -> None:
    quiet.ok("keys", "rotate", "--now")
    path = quiet.home / "keys" / "encryption.keys"
    path.chmod(0o644)
    assert [(state, "chmod 600" in text) for state, text in findings(quiet, "keys")] == [("fail", True)]
    path.unlink()
    assert [(state, "is missing" in text) for state, text in findings(quiet, "keys")] == [("fail", True)]
    assert findings(quiet, "clients") == [], "nothing more can be said without keys"


def test_clients_without_pkce_are_marked(quiet: Terminal) -> None:
    redirect = ("--redirect-uri", "https://files.example/callback")
    quiet.ok("client", "create", "--name", "Good", *redirect)
    assert findings(quiet, "clients") == [("ok", "1 registered")]
    weak = quiet.json("client", "create", "--name", "Weak", *redirect, "--no-pkce")["client_id"]
    quiet.ok("client", "create", "--name", "Machine", "--no-pkce")  # no person signs in through it
    assert findings(quiet, "clients") == [
        ("warn", f'"Weak" ({weak}) may sign people in without PKCE and without a nonce'),
        ("ok", "3 registered"),
    ]


def test_administrators_without_a_second_factor_are_named(quiet: Terminal) -> None:
    quiet.ok("keys", "rotate", "--now")
    assert findings(quiet, "people") == [("warn", "there is no account yet: mcp-core setup-link")]
    quiet.user("bora")
    assert findings(quiet, "people") == [("ok", "1 accounts, every administrator with a second factor")]
    quiet.user("ana", "--admin")
    assert findings(quiet, "people") == [("warn", "administrators without a second factor: ana")]
    engine = quiet.engine()
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET two_factor_enabled = 1 WHERE username = 'ana'")
    engine.dispose()
    assert findings(quiet, "people") == [("ok", "2 accounts, every administrator with a second factor")]


def test_what_guesses_have_closed_is_named(quiet: Terminal) -> None:
    quiet.ok("keys", "rotate", "--now")
    quiet.close_password(quiet.user("ana")["id"])
    assert findings(quiet, "people") == [
        ("warn", "ana: password on new devices is closed after wrong guesses (mcp-core user unlock ana)"),
        ("ok", "1 accounts, every administrator with a second factor"),
    ]


def test_it_changes_nothing(quiet: Terminal) -> None:
    quiet.ok("keys", "rotate", "--now")

    def state() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in sorted(quiet.home.rglob("*")) if path.is_file()}

    def content() -> list[Any]:
        names = [row["name"] for row in quiet.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [quiet.rows(f"SELECT * FROM {name}") for name in names]

    before, rows = {path: kept for path, kept in state().items() if path.parent.name == "keys"}, content()
    quiet.run("doctor")
    assert {path: kept for path, kept in state().items() if path.parent.name == "keys"} == before
    assert content() == rows


def use(server: MariaDBServer, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_ISSUER", f"http://localhost:{free_port()}/oauth")
    for variable, value in server.environment(name).items():
        monkeypatch.setenv(variable, value)


def test_a_right_server_is_well_and_its_password_is_not_shown(
    bare_terminal: Terminal, mariadb_server: MariaDBServer, mariadb_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(mariadb_server, str(mariadb_engine.url.database), monkeypatch)
    ((state, text),) = findings(bare_terminal, "database")
    assert (state, "mcp_user:***@127.0.0.1" in text) == ("ok", True)
    ((state, text),) = findings(bare_terminal, "clock")
    assert (state, text.endswith("s from the database's")) == ("ok", True)


def test_a_server_whose_tables_compare_loosely_or_forget_transactions_fails(
    bare_terminal: Terminal, mariadb_server: MariaDBServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_migrated_database(mariadb_server.url(), "doctor_loose")
    connection = mariadb_server.connect("doctor_loose")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE rate_counters CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        cursor.execute("ALTER TABLE setup_links ENGINE=MyISAM")
    connection.close()
    use(mariadb_server, "doctor_loose", monkeypatch)
    texts = [text for state, text in findings(bare_terminal, "database") if state == "fail"]
    assert any("rate_counters has the collation utf8mb4_unicode_ci" in text for text in texts)
    assert any("setup_links is stored by MyISAM" in text for text in texts)


def test_a_database_of_another_character_set_fails(
    bare_terminal: Terminal, mariadb_server: MariaDBServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_database(mariadb_server.url(), "doctor_latin", charset="latin1", collation="latin1_swedish_ci")
    use(mariadb_server, "doctor_latin", monkeypatch)
    assert ("fail", "the database has the character set latin1; it must be utf8mb4") in findings(
        bare_terminal, "database"
    )
    assert "character set latin1" in bare_terminal.refused("serve"), "and the server does not start on it"


@pytest.mark.parametrize("seconds, state", [(0, "ok"), (3, "ok"), (60, "fail"), (-60, "fail")])
def test_a_database_whose_clock_is_elsewhere_fails(mariadb_server: MariaDBServer, seconds: int, state: str) -> None:
    engine: Engine = create_engine_for(create_database(mariadb_server.url(), "doctor_clock"))

    @event.listens_for(engine, "connect")
    def shift(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET @@timestamp = UNIX_TIMESTAMP(NOW(6)) + {seconds}")

    finding = doctor._clock(engine)
    engine.dispose()
    assert (finding.check, finding.state) == ("clock", state)
    assert (f"{abs(seconds)} s apart" in finding.text) == (state == "fail")


def test_what_is_to_be_said_of_a_cluster_is_said_of_the_database(
    quiet: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet.run("setup-link")
    remarks = [("warn", "sessions do not wait for the other nodes"), ("ok", "one node of 3")]
    monkeypatch.setattr("database.cluster_checks.check_cluster", lambda _engine: remarks)
    assert findings(quiet, "database")[-2:] == remarks
