"""How a SQL file is found and cut into statements."""

from __future__ import annotations

from pathlib import Path

import pytest

from database.sql_files import (
    SqlFile,
    SqlFileError,
    added_column,
    created_index,
    created_table,
    split_statements,
    sql_files,
)


@pytest.mark.parametrize(
    "text,statements",
    [
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SELECT 1", ["SELECT 1"]),
        ("", []),
        (";;\n ;", []),
        ("-- only a comment; nothing else\n", []),
        ("SELECT ';'; SELECT 2", ["SELECT ';'", "SELECT 2"]),
        ("SELECT 'it''s; fine'", ["SELECT 'it''s; fine'"]),
        (r"SELECT 'a\';b'", [r"SELECT 'a\';b'"]),
        ('SELECT ";"', ['SELECT ";"']),
        ("SELECT `;`", ["SELECT `;`"]),
        ("SELECT 1 -- one; still one\n+ 1; SELECT 2", ["SELECT 1  \n+ 1", "SELECT 2"]),
        ("SELECT 1 /* two; parts */ + 1", ["SELECT 1   + 1"]),
        ("SELECT 1 /*! + 1; */ ; SELECT 2", ["SELECT 1 /*! + 1; */", "SELECT 2"]),
        ("SELECT 1 /*M! + 1 */", ["SELECT 1 /*M! + 1 */"]),
        ("SELECT 6/2 - -1", ["SELECT 6/2 - -1"]),
        ("SELECT '-- no comment'", ["SELECT '-- no comment'"]),
        ("SELECT '가;나'", ["SELECT '가;나'"]),
    ],
)
def test_statements_end_at_semicolons_outside_of_texts_and_comments(text: str, statements: list[str]) -> None:
    assert split_statements(text) == statements


def test_what_a_statement_makes_is_recognised() -> None:
    table = "CREATE TABLE things (\n  id INTEGER NOT NULL,\n  name TEXT,\n  CONSTRAINT pk PRIMARY KEY (id)\n) /*! X */"
    assert created_table(table) == ("things", ["id", "name"])
    assert created_index("CREATE INDEX ix ON things (id)") == ("ix", "things")
    assert created_index("CREATE UNIQUE INDEX ix ON things (id)") == ("ix", "things")
    assert added_column("ALTER TABLE things ADD COLUMN size INTEGER") == ("things", "size")
    for other in ("SELECT 1", "DROP TABLE things", "ALTER TABLE things DROP COLUMN size"):
        assert [made(other) for made in (created_table, created_index, added_column)] == [None] * 3


def folder_with(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("SELECT 1;", encoding="utf-8")
    return path


def test_schemas_come_before_migrations_and_each_in_the_order_of_its_name(tmp_path: Path) -> None:
    names = ("migrations/20250115_1430_add_user_preferences.sql", "schemas/002_b.sql", "schemas/001_a.sql",
             "migrations/20250115_0900_first.sql")  # fmt: skip
    found = sql_files(folder_with(tmp_path, *names))
    assert [file.name for file in found] == ["schemas/001_a.sql", "schemas/002_b.sql",
                                             "migrations/20250115_0900_first.sql",
                                             "migrations/20250115_1430_add_user_preferences.sql"]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "migrations/add_user_preferences.sql",
        "migrations/20250115_add_user_preferences.sql",
        "migrations/20250115_1430.sql",
        "migrations/20250115_1430_Add.sql",
        "migrations/2025-01-15_1430_add.sql",
        "migrations/20251315_1430_add.sql",
        "migrations/20250115_2561_add.sql",
        "schemas/users.sql",
    ],
)
def test_a_file_with_another_form_of_name_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(SqlFileError, match=name.rpartition("/")[2].removesuffix(".sql")):
        sql_files(folder_with(tmp_path, name))


def test_two_migrations_of_the_same_minute_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SqlFileError, match="same minute"):
        sql_files(folder_with(tmp_path, "migrations/20250115_1430_one.sql", "migrations/20250115_1430_two.sql"))


def test_line_ends_do_not_change_a_checksum(tmp_path: Path) -> None:
    for name, end in (("a", "\n"), ("b", "\r\n")):
        (tmp_path / name / "schemas").mkdir(parents=True)
        (tmp_path / name / "schemas" / "001_x.sql").write_bytes(f"SELECT 1;{end}SELECT 2;{end}".encode())
    assert sql_files(tmp_path / "a")[0].sha256 == sql_files(tmp_path / "b")[0].sha256


def test_the_checksum_of_what_is_done_ignores_what_comes_after() -> None:
    one, other = SqlFile("x", "SELECT 1; SELECT 2;"), SqlFile("x", "-- why\nSELECT 1; SELECT 3;")
    assert one.done_sha256(1) == other.done_sha256(1)
    assert one.done_sha256(2) != other.done_sha256(2)
