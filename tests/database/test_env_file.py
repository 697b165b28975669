"""``.env``: what is taken as it stands, and what stops every program that reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from database.connection import ConfigurationError, environment
from database.env_file import read_env_file
from provider.settings import SettingsError, load_settings


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / ".env"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content, value",
    [
        ("MYSQL_PASSWORD=pa$ss", "pa$ss"), ("MYSQL_PASSWORD=pa${HOME}ss", "pa${HOME}ss"),
        ("MYSQL_PASSWORD='pa${X}ss${HOME}'", "pa${X}ss${HOME}"), ('MYSQL_PASSWORD="pa${HOME:-a}$"', "pa${HOME:-a}$"),
        ("MYSQL_PASSWORD='a # b'", "a # b"), ("MYSQL_PASSWORD=a#b", "a#b"), ("MYSQL_PASSWORD=ab # told", "ab"),
        ('MYSQL_PASSWORD="a\'b"', "a'b"), ("MYSQL_PASSWORD='a\\'b'", "a'b"), ("MYSQL_PASSWORD=", ""),
        ("MYSQL_PASSWORD = spaced ", "spaced"), ("export MYSQL_PASSWORD=x", "x"), ("MYSQL_PASSWORD=비밀=1", "비밀=1"),
        ("\n\n# told\r\nMYSQL_PASSWORD='x'\r\nOTHER=1\r\n", "x"), (b"\xef\xbb\xbfMYSQL_PASSWORD=x\n", "x"),
        ("MYSQL_PASSWORD=a\nMYSQL_PASSWORD=b\n", "b"), ("OTHER='one\ntwo'\nMYSQL_PASSWORD=x", "x"),
    ],
)  # fmt: skip
def test_a_value_is_what_is_written(tmp_path: Path, content: str | bytes, value: str) -> None:
    assert read_env_file(written(tmp_path, content))["MYSQL_PASSWORD"] == value


@pytest.mark.parametrize(
    "content, line",
    [
        ("A=1\nMYSQL_PASSWORD geheim\n", 2), ("A=1\n\n\n# told\nMYSQL_PASSWORD: geheim\n", 5),
        ("MYSQL_PASSWORD='geheim\n", 1),
        ('MYSQL_PASSWORD="geheim"more\n', 1), ("geheim\n", 1), ("A=1\r\n=geheim\r\n", 2), ("export MYSQL_PASSWORD\n", 1),
        ("A=1\nMYSQL PASSWORD=geheim\n", 2), ("\u200bMYSQL_PASSWORD=geheim\n", 1),
        ("A=1\nMYSQL_PASSWORD='geheim\nMCP_HOME=x\n'\n", 2), (b"A=1\nMYSQL_PASSWORD=geheim\xff\n", 2),
    ],
)  # fmt: skip
def test_a_line_that_says_nothing_stops_both_readers_with_its_number_and_without_its_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | bytes, line: int
) -> None:
    written(tmp_path, content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=rf"^\.env\b.*\bline {line}\b") as refusal:
        environment()
    assert "geheim" not in str(refusal.value)
    with pytest.raises(SettingsError) as same:
        load_settings()
    assert str(same.value) == str(refusal.value)


def test_all_wrong_lines_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        read_env_file(written(tmp_path, "A\nB=1\nC\n"))
    assert [text.partition(":")[0].rpartition(" ")[2] for text in str(refusal.value).splitlines()] == ["1", "3"]


def test_no_file_says_nothing_and_a_folder_is_none(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / ".env") == {}
    (tmp_path / ".env").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        read_env_file(tmp_path / ".env")
