"""Backups: what the document prints is made, restored and moved as it stands there, and the provider works on it.

By a user with no more rights than the document gives, who may not do everything that a dump would like to.
"""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import Engine, inspect, text

from database.connection import create_engine_for
from database.init_db import main, migrate
from database.ledger import LEDGER
from provider.security.crypto import Keyring
from tests.database.test_document import printed, type_into_terminal
from tests.database_servers import PASSWORD, USER, DatabaseServer, create_database
from tests.endpoints.provider import KnownClient, Provider
from tests.mysql_server import FOLDER

NAME = "mcp_core_backup"
NAMED = "backup_20250115_143000"
DUMPS = {"mariadb": "mariadb-dump --single-transaction -u", "mysql": "mysqldump --single-transaction --no-tablespaces"}
RESTORES = {"mariadb": "mariadb -u mcp_user -p mcp_core <", "mysql": "mysql -u mcp_user -p mcp_core < backup"}
MOVES = {
    "mariadb": "mariadb-dump --single-transaction --no-create",
    "mysql": "mysqldump --single-transaction --no-create",
}
MACHINE = {"grant_type": "client_credentials"}


class Place:
    """One server with the database of the documented name, and the documented user."""

    def __init__(self, server: DatabaseServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.engine = create_engine_for(create_database(server.url(), NAME))

    def type(self, block: str) -> str:
        """Types what is printed, but for the name of the database: another one is in use by other tests."""
        return type_into_terminal(re.sub(r"\bmcp_core\b", NAME, block), self.folder, self.server, str(FOLDER / "bin"))

    def backups(self) -> list[Path]:
        return list(self.folder.glob("backup_*.sql"))


def place(request: pytest.FixtureRequest, product: str, folder: Path) -> Iterator[Place]:
    server: DatabaseServer = request.getfixturevalue(f"{product}_server")
    quoted = PASSWORD.replace("'", "''")
    with (
        pymysql.connect(unix_socket=str(server.socket), user="root", charset="utf8mb4") as root,
        root.cursor() as cursor,
    ):
        cursor.execute(f"CREATE USER {USER}@localhost IDENTIFIED BY '{quoted}'")
        cursor.execute(f"GRANT ALL PRIVILEGES ON {NAME}.* TO {USER}@localhost")
        folder.mkdir()
        made = Place(server, folder)
        try:
            yield made
        finally:
            made.engine.dispose()
            cursor.execute(f"DROP USER {USER}@localhost")
            cursor.execute(f"DROP DATABASE {NAME}")


@pytest.fixture(params=["mariadb", "mysql"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    yield from place(request, request.param, tmp_path / "old")


@pytest.fixture
def new(request: pytest.FixtureRequest, old: Place, tmp_path: Path) -> Iterator[Place]:
    """The other product."""
    yield from place(request, "mysql" if old.server.product == "mariadb" else "mariadb", tmp_path / "new")


class Life:
    """What is on a provider's database: a person, a machine, and tokens that were given."""

    def __init__(self, engine: Engine, keyring: Keyring) -> None:
        migrate(engine)
        self._keyring = keyring
        provider = self.provider_on(engine)
        self.machine = provider.machine()
        self.app: KnownClient = provider.client(name="메모 😀 \\ '\"")
        self.tokens = provider.tokens(provider.user("kim", display_name="김철수 \\n"), self.app)

    def provider_on(self, engine: Engine) -> Provider:
        return Provider.build(engine, self._keyring)


@pytest.fixture
def life(old: Place, keyring: Keyring) -> Life:
    return Life(old.engine, keyring)


def contents(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """What people and applications are called, exactly, and values of each other kind."""
    with engine.connect() as connection:
        return {
            statement: [tuple(row) for row in connection.execute(text(statement))]
            for statement in (
                "SELECT id, username, display_name, created_at, is_active FROM users",
                "SELECT id, name, secret_hash, created_at FROM oauth_clients ORDER BY id",
                "SELECT kid, private_key_encrypted FROM signing_keys ORDER BY kid",
                "SELECT action, created_at FROM user_audit_log ORDER BY id",
            )
        }


def environment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.folder)
    for name, value in place.server.environment(NAME).items():
        monkeypatch.setenv(name, value)


def test_a_backup_is_restored_as_printed_and_nothing_taken_back_since_comes_alive(
    old: Place, life: Life, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(old.engine)
    old.type(printed("bash", DUMPS[old.server.product]))
    (backup,) = old.backups()
    assert re.fullmatch(r"backup_\d{8}_\d{6}\.sql", backup.name)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert [path.name for path in old.folder.iterdir() if path.suffix == ".part"] == []
    backup.rename(old.folder / f"{NAMED}.sql")

    assert life.provider_on(old.engine).revoke(life.app, life.tokens["refresh_token"]).status == 200
    create_database(old.server.url(), NAME)  # everything is lost
    old.engine.dispose()
    old.type(printed("bash", RESTORES[old.server.product]))
    assert contents(old.engine) == before
    assert migrate(old.engine).applied == []

    environment(old, monkeypatch)
    assert printed("bash", "--after-restore").strip() == "python database/init_db.py --after-restore"
    assert main(["--after-restore"]) == 0
    assert "1 grants ended" in capsys.readouterr().out
    provider = life.provider_on(old.engine)
    assert provider.token(life.machine, MACHINE).status == 200
    assert provider.refresh(life.app, life.tokens["refresh_token"]).status == 400
    assert not provider.is_alive(life.tokens["access_token"])


def test_rows_are_moved_to_the_other_product_as_printed(old: Place, new: Place, life: Life) -> None:
    old.type(printed("bash", MOVES[old.server.product]))
    (old.folder / "rows.sql").rename(new.folder / f"{NAMED}.sql")
    migrate(new.engine)
    new.type(printed("bash", RESTORES[new.server.product]))
    assert contents(new.engine) == contents(old.engine)
    provider = life.provider_on(new.engine)
    assert provider.token(life.machine, MACHINE).status == 200
    assert provider.refresh(life.app, life.tokens["refresh_token"]).status == 200
    assert provider.is_alive(life.tokens["access_token"])


@pytest.mark.parametrize("product", ["mariadb", "mysql"])
@pytest.mark.parametrize(
    "program", ["echo '-- Dump completed on 2026'; exit 3", "echo 'CREATE TABLE users ('", ":"],
    ids=["failed", "cut off", "silent"],
)  # fmt: skip
def test_a_dump_that_failed_or_was_cut_off_is_no_backup(tmp_path: Path, product: str, program: str) -> None:
    for name in ("mariadb-dump", "mysqldump"):
        (tmp_path / name).write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / name).chmod(0o755)
    block = printed("bash", DUMPS[product])
    done = subprocess.run(["bash", "-c", block], cwd=tmp_path, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, timeout=30)
    assert done.returncode != 0
    assert list(tmp_path.glob("backup_*.sql")) == []


@pytest.mark.parametrize("old", ["mysql"], indirect=True)
def test_a_dump_that_mysql_refuses_to_the_documented_user_is_no_backup(old: Place, life: Life) -> None:
    with pytest.raises(AssertionError, match="Access denied"):
        old.type(printed("bash", DUMPS["mysql"]).replace("--set-gtid-purged=OFF ", ""))
    assert old.backups() == []


def test_a_sqlite_database_is_backed_up_and_restored_as_printed(tmp_path: Path, keyring: Keyring) -> None:
    (tmp_path / "instance").mkdir()
    path = tmp_path / "instance/mcp-core.db"
    engine = create_engine_for(f"sqlite:///{path}")
    life = Life(engine, keyring)

    def run(block: str) -> None:
        command = block.replace("python -c", f"{sys.executable} -c")
        subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True, timeout=30)

    with engine.begin() as connection:  # somebody is writing
        connection.execute(text("DELETE FROM users WHERE username = 'kim'"))
        run(printed("bash", "VACUUM INTO"))
    assert stat.S_IMODE((tmp_path / f"{NAMED}.db").stat().st_mode) == 0o600
    engine.dispose()
    with engine.begin() as connection:
        connection.execute(text("UPDATE oauth_clients SET is_active = 0"))
        assert path.with_name("mcp-core.db-wal").exists()
        left = path.with_name("mcp-core.db-wal").read_bytes()
    engine.dispose()
    path.with_name("mcp-core.db-wal").write_bytes(left)  # as after a crash
    run(printed("bash", "mcp-core.db-wal"))
    provider = life.provider_on(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT username FROM users")).scalars().all() == ["kim"]
    assert provider.token(life.machine, MACHINE).status == 200
    engine.dispose()


LOST = ["schema_migrations", "users", "oauth_clients", "user_sessions"]


@pytest.mark.parametrize("lost", [LOST, *([name] for name in LOST)], ids=lambda names: " ".join(names[:2]))
def test_a_restore_that_brought_back_nothing_or_not_everything_is_refused(
    sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lost: list[str]
) -> None:
    with sqlite_engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        for name in lost:
            connection.exec_driver_sql(f"DROP TABLE {name}")
    monkeypatch.setenv("MCP_HOME", str(Path(str(sqlite_engine.url.database)).parent))
    before = set(inspect(sqlite_engine).get_table_names())
    assert main(["--after-restore"]) == 1
    words = "nothing was restored" if LEDGER in lost else f"these tables are missing: {lost[0]}"
    assert words in capsys.readouterr().err
    assert set(inspect(sqlite_engine).get_table_names()) == before


def test_looking_for_a_restored_sqlite_database_makes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MCP_HOME", str(tmp_path))
    assert main(["--after-restore"]) == 1
    assert "nothing was restored" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
