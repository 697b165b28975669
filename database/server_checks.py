"""What ``mcp-core doctor`` wants to know of a database server."""

from __future__ import annotations

import sqlite3

from sqlalchemy import Connection, Engine, text

OLDEST = {"MySQL": (8, 0, 17), "MariaDB": (10, 6), "SQLite": (3, 35)}
SMALLEST_PACKET = 1_048_576
EXACT_COLLATIONS = ("utf8mb4_nopad_bin", "utf8mb4_0900_bin")
_VARIABLES = text(
    "SELECT @@character_set_database, @@character_set_connection, @@sql_mode, @@time_zone, @@foreign_key_checks, "
    "@@global.max_allowed_packet, @@global.read_only"
)
_TABLES = text(
    "SELECT table_name AS name, engine AS engine, table_collation AS collation FROM information_schema.tables "
    "WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY table_name"
)


def check_server(engine: Engine) -> list[str]:
    """What is wrong with the database's version, character set, modes or tables. Empty when all is well."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            return _check_sqlite(connection)
        return [*_check_version(connection), *_check_variables(connection), *_check_tables(connection)]


def _check_sqlite(connection: Connection) -> list[str]:
    problems = _too_old("SQLite", sqlite3.sqlite_version_info)
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    if mode not in ("wal", "memory"):
        problems.append(f"the journal mode is {mode}; it must be wal, which needs a local disk")
    if connection.exec_driver_sql("PRAGMA foreign_keys").scalar() != 1:
        problems.append("foreign keys are not enforced")
    return problems


def _check_version(connection: Connection) -> list[str]:
    dialect = connection.dialect
    product = "MariaDB" if getattr(dialect, "is_mariadb", False) else "MySQL"
    return _too_old(product, tuple(part for part in dialect.server_version_info or () if isinstance(part, int)))


def _too_old(product: str, version: tuple[int, ...]) -> list[str]:
    """Compares as numbers: MySQL's 26.7 is newer than 9.7."""
    if version >= OLDEST[product]:
        return []
    found, needed = (".".join(map(str, numbers)) for numbers in (version, OLDEST[product]))
    return [f"this is {product} {found}; {needed} or later is needed"]


def _check_variables(connection: Connection) -> list[str]:
    database_charset, charset, mode, zone, foreign_keys, packet, is_read_only = connection.execute(_VARIABLES).one()
    problems = []
    if database_charset != "utf8mb4":
        problems.append(f"the database has the character set {database_charset}; it must be utf8mb4")
    if charset != "utf8mb4":
        problems.append(f"the connection has the character set {charset}; it must be utf8mb4")
    if not {"STRICT_TRANS_TABLES", "STRICT_ALL_TABLES"} & set(mode.split(",")):
        problems.append("sql_mode is not strict: values that do not fit would be cut off silently")
    if zone != "+00:00":
        problems.append(f"the connection's time zone is {zone}; it must be +00:00")
    if not foreign_keys:
        problems.append("foreign keys are not enforced")
    if packet < SMALLEST_PACKET:
        problems.append(f"max_allowed_packet is {packet} bytes; long values need {SMALLEST_PACKET} (16M is usual)")
    if is_read_only:
        problems.append("the server only reads (read_only); MYSQL_HOST must be one that writes")
    return problems


def _check_tables(connection: Connection) -> list[str]:
    problems = []
    for name, engine, collation in connection.execute(_TABLES):
        if engine != "InnoDB":
            problems.append(f"the table {name} is stored by {engine}; it must be InnoDB to have transactions")
        if collation not in EXACT_COLLATIONS and name in _our_tables():
            problems.append(
                f"the table {name} has the collation {collation}, which takes different texts for equal; "
                f"it must be one of {', '.join(EXACT_COLLATIONS)}"
            )
    return problems


def _our_tables() -> frozenset[str]:
    from database.models import metadata

    return frozenset(metadata.tables)
