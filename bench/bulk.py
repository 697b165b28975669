"""Many rows at once, made by the database itself: copies of one row that differ in a few columns."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, text

BATCH = 10_000
_DIGITS = " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10))
# 0 to 9,999, on every database alike
_NUMBERS = "SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d AS n FROM " + " CROSS JOIN ".join(
    f"({_DIGITS}) {name}" for name in "abce"
)


def copy_row(
    connection: Connection,
    table: str,
    key: tuple[str, str],
    changed: Mapping[str, str],
    *,
    first: int,
    count: int,
) -> None:
    """Copies the row whose column ``key[0]`` has the value ``key[1]``, ``count`` times, and commits now and then.

    ``changed`` gives SQL for the columns that differ, in which ``n.i`` is the number of the copy, from ``first`` on.
    Names and SQL are the benchmark's own: nothing of them comes from outside.
    """
    columns = [row[0] for row in connection.execute(text(_columns_of(connection, table)))]
    values = ", ".join(changed.get(name, f"t.{_quoted(connection, name)}") for name in columns)
    names = ", ".join(_quoted(connection, name) for name in columns)
    statement = text(
        f"INSERT INTO {table} ({names}) SELECT {values} FROM {table} t "
        f"CROSS JOIN (SELECT n + :base AS i FROM ({_NUMBERS}) numbers WHERE n < :count) n WHERE t.{key[0]} = :key"
    )
    connection.commit()
    for base in range(first, first + count, BATCH):
        connection.execute(statement, {"base": base, "count": min(BATCH, first + count - base), "key": key[1]})
        connection.commit()


def identifier(connection: Connection, kind: int) -> str:
    """SQL for an id of the copy: another one for each ``kind`` and number."""
    prefix = f"{0x01900000 + kind:08x}-0000-7000-8000-"
    return _on(connection, f"printf('{prefix}%012x', n.i)", f"CONCAT('{prefix}', LPAD(LOWER(HEX(n.i)), 12, '0'))")


def numbered(connection: Connection, prefix: str, suffix: str = "") -> str:
    """SQL for a text with the number of the copy, in decimal digits."""
    return _on(connection, f"'{prefix}' || n.i || '{suffix}'", f"CONCAT('{prefix}', n.i, '{suffix}')")


def random_hash(connection: Connection) -> str:
    """SQL for 64 hexadecimal digits that stand anywhere in an index."""
    return _on(connection, "lower(hex(randomblob(32)))", "SHA2(CONCAT(n.i, '-', RAND()), 256)")


def _on(connection: Connection, sqlite: str, server: str) -> str:
    return sqlite if connection.dialect.name == "sqlite" else server


def _quoted(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote(name)


def _columns_of(connection: Connection, table: str) -> str:
    return _on(
        connection,
        f"SELECT name FROM pragma_table_info('{table}')",
        "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() "
        f"AND table_name = '{table}' ORDER BY ordinal_position",
    )
