"""MySQL itself, which Debian's stable suites lack: ``.ci/mysql-server`` unpacks it from the unstable one.

``MYSQL_TEST_URL`` (a ``mysql+pymysql://`` URL whose user may create databases) names another server in its place, which
is then used where no server of the tests' own is needed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.database_servers import DatabaseServer

TEST_URL = os.environ.get("MYSQL_TEST_URL")
FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcp-core/mysql"  # as .ci/mysql-server says


class MySQLServer(DatabaseServer):
    """The mysqld that was unpacked. Its binary log and its transaction identifiers (GTID) are on, as they are by default."""

    product = "mysql"

    def _make_data(self) -> None:
        shutil.copytree(FOLDER / "data", self.data)

    def _command(self) -> list[str]:
        return [str(FOLDER / "bin/mysqld"), "--mysqlx=OFF", "--secure-file-priv=NULL", "--sync-binlog=0"]


def mysql_program(name: str) -> str:
    """The path of one of MySQL's programs. Skips the test where there is none."""
    need_mysql()
    return str(FOLDER / "bin" / name)


def need_mysql() -> None:
    """Skips the test where MySQL was not unpacked, with the reason."""
    if not (FOLDER / "bin/mysqld").is_file():
        missing = FOLDER.with_name("mysql.missing")
        reason = missing.read_text().strip() if missing.is_file() else "`make test` or .ci/mysql-server unpacks it"
        pytest.skip(f"MySQL is not here: {reason}")
