"""Fixtures that every test may use: databases, a fixed time, an origin, keys.

A test that takes ``engine`` runs once on SQLite and once on MariaDB; where SQL itself is the subject (``ON_MYSQL_TOO``:
the schema, migrations, whatever is consumed once) on MySQL as well. Elsewhere the statements are the same, and the minute
that a third round takes goes to other tests; ``MYSQL_TEST_URL`` asks for it (``tests/mysql_server.py``).
"""

from __future__ import annotations

import datetime
import os
import secrets
import shutil
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium
from sqlalchemy import URL, Engine, make_url

from database.connection import create_engine_for
from database.init_db import migrate
from provider.clients.cache import ShortCache
from provider.clients.client_keys import ClientKeys
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring
from provider.security.outbound import Outbound
from provider.security.rate_limit import RateLimiter
from tests import key_pairs
from tests.compiled_once import compile_builder, compile_rule, create_engine
from tests.database_servers import MariaDBServer, create_migrated_database, empty_tables
from tests.mysql_server import TEST_URL, MySQLServer, need_mysql

# They look from outside, at many values or at servers of their own. What they run in this process others have covered,
# and coverage sees nothing of them.
FROM_OUTSIDE = ("fuzz", "house", "interop", "journeys")
DATABASES = ("sqlite", "mariadb")
ON_MYSQL_TOO = ("database", "tokens")
TRACED = pytest.StashKey[set[pytest.Item]]()

# Here ``mcp-core`` is on PATH, and what we print has its bare name. Elsewhere: tests/test_program_name.py.
os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        is_sql = metafunc.definition.path.parent.name in ON_MYSQL_TOO
        names = (*DATABASES, "mysql") if is_sql or TEST_URL else DATABASES
        metafunc.parametrize("engine", names, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Coverage sees the first case of each test: the tracer doubles what one costs, and more of them add little."""
    folders = {Path(__file__).parent / name for name in FROM_OUTSIDE}
    first: dict[str, pytest.Item] = {}
    for item in items:
        if folders.isdisjoint(item.path.parents):
            first.setdefault(item.nodeid.partition("[")[0], item)
    config.stash[TRACED] = set(first.values())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    tracer = getattr(item.config.pluginmanager.getplugin("_cov"), "cov_controller", None)
    if tracer is not None and tracer.started != (item in item.config.stash[TRACED]):
        (tracer.pause if tracer.started else tracer.resume)()
    return (yield)


@pytest.fixture(scope="session")
def worker_name() -> str:
    """Tells apart the processes of a parallel test run, in names of databases."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDBServer]:
    """This process's own server. A test that stops or kills one starts a ``MariaDBServer`` for itself."""
    server = MariaDBServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def mariadb_url(mariadb_server: MariaDBServer) -> URL:
    """A migrated database on MariaDB. Its tables are empty wherever ``mariadb_engine`` is used as well."""
    return create_migrated_database(mariadb_server.url(), "mcp_core")


@pytest.fixture(scope="session")
def mysql_server() -> Iterator[MySQLServer]:
    need_mysql()
    server = MySQLServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def mysql_url(worker_name: str, request: pytest.FixtureRequest) -> URL:
    url = make_url(TEST_URL) if TEST_URL else request.getfixturevalue("mysql_server").url()
    return create_migrated_database(url, f"mcp_core_test_{worker_name}")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """One browser for the tests of a file. Playwright's event loop ends with the file, so that no other one meets it."""
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if executable is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def migrated_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    engine = create_engine_for(URL.create("sqlite", database=str(path)))
    migrate(engine)
    engine.dispose()  # the last connection's end takes the write-ahead log into the file
    return path


@pytest.fixture
def sqlite_engine(migrated_sqlite_file: Path, tmp_path: Path) -> Iterator[Engine]:
    path = tmp_path / "database" / "mcp-core.db"
    path.parent.mkdir()
    shutil.copyfile(migrated_sqlite_file, path)
    engine = create_engine_for(URL.create("sqlite", database=str(path)))
    yield engine
    engine.dispose()


@pytest.fixture
def mariadb_engine(mariadb_url: URL) -> Iterator[Engine]:
    yield from _emptied(mariadb_url)


@pytest.fixture
def mysql_engine(mysql_url: URL) -> Iterator[Engine]:
    yield from _emptied(mysql_url)


def _emptied(url: URL) -> Iterator[Engine]:
    engine = create_engine_for(url)
    empty_tables(engine)
    yield engine
    engine.dispose()


@pytest.fixture(params=["mariadb", "mysql"])
def server_engine(request: pytest.FixtureRequest) -> Engine:
    """The same, for what SQLite has nothing of."""
    made: Engine = request.getfixturevalue(f"{request.param}_engine")
    return made


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Engine:
    """A migrated, empty database; ``pytest_generate_tests`` says on which kinds the test runs."""
    made: Engine = request.getfixturevalue(f"{request.param}_engine")
    return made


@pytest.fixture
def now() -> datetime.datetime:
    return datetime.datetime(2026, 7, 1, 12, 0, tzinfo=datetime.UTC)


@pytest.fixture
def origin(now: datetime.datetime) -> Origin:
    return Origin(source="192.0.2.10", user_agent="pytest", request_id="request-1", now=now)


@pytest.fixture(scope="session", autouse=True)
def standing_clocks() -> Iterator[None]:
    """What is kept for seconds, and pauses of seconds, end in this process when a test moves a clock that it has given.

    On a slow machine they would be over before a test has looked, which says "still" or "not again".
    """
    with pytest.MonkeyPatch.context() as patch:
        for kept in (ShortCache, ClientKeys):
            patch.setattr(kept.__init__, "__defaults__", (_standing,))
        assert Outbound.__init__.__kwdefaults__ is not None
        patch.setitem(Outbound.__init__.__kwdefaults__, "clock", _standing)
        yield


def _standing() -> float:
    return 1000.0


@pytest.fixture(scope="session", autouse=True)
def standing_windows() -> Iterator[None]:
    """Windows of counters begin with the hour, as the clocks of the tests do.

    Else a test that counts, moves its clock by less than a window and counts on would now and then meet the next window.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RateLimiter, "_phase", lambda _self, _name, _seconds: 0)
        yield


@pytest.fixture(scope="session", autouse=True)
def made_once() -> Iterator[None]:
    """Signing keys of this process are made and read in as ``tests.key_pairs`` says, the rest as ``tests.compiled_once``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("database.engines.create_engine", create_engine)
        patch.setattr("werkzeug.routing.Rule.compile", compile_rule)
        patch.setattr("werkzeug.routing.Rule._compile_builder", compile_builder)
        patch.setattr("provider.tokens.signing_keys.generate_key", key_pairs.generate_key)
        patch.setattr("provider.tokens.signing_key.import_key", key_pairs.import_key)
        yield


@pytest.fixture(scope="session")
def keyring() -> Keyring:
    return Keyring(secrets.token_bytes(32), [("test", secrets.token_bytes(32))])
