"""What ``database/README.md`` prints is what works: its examples are run as they stand there."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, insert, inspect, text

from database.connection import DatabaseConnection, create_engine_for
from database.init_db import main, migrate
from database.ledger import LEDGER
from database.models import GrantRecord, RateCounter, User, metadata
from database.runner import RUNNER
from tests.database.test_schema import ROW_TIME, user
from tests.database_servers import PASSWORD, DatabaseServer, MariaDBServer, create_database
from tests.waiting import HANG_SECONDS, eventually

ROOT = Path(__file__).resolve().parents[2]


def printed(language: str, containing: str, document: str = "README.md") -> str:
    """The one code block of the document in which ``containing`` stands."""
    blocks = re.findall(
        rf"^```{language}\n(.*?)^```$", (ROOT / "database" / document).read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    found = [block for block in blocks if containing in block]
    assert len(found) == 1
    return str(found[0])


@pytest.fixture
def in_environment(engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Engine]:
    """The process's environment names the test's database, as it would a real one."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOST", "PORT", "USER", "PASSWORD", "DATABASE", "SSL_CA"):
        monkeypatch.delenv(f"MYSQL_{name}", raising=False)
    if engine.dialect.name == "sqlite":
        monkeypatch.setenv("MCP_HOME", str(Path(str(engine.url.database)).parent))
    else:
        monkeypatch.setenv("MYSQL_HOST", str(engine.url.host))
        monkeypatch.setenv("MYSQL_PORT", str(engine.url.port))
        monkeypatch.setenv("MYSQL_USER", str(engine.url.username))
        monkeypatch.setenv("MYSQL_PASSWORD", str(engine.url.password))
        monkeypatch.setenv("MYSQL_DATABASE", str(engine.url.database))
    DatabaseConnection.dispose()
    yield engine
    DatabaseConnection.dispose()


