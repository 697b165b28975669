"""``mcp-core`` inside this process, in a folder of its own, with nothing but the test's variables in the environment."""

from __future__ import annotations

import datetime
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from database import DatabaseConnection
from database.connection import create_engine_for
from database.transaction import Transaction
from provider.audit import AuditRecorder
from provider.cli.program import program
from provider.protocol.messages import Origin
from provider.sign_in.consecutive_failures import MOST, ConsecutiveFailures, Way, WayIn
from tests.terminal import logs_as_before

PASSWORD = "violet kettle 71 harbour paints"


class Terminal:
    """A shell in ``folder``. The database there has been migrated, keys are made by the first command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "instance"
        self.database = self.home / "mcp-core.db"

    def run(self, *arguments: str, given: str | bytes = "") -> Result:
        """Runs a command to its end. Anything but an exit code is a bug, and so is a traceback."""
        DatabaseConnection.dispose()
        result = CliRunner().invoke(program, [*arguments], input=given, prog_name="mcp-core")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        assert "Traceback" not in result.output
        return result

    def ok(self, *arguments: str, given: str = "") -> str:
        """What a command prints that has to succeed."""
        result = self.run(*arguments, given=given)
        assert (result.exit_code, result.stderr) == (0, ""), result.output
        return result.stdout

    def json(self, *arguments: str, given: str = "") -> Any:
        return json.loads(self.ok(*arguments, "--json", given=given))

    def refused(self, *arguments: str, given: str | bytes = "") -> str:
        """The reason for which a command refuses: exit code 1, on standard error, nothing on standard output."""
        result = self.run(*arguments, given=given)
        assert (result.exit_code, result.stdout) == (1, ""), result.output
        assert result.stderr.startswith("mcp-core: "), result.stderr
        return result.stderr.removeprefix("mcp-core: ").rstrip("\n")

    def misused(self, *arguments: str, given: str = "") -> str:
        """What click says to wrong usage: exit code 2."""
        result = self.run(*arguments, given=given)
        assert (result.exit_code, result.stdout) == (2, ""), result.output
        return result.stderr

    def user(self, name: str, *options: str) -> Any:
        fields = ("--username", name, "--email", f"{name}@example.org", *options, "--password-stdin")
        return self.json("user", "create", *fields, given=PASSWORD + "\n")

    def engine(self) -> Engine:
        return create_engine_for(f"sqlite:///{self.database}")

    def rows(self, statement: str) -> list[dict[str, Any]]:
        """What a SELECT finds in the SQLite database."""
        engine = self.engine()
        with engine.connect() as connection:
            found = [dict(row) for row in connection.exec_driver_sql(statement).mappings()]
        engine.dispose()
        return found

    def close_password(self, user_id: str, *, is_known_device: bool = False) -> None:
        """As a hundred wrong passwords in a row do it."""
        engine = self.engine()
        way_in, failures = WayIn(user_id, Way.PASSWORD, is_known_device), ConsecutiveFailures(AuditRecorder())
        by = Origin("192.0.2.10", "pytest", "request-1", datetime.datetime.now(datetime.UTC))
        with Transaction(engine) as tx:
            for _ in range(MOST):
                number = failures.count(tx, by, way_in)
            assert number == MOST
            failures.fail(tx, by, way_in, number)
        engine.dispose()

    def audit(self, action: str) -> list[dict[str, Any]]:
        return self.rows(f"SELECT * FROM user_audit_log WHERE action = '{action}' ORDER BY created_at, id")


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    with logs_as_before():
        yield


@pytest.fixture
def bare_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """A shell in an empty folder: no database, no keys, no settings."""
    for name in os.environ:
        if name.startswith(("MCP_", "MYSQL_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield Terminal(folder)
    DatabaseConnection.dispose()


@pytest.fixture
def terminal(bare_terminal: Terminal, migrated_sqlite_file: Path) -> Terminal:
    bare_terminal.home.mkdir(mode=0o700)
    shutil.copyfile(migrated_sqlite_file, bare_terminal.database)
    bare_terminal.database.chmod(0o600)
    return bare_terminal
