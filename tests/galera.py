"""A Galera cluster of two nodes on loopback, with what Debian's mariadb-server brings (galera-4, rsync)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.database_servers import MariaDBServer, free_port
from tests.waiting import eventually

PROVIDER = Path("/usr/lib/galera/libgalera_smm.so")


def need_galera() -> None:
    """Skips the test where a cluster cannot be made, with the reason."""
    if not PROVIDER.exists() or shutil.which("rsync") is None:
        pytest.skip("a cluster needs what is not here: apt-get install galera-4 rsync")


class GaleraNode(MariaDBServer):
    """One node. The first one makes the cluster, the second joins ``first`` and copies what is there from it."""

    account = "mysql"  # rsync refuses to take the copy as root

    def __init__(self, first: GaleraNode | None = None) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        provider = f"gmcast.listen_addr=tcp://{self.address};ist.recv_addr=127.0.0.1:{free_port()};gcache.size=16M"
        # A node that is gone shall be noticed within a second or two, and not after the usual five and fifteen.
        provider += ";evs.keepalive_period=PT0.3S;evs.suspect_timeout=PT1.5S;evs.inactive_timeout=PT3S"
        super().__init__(
            "--wsrep-on=ON",
            f"--wsrep-provider={PROVIDER}",
            f"--wsrep-provider-options={provider}",
            f"--wsrep-cluster-address=gcomm://{first.address if first else ''}",
            f"--wsrep-node-address={self.address}",
            f"--wsrep-sst-receive-address=127.0.0.1:{free_port()}",
            "--wsrep-sst-method=rsync",
            "--binlog-format=ROW",
            "--innodb-autoinc-lock-mode=2",
            *(["--init-file="] if first else []),
        )
        eventually(lambda: self.status("wsrep_ready") == "ON", lambda: self.log.read_text(errors="replace")[-2000:])

    def _make_data(self) -> None:
        if os.geteuid() == 0:
            for path in (self._folder, *self._folder.iterdir()):
                shutil.chown(path, self.account)
        super()._make_data()

    def status(self, name: str) -> Any:
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW STATUS LIKE %s", (name,))
            row = cursor.fetchone()
            return row[1] if row else None

    def catch_up(self) -> None:
        """Returns when everything that any node has committed is here."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SET SESSION wsrep_sync_wait=1")
            cursor.execute("SELECT 1 FROM information_schema.tables LIMIT 1")