def add_users(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(insert(User), user("kim", display_name="김철수"))
        connection.execute(insert(User), user("lee", is_active=False))


def test_the_sqlalchemy_example_runs_as_printed(in_environment: Engine) -> None:
    add_users(in_environment)
    names: dict[str, object] = {}
    exec(compile(printed("python", "DatabaseConnection.initialize"), "README.md", "exec"), names)
    rows = names["users"]
    assert [row.username for row in rows] == ["kim"]  # type: ignore[attr-defined]


def test_the_fastapi_example_runs_as_printed(in_environment: Engine) -> None:
    add_users(in_environment)
    names: dict[str, object] = {}
    exec(compile(printed("python", "APIRouter()"), "README.md", "exec", dont_inherit=True), names)
    app = FastAPI()
    app.include_router(names["router"])  # type: ignore[arg-type]
    with TestClient(app) as client:
        for _ in range(30):  # more often than the pool has connections
            answer = client.get("/users")
    assert answer.status_code == 200
    found = {row["username"]: row for row in answer.json()}
    assert set(found) == {"kim", "lee"}
    assert found["kim"]["display_name"] == "김철수"
    assert found["kim"]["created_at"].startswith("2026-07-01")
    assert set(found["kim"]) == {column.name for column in metadata.tables["users"].columns}
    assert DatabaseConnection.get_engine().pool.checkedout() == 0  # type: ignore[attr-defined]


def test_an_encoder_that_a_service_has_chosen_for_rows_is_kept(
    in_environment: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastapi import encoders
    from sqlalchemy import Row

    from app.database import get_db_session

    monkeypatch.setitem(encoders.ENCODERS_BY_TYPE, Row, list)  # type: ignore[misc]
    generator = get_db_session()
    next(generator)
    generator.close()
    assert encoders.ENCODERS_BY_TYPE[Row] is list


def test_the_example_path_leaves_the_name_app_to_other_services() -> None:
    assert not (ROOT / "app/__init__.py").exists()
    import app.database

    assert app.database.__all__ == ["DatabaseConnection", "get_db_session"]


# --- the commands, typed into a terminal


def read_some(terminal: int) -> bytes:
    assert select.select([terminal], [], [], HANG_SECONDS)[0], "the program says nothing more"
    return os.read(terminal, 1000)


def type_into_terminal(command: str, folder: Path, server: DatabaseServer, programs: str = "") -> str:
    """Runs what is printed in bash and types the password where the program asks for it.

    ``programs`` is a folder to look for commands in first. Raises ``AssertionError`` when the last command fails.
    """
    ours, theirs = pty.openpty()
    (folder / ".my.cnf").write_text(f"[client]\nsocket={server.socket}\n")
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", "bash", "-c", command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env=environment,
    )
    os.close(theirs)
    seen = b""
    while b"password:" not in seen:
        seen += read_some(ours)
    # What is typed before the program hides it may be thrown away.
    eventually(lambda: not termios.tcgetattr(ours)[3] & termios.ECHO)
    os.write(ours, PASSWORD.encode() + b"\n")
    try:
        while chunk := read_some(ours):
            seen += chunk
    except OSError:
        pass  # the terminal's other end is closed
    code = process.wait(HANG_SECONDS)
    os.close(ours)  # not sooner: some programs close their ends before they have ended, and would be hung up on
    assert code == 0, seen.decode(errors="replace")
    return seen.decode(errors="replace")


@pytest.fixture
def by_hand(mariadb_server: MariaDBServer, tmp_path: Path) -> Iterator[Engine]:
    """The database that the printed commands name, empty; and the project's files where they look for them."""
    (tmp_path / "database").symlink_to(ROOT / "database")
    url = create_database(mariadb_server.url(), "mcp_core_by_hand")
    engine = create_engine_for(url)
    yield engine
    engine.dispose()


def by_hand_line(containing: str) -> str:
    """The line as printed, but for the name of the database: another one is in use by other tests."""
    return printed("bash", containing).replace(" mcp_core ", " mcp_core_by_hand ")


def test_the_schema_is_applied_with_the_mysql_client_and_then_adopted(
    by_hand: Engine, mariadb_server: MariaDBServer, tmp_path: Path
) -> None:
    type_into_terminal(by_hand_line("schemas/001"), tmp_path, mariadb_server)
    tables = set(inspect(by_hand).get_table_names())
    assert tables == {"users", "user_sessions", "password_reset_tokens", "email_verification_tokens", "user_audit_log"}
    add_users(by_hand)
    report = migrate(by_hand)
    assert report.adopted == ["schemas/001_users_authentication.sql"]
    assert report.applied[0] == "schemas/002_authorization_server.sql"
    with by_hand.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM users")).scalar() == 2
        collations = connection.execute(
            text("SELECT DISTINCT table_collation FROM information_schema.tables WHERE table_schema = DATABASE() "
                 f"AND table_name NOT IN ('{LEDGER}', '{RUNNER}')")
        ).scalars()  # fmt: skip
        assert list(collations) == ["utf8mb4_nopad_bin"]


def add_grant(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO oauth_clients (id, client_id, kind, name, token_endpoint_auth_method, application_type, "
                "redirect_uris, post_logout_redirect_uris, grant_types, scope, id_token_signed_response_alg, created_at, "
                "updated_at) VALUES ('c', 'app_1', 'application', 'App', 'none', 'web', '[]', '[]', '[]', '', 'RS256', "
                "'2026-07-01', '2026-07-01')"
            )
        )
        grant = {
            "id": "g",
            "user_id": user("kim")["id"],
            "client_id": "c",
            "scope": "openid",
            "resource": "https://issuer.example",
            "authenticated_at": ROW_TIME,
            "amr": "pwd",
            "acr": "urn:mcp-core:password",
            "created_at": ROW_TIME,
        }
        connection.execute(insert(GrantRecord), grant)


def test_after_a_restore_everything_issued_ends_on_each_database(
    in_environment: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    add_users(in_environment)
    add_grant(in_environment)
    with in_environment.begin() as connection:
        kim = user("kim")["id"]
        connection.execute(
            text(
                "INSERT INTO user_sessions (id, session_token, user_id, authenticated_at, amr, acr, created_at, "
                "last_seen_at, expires_at) VALUES ('s', 'h', :kim, '2026-07-01', 'pwd', 'x', '2026-07-01', '2026-07-01', "
                "'2026-07-09')"
            ),
            {"kim": kim},
        )
        connection.execute(
            text(
                "INSERT INTO setup_links (token_hash, created_at, expires_at) VALUES ('h', '2026-07-01', '2026-07-09')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO remembered_devices (id, user_id, token, device_hash, created_at, last_used_at, expires_at) "
                "VALUES ('r', :kim, 'h', 'h', '2026-07-01', '2026-07-01', '2026-07-09')"
            ),
            {"kim": kim},
        )
        connection.execute(insert(RateCounter), {"bucket": "b", "count": 1, "expires_at": ROW_TIME})
    assert main(["--after-restore"]) == 0
    output = capsys.readouterr().out
    for line in ("1 sessions ended", "1 grants ended", "0 tokens ended", "1 remembered devices ended",
                 "1 pending steps ended", "1 active users", "1 active clients and API keys"):  # fmt: skip
        assert line in output
    with in_environment.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM user_sessions WHERE ended_at IS NULL")).scalar() == 0
        assert connection.execute(text("SELECT count(*) FROM rate_counters")).scalar() == 1


def test_the_command_of_the_document_makes_the_tables(mariadb_server: MariaDBServer, tmp_path: Path) -> None:
    url = create_database(mariadb_server.url(), "mcp_core_by_hand")
    variables = mariadb_server.environment("mcp_core_by_hand")
    exports = re.findall(r"^export (\w+)=", printed("bash", "export MYSQL_HOST"), re.MULTILINE)
    assert exports == list(variables)
    command = printed("bash", "# 환경 변수 설정 후").replace("python ", f"{sys.executable} ")
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **variables},
        timeout=HANG_SECONDS,
        check=False,
    )
    assert done.returncode == 0
    engine = create_engine_for(url)
    assert set(inspect(engine).get_table_names()) == {*metadata.tables, LEDGER, RUNNER}
    engine.dispose()


@pytest.mark.parametrize("document", ["README.md", "README.en.md"])
def test_the_document_speaks_of_every_table_and_every_variable(document: str) -> None:
    content = (ROOT / "database" / document).read_text("utf-8")
    for name in (*metadata.tables, LEDGER, RUNNER):
        assert f"`{name}`" in content
    for name in ("MYSQL_HOST", "MYSQL_PORT", "MYSQL_USER", "MYSQL_PASSWORD", "MYSQL_DATABASE", "MYSQL_SSL_CA",
                 "MYSQL_SSL_VERIFY_IDENTITY", "MYSQL_TEST_URL", "--drop-existing", "--status", "--dry-run",
                 "--after-restore"):  # fmt: skip
        assert name in content


def test_both_languages_print_the_same_code() -> None:
    korean, english = (
        [re.sub(r"#.*", "#", block) for block in re.findall(
            r"^```\w*\n(.*?)^```$", (ROOT / "database" / name).read_text("utf-8"), re.MULTILINE | re.DOTALL)]
        for name in ("README.md", "README.en.md")
    )  # fmt: skip
    assert korean == english
