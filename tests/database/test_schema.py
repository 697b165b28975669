"""The SQL files make what the models describe, on each engine, and compare texts exactly."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Engine, insert, inspect, select, text
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, StatementError

from database.ledger import LEDGER
from database.models import Client, RateCounter, User, UserSession, metadata
from database.runner import RUNNER
from database.server_checks import check_server
from database.sql_files import sql_files

SEED_FIELDS = {
    "users": "id username email password_hash cloud_provider cloud_account_id cloud_access_key cloud_secret_key "
    "cloud_region cloud_tenant_id cloud_project_id cloud_config_json api_key two_factor_enabled two_factor_secret "
    "is_active is_verified",
    "user_sessions": "session_token user_id expires_at ip_address user_agent",
    "password_reset_tokens": "token user_id expires_at used_at",
    "email_verification_tokens": "token user_id verified_at",
    "user_audit_log": "user_id action resource_type resource_id metadata",
}
FORBIDDEN = {
    r"\bENUM\b": "SQLite has none: VARCHAR and a named CHECK",
    r"ON UPDATE CURRENT": "times are set by the application",
    r"CURRENT_TIMESTAMP|\bNOW\(": "times are set by the application",
    r"IF (NOT )?EXISTS": "MySQL has it for tables only; the ledger knows",
    r"AUTO_?INCREMENT": "ids are made by the application",
    r"->": "MariaDB has no JSON operators",
    r"\bRETURNING\b": "MySQL has none",
    r"\bSERIAL\b|\bUUID\b": "not everywhere",
    r"(?m)^\s*(UNIQUE )?(KEY|INDEX)\b": "SQLite has no inline index: CONSTRAINT … UNIQUE, CREATE INDEX",
    r"\bMODIFY\b|\bCHANGE\b": "SQLite can't: migrations add",
    r"DROP CHECK": "MariaDB says DROP CONSTRAINT",
    r"\bGENERATED\b|\bVIRTUAL\b|\bINVISIBLE\b": "not everywhere the same",
    r"\bCOMMENT\b": "SQLite takes it for a part of the type: only in executable comments",
    r"COLLATE|CHARSET|CHARACTER SET": "only in executable comments",
    r"(?m)#": "SQLite knows no such comment",
    r"`|\"": "names need no quotes",
    r"\bTRIGGER\b|\bPROCEDURE\b|\bBEGIN\b": "statements end at the semicolon",
    r"\bDATETIME(?! )": "DATETIME/*!(6)*/: MySQL would cut the microseconds",
}
EXECUTABLE = re.compile(r"/\*M?!.*?\*/", re.DOTALL)
ROW_TIME = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)


def user(name: str, **columns: object) -> dict[str, object]:
    return {
        "id": f"{name:->36}",
        "username": name,
        "username_canonical": name,
        "email": f"{name}@example.com",
        "email_canonical": f"{name}@example.com",
        "created_at": ROW_TIME,
        "updated_at": ROW_TIME,
        **columns,
    }


def test_the_models_say_what_the_sql_files_make(engine: Engine) -> None:
    options = {
        "compare_type": True,
        "compare_server_default": True,
        "include_name": lambda name, kind, _parents: kind != "table" or name not in (LEDGER, RUNNER),
    }
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    if engine.dialect.name == "sqlite":
        differences = [item for item in differences if not str(item[0]).endswith("table_comment")]
    assert differences == []


def test_the_comparison_would_see_a_difference(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE unknown_to_the_models (id INTEGER)")
        try:
            found = compare_metadata(MigrationContext.configure(connection), metadata)
        finally:
            connection.exec_driver_sql("DROP TABLE unknown_to_the_models")
    assert any(item[0] == "remove_table" and item[1].name == "unknown_to_the_models" for item in found)


def test_every_check_of_the_models_is_in_the_tables_and_none_besides(engine: Engine) -> None:
    expected = {
        (table.name, str(item.name)) for table in metadata.tables.values() for item in table.constraints
        if isinstance(item, CheckConstraint)
    }  # fmt: skip
    inspector = inspect(engine)
    found = {
        (name, str(check["name"])) for name in metadata.tables for check in inspector.get_check_constraints(name)
        if "json_valid" not in check["sqltext"].lower()  # MariaDB's own, for the type JSON
    }  # fmt: skip
    assert found == expected
    assert ("users", "ck_users_cloud_provider") in found


def test_every_foreign_key_says_what_happens_when_its_row_goes(engine: Engine) -> None:
    inspector = inspect(engine)
    for name, table in metadata.tables.items():
        expected = {key.parent.name: key.ondelete for key in table.foreign_keys}
        found = {
            key["constrained_columns"][0]: key["options"].get("ondelete") for key in inspector.get_foreign_keys(name)
        }
        assert found == expected
        assert None not in found.values()


@pytest.mark.parametrize("table", SEED_FIELDS)
def test_a_table_of_the_schema_document_has_its_fields(engine: Engine, table: str) -> None:
    columns = {column["name"] for column in inspect(engine).get_columns(table)}
    assert set(SEED_FIELDS[table].split()) <= columns


@pytest.mark.parametrize("provider", ["aws", "azure", "gcp", "alibaba", "oracle", "ibm", "other"])
def test_each_cloud_provider_of_the_schema_document_is_accepted(engine: Engine, provider: str) -> None:
    with engine.begin() as connection:
        connection.execute(insert(User), user("kim", cloud_provider=provider))


def test_an_unknown_cloud_provider_is_refused_by_the_database(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises((IntegrityError, OperationalError)):
        connection.execute(insert(User), user("kim", cloud_provider="attic"))


@pytest.mark.parametrize("file", sql_files(), ids=lambda file: file.name)
@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_no_sql_file_uses_what_one_engine_lacks(file: object, pattern: str) -> None:
    statements = [EXECUTABLE.sub(" ", statement) for statement in file.statements]  # type: ignore[attr-defined]
    found = [statement for statement in statements if re.search(pattern, statement, re.IGNORECASE)]
    assert not found, FORBIDDEN[pattern]


@pytest.mark.parametrize("file", sql_files(), ids=lambda file: file.name)
def test_no_comment_holds_a_semicolon(file: object) -> None:
    comments = re.findall(r"--[^\n]*|/\*.*?\*/", file.text, re.DOTALL)  # type: ignore[attr-defined]
    assert not [comment for comment in comments if ";" in comment]


@pytest.mark.parametrize("file", sql_files(), ids=lambda file: file.name)
def test_every_table_asks_for_innodb_and_exact_comparison_on_both_servers(file: object) -> None:
    for statement in file.statements:  # type: ignore[attr-defined]
        if statement.startswith("CREATE TABLE"):
            options = statement.rpartition("\n)")[2]
            assert "ENGINE=InnoDB" in options
            assert "DEFAULT CHARSET=utf8mb4 */" in options
            assert options.endswith("/*M! COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */")


def test_a_migrated_database_has_no_problem_to_report(engine: Engine) -> None:
    assert check_server(engine) == []


@pytest.mark.parametrize("other", ["Kim", "kïm", "kim ", " kim", "kim\u00ad", "ｋｉｍ", "kim\x00", ""])
def test_a_name_equals_only_itself(engine: Engine, other: str) -> None:
    with engine.begin() as connection:
        connection.execute(insert(User), user("kim"))
        connection.execute(insert(User), user("other", username_canonical=other))
        found = connection.execute(select(User.id).where(User.username_canonical == other)).scalars().all()
        exact = connection.execute(select(User.id).where(User.username_canonical == "kim")).scalars().all()
    assert len(found) == len(exact) == 1


def test_the_same_name_twice_is_refused_by_the_database(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(insert(User), user("kim"))
        with pytest.raises(IntegrityError):
            connection.execute(insert(User), user("lee", username_canonical="kim"))


@pytest.mark.parametrize("sought", ["é", "😀", "한국어", "a'b\\", "\x00", "x" * 5000, "%", "\u200b"])
def test_any_text_can_be_looked_up_and_finds_nothing(engine: Engine, sought: str) -> None:
    with engine.connect() as connection:
        assert connection.execute(select(Client.id).where(Client.client_id == sought)).first() is None
        assert connection.execute(select(UserSession.id).where(UserSession.session_token == sought)).first() is None


@pytest.mark.parametrize("sought", [0, 1, True, 0.0, b"app"])
def test_a_value_that_is_no_text_never_reaches_a_comparison_of_texts(engine: Engine, sought: object) -> None:
    with engine.connect() as connection, pytest.raises((StatementError, TypeError), match="text was expected"):
        connection.execute(select(Client.id).where(Client.client_id == sought))


def test_a_time_keeps_its_microseconds_and_comes_back_as_utc(engine: Engine) -> None:
    seoul = datetime.timezone(datetime.timedelta(hours=9))
    stored = datetime.datetime(2026, 7, 1, 3, 4, 5, 678901, tzinfo=seoul)
    with engine.begin() as connection:
        connection.execute(insert(RateCounter), {"bucket": "b" * 64, "count": 1, "expires_at": stored})
        read = connection.execute(select(RateCounter.expires_at)).scalar_one()
    assert read == stored
    assert read.tzinfo is datetime.UTC


def test_a_time_without_a_zone_is_refused(engine: Engine) -> None:
    naive = datetime.datetime(2026, 7, 1)  # noqa: DTZ001
    with engine.connect() as connection, pytest.raises(StatementError, match="without a zone"):
        connection.execute(insert(RateCounter), {"bucket": "b" * 64, "count": 1, "expires_at": naive})


def test_a_value_that_does_not_fit_is_refused_and_not_cut_off(server_engine: Engine) -> None:
    with server_engine.connect() as connection, pytest.raises(DataError):
        connection.execute(insert(User), user("kim", username="k" * 65))


def test_flags_have_a_default_for_rows_written_by_hand(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO users (id, username, username_canonical, email, email_canonical, created_at, updated_at) "
                "VALUES ('1', 'kim', 'kim', 'kim@example.com', 'kim@example.com', '2026-07-01', '2026-07-01')"
            )
        )
        row = connection.execute(text("SELECT is_active, is_admin, is_verified, two_factor_enabled FROM users")).one()
    assert tuple(row) == (1, 0, 0, 0)


def test_a_users_rows_go_with_the_user_and_the_audit_log_stays(engine: Engine) -> None:
    with engine.begin() as connection:
        kim = user("kim")
        connection.execute(insert(User), kim)
        connection.execute(
            text(
                "INSERT INTO user_audit_log (id, user_id, action, outcome, created_at) "
                "VALUES ('1', :id, 'login.succeeded', 'ok', '2026-07-01')"
            ),
            {"id": kim["id"]},
        )
        connection.execute(
            text(
                "INSERT INTO password_reset_tokens (id, user_id, token, created_at, expires_at) "
                "VALUES ('1', :id, 't', '2026-07-01', '2026-07-01')"
            ),
            {"id": kim["id"]},
        )
        connection.execute(text("DELETE FROM users"))
        assert connection.execute(text("SELECT count(*) FROM password_reset_tokens")).scalar() == 0
        assert connection.execute(text("SELECT count(*) FROM user_audit_log WHERE user_id IS NULL")).scalar() == 1


def test_the_schema_files_are_where_the_document_says() -> None:
    folder = Path(__file__).resolve().parents[2] / "database"
    assert (folder / "schemas/001_users_authentication.sql").is_file()
    assert (folder / "migrations").is_dir()
