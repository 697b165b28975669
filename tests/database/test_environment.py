"""Which database the variables name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from database.connection import (
    ConfigurationError,
    database_url_from_environment,
    environment,
)

VARIABLES = {
    "MYSQL_HOST": "db.example.com",
    "MYSQL_PORT": "3307",
    "MYSQL_USER": "mcp_user",
    "MYSQL_PASSWORD": "p@ss:/#%word",
    "MYSQL_DATABASE": "mcp_core",
}


def test_the_variables_of_the_schema_document_name_the_server() -> None:
    url = database_url_from_environment(VARIABLES)
    assert (url.host, url.port, url.username, url.password, url.database) == (
        "db.example.com", 3307, "mcp_user", "p@ss:/#%word", "mcp_core")  # fmt: skip


def test_port_and_host_have_the_usual_defaults() -> None:
    url = database_url_from_environment({"MYSQL_USER": "u", "MYSQL_DATABASE": "d"})
    assert (url.host, url.port, url.password) == ("localhost", 3306, None)


def test_without_mysql_variables_it_is_sqlite_in_the_home_folder(tmp_path: Path) -> None:
    url = database_url_from_environment({"MCP_HOME": str(tmp_path), "MYSQL_PORT": "3306", "MYSQL_USER": "someone"})
    assert (url.get_backend_name(), url.database) == ("sqlite", str(tmp_path / "mcp-core.db"))


@pytest.mark.parametrize(
    "changes,words",
    [
        ({"MYSQL_USER": ""}, "MYSQL_USER must be set"),
        ({"MYSQL_DATABASE": ""}, "MYSQL_DATABASE must be set"),
        ({"MYSQL_PORT": "a"}, "MYSQL_PORT must be a number"),
        ({"MYSQL_PORT": "0"}, "MYSQL_PORT must be a number"),
        ({"MYSQL_PORT": "70000"}, "MYSQL_PORT must be a number"),
        ({"MYSQL_SSL_CA": "/nowhere/ca.pem"}, "MYSQL_SSL_CA names a file that is not there"),
        ({"MYSQL_SSL_VERIFY_IDENTITY": "maybe"}, "MYSQL_SSL_VERIFY_IDENTITY must be true or false"),
    ],
)
def test_wrong_variables_are_named(changes: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        database_url_from_environment({**VARIABLES, **changes})


def test_the_environment_wins_over_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("MYSQL_HOST=from-file\nMYSQL_USER=from-file\nMYSQL_PASSWORD='비밀 #1'\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MYSQL_HOST", "from-environment")
    monkeypatch.delenv("MYSQL_USER", raising=False)
    found = environment()
    assert (found["MYSQL_HOST"], found["MYSQL_USER"], found["MYSQL_PASSWORD"]) == (
        "from-environment", "from-file", "비밀 #1")  # fmt: skip
    assert "MYSQL_USER" not in os.environ


def test_an_env_file_that_is_no_text_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_bytes(b"MYSQL_HOST=\xff\xfe\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="env cannot be read"):
        environment()
