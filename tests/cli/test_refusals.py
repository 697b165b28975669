"""What stops every command: wrong settings, a database that is not right, keys that are not."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.cli.conftest import Terminal
from tests.database_servers import PASSWORD, MariaDBServer, create_database, free_port

LIST = ("user", "list")


def test_an_unknown_variable_stops_with_a_suggestion(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_ISUER", "https://id.example/oauth")
    words = "MCP_ISUER is not a setting. Did you mean MCP_ISSUER?"
    for command in (LIST, ("serve",), ("setup-link",), ("cleanup",)):
        assert terminal.refused(*command) == words


def test_an_unknown_name_in_the_env_file_stops_as_well(terminal: Terminal) -> None:
    (terminal.folder / ".env").write_text("MCP_SERVICE_NAM=Acme\nOTHER=1\nMYSQL_PORT=3306\n")
    assert terminal.refused(*LIST) == "MCP_SERVICE_NAM is not a setting. Did you mean MCP_SERVICE_NAME?"


def test_a_name_like_no_setting_gets_no_suggestion_and_all_are_named(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_Q", "1")
    monkeypatch.setenv("MCP_LOGLEVEL", "info")
    shown = terminal.refused(*LIST)
    assert set(shown.splitlines()) == {
        "MCP_Q is not a setting.",
        "MCP_LOGLEVEL is not a setting. Did you mean MCP_LOG_LEVEL?",
    }


def test_a_wrong_value_is_named_with_its_variable(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_CODE_SECONDS", "61")
    assert terminal.refused(*LIST) == 'MCP_CODE_SECONDS: must be a whole number from 10 to 60, and is "61"'


def test_the_env_file_is_read_and_the_environment_wins(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    (terminal.folder / ".env").write_text("MCP_ISSUER=http://localhost:9001/oauth\n")
    assert "http://localhost:9001/setup/" in terminal.ok("setup-link")
    monkeypatch.setenv("MCP_ISSUER", "http://localhost:9002/oauth")
    assert "http://localhost:9002/setup/" in terminal.ok("setup-link")


@pytest.mark.parametrize("command", [LIST, ("serve",), ("setup-link",), ("doctor",)])
def test_a_line_of_the_env_file_that_says_nothing_stops_every_command(
    terminal: Terminal, command: tuple[str, ...]
) -> None:
    (terminal.folder / ".env").write_text("# told\nMYSQL_PASSWORD geheim\n")
    result = terminal.run(*command)
    assert (result.exit_code, ".env, line 2: expected NAME=value" in result.output) == (1, True)
    assert "geheim" not in result.output


def test_an_env_file_that_is_no_text_is_named(terminal: Terminal) -> None:
    (terminal.folder / ".env").write_bytes(b"MCP_ISSUER=\xff\n")
    assert terminal.refused(*LIST).startswith(".env cannot be read: ")
    assert "cannot be read" in terminal.run("doctor").stdout


def test_a_database_that_is_not_there_is_not_made_by_looking(bare_terminal: Terminal) -> None:
    for command in (LIST, ("setup-link",), ("cleanup",), ("keys", "rotate")):
        assert bare_terminal.refused(*command) == (
            f"There is no database at {bare_terminal.database}. Make it with: mcp-core serve (or name the right MCP_HOME)."
        )
    assert list(bare_terminal.folder.iterdir()) == []


def test_a_database_that_is_older_is_not_used(bare_terminal: Terminal) -> None:
    bare_terminal.engine().dispose()  # makes the empty file
    assert bare_terminal.refused(*LIST).startswith(
        "The database is not up to date. Bring it there with: mcp-core serve"
    )


def test_a_database_that_is_newer_is_not_used(terminal: Terminal) -> None:
    engine = terminal.engine()
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO schema_migrations VALUES ('migrations/20990101_0000_later.sql', 'a', 1, 'b', '2099', 1)"
        )
    engine.dispose()
    words = "migrations/20990101_0000_later.sql was applied to this database and is not here: is this an older version?"
    assert terminal.refused(*LIST) == words
    assert terminal.refused("serve", "--port", str(free_port())) == words
    assert words in terminal.run("doctor").stdout


def test_a_file_that_is_no_database_is_named(terminal: Terminal) -> None:
    terminal.database.write_bytes(b"this is no database, but a text that is longer than a header" * 20)
    assert terminal.refused(*LIST) == "The database failed: file is not a database"


@pytest.fixture
def on_mariadb(
    bare_terminal: Terminal,
    mariadb_server: MariaDBServer,
    mariadb_engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, str]:
    """The documented variables, for a migrated database, and no others: ``bare_terminal`` has cleared them."""
    variables = mariadb_server.environment(str(mariadb_engine.url.database))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def test_commands_work_on_mariadb_by_the_documented_variables(
    on_mariadb: dict[str, str], bare_terminal: Terminal
) -> None:
    assert bare_terminal.user("ana")["username"] == "ana"
    bare_terminal.ok("resource", "add", "https://api.example/", "--name", "A", "--scope", "a")
    key = bare_terminal.json("api-key", "create", "--user", "ana", "--name", "nightly")
    assert bare_terminal.json("api-key", "list")[0]["key_id"] == key["key_id"]
    assert len(bare_terminal.json("keys", "rotate", "--now")["kids"]) == 3
    assert set(bare_terminal.json("cleanup").values()) == {0}
    assert not bare_terminal.database.exists()


def test_the_variables_may_stand_in_the_env_file(
    on_mariadb: dict[str, str], bare_terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in on_mariadb:
        monkeypatch.delenv(name)
    lines = [f"{name}='{value}'\n" if "'" not in value else f'{name}="{value}"\n' for name, value in on_mariadb.items()]
    (bare_terminal.folder / ".env").write_text("".join(lines), encoding="utf-8")
    assert bare_terminal.json("user", "list") == []
    assert not bare_terminal.database.exists()


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"MYSQL_PORT": "1"}, "The server does not answer: check that it runs, and MYSQL_HOST and MYSQL_PORT."),
        ({"MYSQL_PASSWORD": "wrong"}, "User name or password is wrong"),
        ({"MYSQL_DATABASE": "no_such_database"}, "The database does not exist"),
        ({"MYSQL_PORT": "many"}, "MYSQL_PORT must be a number from 1 to 65535"),
        ({"MYSQL_USER": ""}, "MYSQL_USER must be set to use MySQL"),
        ({"MYSQL_SSL_CA": "nowhere.pem"}, "MYSQL_SSL_CA names a file that is not there: nowhere.pem"),
    ],
)
def test_a_server_that_cannot_be_used_is_explained_without_its_password(
    on_mariadb: dict[str, str],
    bare_terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, str],
    words: str,
) -> None:
    for name, value in changed.items():
        monkeypatch.setenv(name, value)
    for command in (LIST, ("serve", "--port", str(free_port()))):
        shown = bare_terminal.refused(*command)
        assert words in shown
        assert PASSWORD not in shown
    examined = bare_terminal.run("doctor")
    assert (examined.exit_code, words in examined.stdout, PASSWORD in examined.output) == (1, True, False)


def test_an_empty_server_database_has_to_be_migrated_first(
    on_mariadb: dict[str, str], bare_terminal: Terminal, mariadb_server: MariaDBServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_database(mariadb_server.url(), "terminal_empty")
    monkeypatch.setenv("MYSQL_DATABASE", "terminal_empty")
    assert "not up to date" in bare_terminal.refused(*LIST)


def sealed(terminal: Terminal) -> Path:
    """A database that holds something which only its keys open. Returns the folder of the keys."""
    terminal.ok("keys", "rotate", "--now")
    return terminal.home / "keys"


def test_the_first_command_makes_the_key_files_for_their_owner_alone(terminal: Terminal) -> None:
    folder = sealed(terminal)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "hashing.key": 0o600,
        "encryption.keys": 0o600,
    }


@pytest.mark.parametrize("name", ["hashing.key", "encryption.keys"])
def test_missing_keys_are_not_made_anew_for_a_database_in_use(terminal: Terminal, name: str) -> None:
    path = sealed(terminal) / name
    kept = path.read_bytes()
    path.unlink()
    for command in (LIST, ("serve", "--port", str(free_port()))):
        assert f"{path} is missing, and the database is not new." in terminal.refused(*command)
    assert not path.exists()
    assert "is missing" in terminal.run("doctor").stdout
    path.write_bytes(kept)
    path.chmod(0o600)
    terminal.ok(*LIST)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_keys_that_others_can_read_are_refused(terminal: Terminal, mode: int) -> None:
    path = sealed(terminal) / "hashing.key"
    path.chmod(mode)
    assert terminal.refused(*LIST) == f"{path} is open to other users (mode {mode:04o}). Close it: chmod 600 {path}"


def test_a_folder_of_keys_that_others_can_change_is_refused(terminal: Terminal) -> None:
    folder = sealed(terminal)
    folder.chmod(0o720)
    assert terminal.refused(*LIST) == f"Other users can change {folder}. Close it: chmod 700 {folder}"


def test_keys_of_another_database_open_nothing_and_say_so(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed(terminal)
    monkeypatch.setenv("MCP_ENCRYPTION_KEYS", "k1:" + base64.b64encode(secrets.token_bytes(32)).decode())
    words = terminal.refused("keys", "list")
    assert words.startswith("The stored keys do not open with these key files.")
    assert "do not open" in terminal.run("doctor").stdout


def test_short_keys_in_the_settings_are_refused_and_not_shown(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = base64.b64encode(secrets.token_bytes(31)).decode()
    monkeypatch.setenv("MCP_HASHING_KEY", short)
    shown = terminal.refused(*LIST)
    assert "MCP_HASHING_KEY is too short: 31 bytes of 32." in shown
    assert short not in shown
