"""``python database/init_db.py`` as people and scripts call it: words, exit codes, no traceback."""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text

from database import init_db
from database.connection import create_engine_for
from database.ledger import LEDGER
from database.models import metadata
from database.runner import RUNNER
from tests.database.test_migrations import FILES
from tests.database_servers import PASSWORD, USER, MariaDBServer, create_database, free_port
from tests.waiting import HANG_SECONDS

SCRIPT = Path(__file__).resolve().parents[2] / "database/init_db.py"
TABLES = {*metadata.tables, LEDGER}


class Done:
    def __init__(self, process: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = process.returncode, process.stdout, process.stderr
        assert "Traceback" not in self.out + self.err
        assert PASSWORD not in self.out + self.err


def run(*arguments: str, folder: Path, answer: str | None = None, **variables: str) -> Done:
    """Runs the script in ``folder`` with nothing but ``variables`` in its environment."""
    return Done(
        subprocess.run(
            [sys.executable, str(SCRIPT), *arguments],
            cwd=folder,
            env={"PATH": os.environ["PATH"], **variables},
            input=answer or "",
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )
    )


@pytest.fixture(params=["sqlite", "mariadb"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[dict[str, str], Engine]]:
    """Variables of an empty database, and an engine to look into it."""
    if request.param == "sqlite":
        engine = create_engine_for(f"sqlite:///{tmp_path}/home/mcp-core.db")
        variables = {"MCP_HOME": str(tmp_path / "home")}
    else:
        server: MariaDBServer = request.getfixturevalue("mariadb_server")
        engine = create_engine_for(create_database(server.url(), "command"))
        variables = server.environment("command")
    yield variables, engine
    engine.dispose()


def tables(engine: Engine) -> set[str]:
    """But for the row by which a server's runners keep out of each other's way."""
    return set(inspect(engine).get_table_names()) - {RUNNER}


def test_it_makes_the_tables_from_any_folder_and_says_so(target: tuple[dict[str, str], Engine], tmp_path: Path) -> None:
    variables, engine = target
    done = run(folder=tmp_path, **variables)
    assert (done.code, done.err) == (0, "")
    assert "applied  schemas/001_users_authentication.sql" in done.out
    assert "is up to date" in done.out
    assert tables(engine) == TABLES
    again = run(folder=tmp_path, **variables)
    assert "current  schemas/001_users_authentication.sql" in again.out
    assert "applied" not in again.out


def test_status_and_dry_run_look_only(target: tuple[dict[str, str], Engine], tmp_path: Path) -> None:
    variables, engine = target
    for option in ("--status", "--dry-run"):
        done = run(option, folder=tmp_path, **variables)
        assert (done.code, done.err) == (0, "")
        assert "pending  schemas/001_users_authentication.sql" in done.out
        assert tables(engine) == set()
    run(folder=tmp_path, **variables)
    assert "current  schemas/002_authorization_server.sql" in run("--status", folder=tmp_path, **variables).out
    assert "0 to apply" in run("--dry-run", folder=tmp_path, **variables).out


def test_looking_at_a_sqlite_database_that_is_not_there_does_not_make_it(tmp_path: Path) -> None:
    done = run("--status", folder=tmp_path, MCP_HOME=str(tmp_path / "home"))
    assert done.code == 0
    assert f"{len(FILES)} to apply" in done.out
    assert list(tmp_path.iterdir()) == []


def has_users(engine: Engine) -> bool:
    with engine.connect() as connection:
        return bool(connection.execute(text("SELECT count(*) FROM users")).scalar())


def filled(variables: dict[str, str], engine: Engine, folder: Path) -> None:
    run(folder=folder, **variables)
    add_user(engine)


def add_user(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO users (id, username, username_canonical, email, email_canonical, created_at, updated_at) "
                "VALUES ('1', 'a', 'a', 'a', 'a', '2026-07-01', '2026-07-01')"
            )
        )


def test_dropping_asks_and_goes_on_only_by_the_word(target: tuple[dict[str, str], Engine], tmp_path: Path) -> None:
    variables, engine = target
    filled(variables, engine, tmp_path)
    for answer in ("", "\n", "yes\n", "Drop\n"):
        refused = run("--drop-existing", folder=tmp_path, answer=answer, **variables)
        assert (refused.code, "Nothing was changed" in refused.err) == (1, True)
        assert has_users(engine)
    done = run("--drop-existing", folder=tmp_path, answer="drop\n", **variables)
    assert done.code == 0
    assert not has_users(engine)
    assert tables(engine) == TABLES


def test_dropping_with_yes_asks_nothing(target: tuple[dict[str, str], Engine], tmp_path: Path) -> None:
    variables, engine = target
    filled(variables, engine, tmp_path)
    done = run("--drop-existing", "--yes", folder=tmp_path, **variables)
    assert done.code == 0
    assert f"Dropped {len(TABLES)} tables." in done.out
    assert not has_users(engine)


@pytest.fixture
def options() -> argparse.Namespace:
    return argparse.Namespace(drop_existing=True, after_restore=False, status=False, dry_run=False, yes=True)


@pytest.mark.parametrize(
    "place", ["production", "PRODUCTION", " Production ", "prod", "Prod", "prd", "live", "staging", "운영", "0"]
)
def test_nothing_is_dropped_where_it_may_be_production(
    sqlite_engine: Engine, options: argparse.Namespace, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    add_user(sqlite_engine)
    environ = {"MCP_HOME": str(Path(str(sqlite_engine.url.database)).parent), "ENV": place}
    assert init_db._run(options, environ) == 1
    assert f"ENV is {place}" in capsys.readouterr().err
    assert has_users(sqlite_engine)


@pytest.mark.parametrize("place", [None, "", "dev", "Development", "TEST", " ci "])
def test_tables_are_dropped_where_nobody_lives(
    sqlite_engine: Engine, options: argparse.Namespace, place: str | None
) -> None:
    add_user(sqlite_engine)
    environ = {"MCP_HOME": str(Path(str(sqlite_engine.url.database)).parent)}
    assert init_db._run(options, environ if place is None else environ | {"ENV": place}) == 0
    assert not has_users(sqlite_engine)


def test_what_the_env_file_says_of_the_place_counts_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ENV=live\n")
    done = run("--drop-existing", "--yes", folder=tmp_path, MCP_HOME=str(tmp_path))
    assert (done.code, "ENV is live" in done.err) == (1, True)


def test_contradicting_options_are_wrong_usage(tmp_path: Path) -> None:
    assert run("--drop-existing", "--status", folder=tmp_path, MCP_HOME=str(tmp_path)).code == 2


def test_variables_come_from_the_env_file_too(mariadb_server: MariaDBServer, tmp_path: Path) -> None:
    create_database(mariadb_server.url(), "command")
    variables = mariadb_server.environment("command")
    quoted = {name: "'" + value.replace("'", "\\'") + "'" for name, value in variables.items()}
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in quoted.items()), "utf-8")
    done = run("--status", folder=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert f"mysql+pymysql://{USER}:***@127.0.0.1" in done.out


@pytest.mark.parametrize(
    "changes,words",
    [
        ({"MYSQL_PORT": "closed"}, "check that it runs, and MYSQL_HOST and MYSQL_PORT"),
        ({"MYSQL_PASSWORD": "wrong"}, "check MYSQL_USER and MYSQL_PASSWORD"),
        ({"MYSQL_USER": "nobody"}, "check MYSQL_USER and MYSQL_PASSWORD"),
        ({"MYSQL_DATABASE": "not_there"}, "The database does not exist: CREATE DATABASE"),
        ({"MYSQL_USER": "narrow"}, "GRANT ALL PRIVILEGES"),
        ({"MYSQL_USER": ""}, "MYSQL_USER must be set"),
        ({"MYSQL_PORT": "x"}, "MYSQL_PORT must be a number"),
        ({"MYSQL_HOST": "no-such-host.invalid"}, "check that it runs, and MYSQL_HOST and MYSQL_PORT"),
        ({"MYSQL_SSL_CA": "/nowhere.pem"}, "MYSQL_SSL_CA names a file that is not there"),
        ({"MYSQL_SSL_CA": "other-ca.pem"}, "MYSQL_SSL_CA must hold the authority"),
        ({"MYSQL_SSL_CA": "ca.pem", "MYSQL_HOST": "127.0.0.2"}, "must name MYSQL_HOST"),
    ],
)
def test_a_server_that_refuses_is_explained(
    mariadb_server: MariaDBServer, tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    create_database(mariadb_server.url(), "command")
    with mariadb_server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER IF NOT EXISTS narrow@'%%' IDENTIFIED BY %s", (PASSWORD,))
    changes = {name: str(free_port()) if value == "closed" else value for name, value in changes.items()}
    if changes.get("MYSQL_SSL_CA", "").endswith("ca.pem"):
        changes["MYSQL_SSL_CA"] = str(mariadb_server.authority.with_name(changes["MYSQL_SSL_CA"]))
    done = run(folder=tmp_path, **{**mariadb_server.environment("command"), **changes})
    assert done.code == 1
    assert done.err.startswith("Not done: ")
    assert words in done.err


def test_a_server_that_is_no_mysql_server_does_not_hang(tmp_path: Path, mariadb_server: MariaDBServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        variables = {**mariadb_server.environment("command"), "MYSQL_PORT": str(mute.getsockname()[1])}
        done = run(folder=tmp_path, **variables)
    assert done.code == 1
    assert done.err.startswith("Not done: ")


def test_a_folder_that_cannot_hold_the_database_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(folder=tmp_path, MCP_HOME=str(tmp_path / "file"))
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "cannot be opened" in done.err


def test_a_file_that_is_no_database_is_explained(tmp_path: Path) -> None:
    (tmp_path / "mcp-core.db").write_text("this is no database " * 500)
    done = run(folder=tmp_path, MCP_HOME=str(tmp_path))
    assert done.code == 1
    assert "file is not a database" in done.err
