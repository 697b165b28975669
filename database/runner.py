"""Who may change tables: one process at a time, whichever node of a cluster it works on, and never for longer than it lives.

On a server the right is a row with an expiry, which its holder puts off while it works. A lock of the server's own
(``GET_LOCK``) would be known to one node alone. What the row cannot rule out, a holder that was paused for longer than
that, the ledger finds out: each of its lines is written on the condition that nobody else has gone on with the file.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from database.engines import patient_engine
from database.faults import DATABASE_ERRORS, error_code
from database.ledger import MigrationError
from database.patience import LOCK_WAIT_SECONDS

RUNNER = "schema_runner"
WAIT_SECONDS = 60
LEASE_SECONDS = 15
RENEW_SECONDS = 3
ASK_AGAIN_SECONDS = 0.1
NO_SUCH_TABLE = 1146
CONFLICTS = (1205, 1213, 1684)
_CREATE = f"""
CREATE TABLE IF NOT EXISTS {RUNNER} (
  id         INTEGER NOT NULL,
  holder     VARCHAR(191) NOT NULL,
  expires_at DATETIME(6) NOT NULL,
  CONSTRAINT pk_{RUNNER} PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='스키마를 바꾸는 프로세스'"""
_FIRST = f"INSERT IGNORE INTO {RUNNER} VALUES (1, '', '2000-01-01')"  # noqa: S608
_TAKE = text(
    f"UPDATE {RUNNER} SET holder = :me, expires_at = UTC_TIMESTAMP(6) + INTERVAL :lease SECOND "  # noqa: S608 - a constant
    "WHERE id = 1 AND (holder = :me OR expires_at <= UTC_TIMESTAMP(6))"
)
_GIVE = text(f"UPDATE {RUNNER} SET expires_at = UTC_TIMESTAMP(6) WHERE id = 1 AND holder = :me")  # noqa: S608
_HOLDER = text(f"SELECT holder FROM {RUNNER} WHERE id = 1")  # noqa: S608


@contextlib.contextmanager
def only_runner(engine: Engine) -> Iterator[Connection]:
    """A connection for changing tables that one process at a time can have. Raises ``MigrationError`` after a minute.

    On SQLite all that is done with it is one transaction, so that a failure undoes everything and a crash leaves
    nothing. A server commits each change of a table at once; there a lease keeps others out.
    """
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            yield from _in_one_transaction(connection)
        return
    patient = patient_engine(engine)
    try:
        with _Lease(engine), patient.connect() as connection:
            connection.exec_driver_sql(f"SET lock_wait_timeout={WAIT_SECONDS}")
            yield connection
            connection.commit()
    finally:
        patient.dispose()


def _in_one_transaction(connection: Connection) -> Iterator[Connection]:
    connection.exec_driver_sql(f"PRAGMA busy_timeout={WAIT_SECONDS * 1000}")
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
        connection.commit()
    finally:
        connection.rollback()
        connection.exec_driver_sql(f"PRAGMA busy_timeout={LOCK_WAIT_SECONDS * 1000}")


class _Lease:
    """The row, held from ``__enter__`` to ``__exit__``; a thread puts its expiry off, also during a long statement."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._me = f"{socket.gethostname()} process {os.getpid()} {secrets.token_hex(8)}"[-191:]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="schema-runner", daemon=True)

    def __enter__(self) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not self._take():
            if time.monotonic() > deadline:
                raise MigrationError(
                    f"another migration holds the lock ({self._holder()}); try again when it has finished"
                )
            time.sleep(ASK_AGAIN_SECONDS)
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(*DATABASE_ERRORS), self._engine.begin() as connection:
            connection.execute(_GIVE, {"me": self._me})

    def _keep(self) -> None:
        while not self._ended.wait(RENEW_SECONDS):
            with contextlib.suppress(*DATABASE_ERRORS):
                self._take()

    def _take(self) -> bool:
        """Whether the row is ours now, for another ``LEASE_SECONDS``. What is missing is made for the next attempt."""
        try:
            with self._engine.begin() as connection:
                if connection.execute(_TAKE, {"me": self._me, "lease": LEASE_SECONDS}).rowcount == 1:
                    return True
                connection.exec_driver_sql(_FIRST)
        except ProgrammingError as error:
            if error_code(error) != NO_SUCH_TABLE:
                raise
            with self._engine.connect() as connection:
                connection.exec_driver_sql(_CREATE)
        except OperationalError as error:
            if error_code(error) not in CONFLICTS:  # another node was quicker
                raise
        return False

    def _holder(self) -> str:
        with self._engine.connect() as connection:
            return str(connection.execute(_HOLDER).scalar()).rpartition(" ")[0]
