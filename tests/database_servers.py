"""Database servers of the tests' own, on loopback, gone when they end; and fresh databases on them."""

from __future__ import annotations

import datetime
import ipaddress
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pymysql
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import URL, Engine, text

from database.connection import create_engine_for
from database.init_db import migrate
from database.models import metadata
from tests.waiting import HANG_SECONDS, eventually

USER = "mcp_user"
PASSWORD = "a 'test' p@ssword: %&+/비밀"
INSTALL_TRIES = 3
_SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/usr/local/bin"])


class ServerMissing(Exception):
    """MariaDB is not installed. The text says what to install."""


def program(name: str) -> str:
    """The path of one of MariaDB's programs."""
    found = shutil.which(name, path=_SEARCH_PATH)
    if found is None:
        raise ServerMissing(f"{name} is not here. The tests need it: apt-get install mariadb-server (or `make test`)")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class DatabaseServer:
    """One server in a folder of its own. Durable over ``kill`` and ``start``, as a real one is.

    It speaks TLS with a certificate by ``authority``, for the name ``localhost`` and for 127.0.0.1. Its defaults are
    deliberately poor (latin1, no strict mode), so that whatever we need has to be asked for by us. ``options`` are
    further ones of its command line, which win.
    """

    product: str
    account = "root"  # that it runs as where tests do

    def __init__(self, *options: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=f"mcp-{self.product}-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._options = options
        self.port = free_port()
        self.socket = self._folder / "server.sock"
        self.data = self._folder / "data"
        self.authority = self._folder / "ca.pem"
        self.log = self._folder / "server.log"
        try:
            self._prepare()
            self.start()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        make_certificates(self._folder)
        quoted = PASSWORD.replace("'", "''")
        (self._folder / "init.sql").write_text(
            "SET NAMES utf8mb4;\n"
            f"CREATE USER IF NOT EXISTS {USER}@'%' IDENTIFIED BY '{quoted}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO {USER}@'%';\n",
            encoding="utf-8",
        )
        self._make_data()

    def _make_data(self) -> None:
        raise NotImplementedError

    def _command(self) -> list[str]:
        """The program with what only this product knows."""
        raise NotImplementedError

    def _as_root(self) -> list[str]:
        return [f"--user={self.account}"] if os.geteuid() == 0 else []

    def start(self) -> None:
        """Returns when the server answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._command(),
                    f"--datadir={self.data}",
                    f"--socket={self.socket}",
                    f"--pid-file={self._folder / 'server.pid'}",
                    "--bind-address=127.0.0.1,127.0.0.2",
                    f"--port={self.port}",
                    f"--init-file={self._folder / 'init.sql'}",
                    f"--ssl-cert={self._folder / 'server.pem'}",
                    f"--ssl-key={self._folder / 'server.key'}",
                    "--character-set-server=latin1",
                    "--init-connect=",
                    "--sql-mode=",
                    "--skip-name-resolve",
                    "--max-connections=300",
                    "--performance-schema=OFF",
                    "--innodb-flush-log-at-trx-commit=2",
                    "--innodb-flush-method=nosync",  # a server that is killed loses nothing by that, only a machine does
                    "--innodb-buffer-pool-size=64M",
                    "--innodb-fast-shutdown=2",
                    *self._as_root(),
                    *self._options,
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        process = self._process
        eventually(lambda: process.poll() is not None or self._answers(), lambda: f"{self.product} did not start")
        if process.poll() is not None:
            said = self.log.read_text(errors="replace")[-4000:]
            self.close()
            raise RuntimeError(f"{self.product} did not start:\n{said}")

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except pymysql.err.MySQLError:
            return False
        return True

    def connect(self, database: str | None = None) -> pymysql.Connection[pymysql.cursors.Cursor]:
        """A plain connection with none of our rules."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=PASSWORD.encode(),
            database=database,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=5,
        )

    def url(self, database: str | None = None, **changes: str) -> URL:
        url = URL.create(
            "mysql+pymysql", USER, PASSWORD, "127.0.0.1", self.port, database, query={"charset": "utf8mb4"}
        )
        return url.set(**changes)  # type: ignore[arg-type]

    def environment(self, database: str) -> dict[str, str]:
        """The variables of the schema document."""
        return {
            "MYSQL_HOST": "127.0.0.1",
            "MYSQL_PORT": str(self.port),
            "MYSQL_USER": USER,
            "MYSQL_PASSWORD": PASSWORD,
            "MYSQL_DATABASE": database,
        }

    def stop(self) -> None:
        """A clean end, as by SIGTERM."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(HANG_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def kill(self) -> None:
        """The end that nobody expects: SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(HANG_SECONDS)
        self._process = None

    def close(self) -> None:
        self.kill()  # what it would still write goes with its folder
        shutil.rmtree(self._folder, ignore_errors=True)


class MariaDBServer(DatabaseServer):
    """The mariadbd that is installed here."""

    product = "mariadb"

    def _make_data(self) -> None:
        command = [
            program("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={self.data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            *self._as_root(),
        ]
        # Its bootstrap process gives up now and then on a machine that is very busy; what it says is kept for that case.
        for attempt in range(1, INSTALL_TRIES + 1):
            done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS)
            if done.returncode == 0:
                return
            shutil.rmtree(self.data, ignore_errors=True)
            if attempt == INSTALL_TRIES:
                raise RuntimeError(f"mariadb-install-db ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")

    def _command(self) -> list[str]:
        return [program("mariadbd"), "--no-defaults", "--innodb-log-file-size=16M"]


def create_database(url: URL, name: str, *, charset: str = "utf8mb4", collation: str = "utf8mb4_unicode_ci") -> URL:
    """An empty database beside the one that ``url`` names, made as the schema document makes it."""
    engine = create_engine_for(url.set(database=None))
    with engine.begin() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name}"))
        connection.execute(text(f"CREATE DATABASE {name} CHARACTER SET {charset} COLLATE {collation}"))
    engine.dispose()
    return url.set(database=name)


def create_migrated_database(url: URL, name: str) -> URL:
    made = create_database(url, name)
    engine = create_engine_for(made)
    migrate(engine)
    engine.dispose()
    return made


def empty_tables(engine: Engine) -> None:
    """Removes every row but the migration ledger's: much faster than a new database for each test.

    Most tables are empty, and one question finds those that are not.
    """
    filled = " UNION ALL ".join(f"(SELECT '{name}' FROM {name} LIMIT 1)" for name in metadata.tables)
    with engine.begin() as connection:
        names = connection.exec_driver_sql(filled).scalars().all()
        if not names:
            return
        connection.exec_driver_sql("SET FOREIGN_KEY_CHECKS=0")
        for name in names:
            connection.exec_driver_sql(f"DELETE FROM {name}")
        connection.exec_driver_sql("SET FOREIGN_KEY_CHECKS=1")


def make_certificates(folder: Path) -> None:
    """``ca.pem``, and ``server.pem`` with ``server.key`` for localhost, and ``other-ca.pem`` that signed nothing."""
    authority_key, authority = _certificate("MCP Core test authority", None, None)
    _, stranger = _certificate("Another authority", None, None)
    key, server = _certificate("localhost", authority_key, authority)
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    (folder / "other-ca.pem").write_bytes(stranger.public_bytes(pem))
    (folder / "server.pem").write_bytes(server.public_bytes(pem))
    (folder / "server.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "server.key").chmod(0o600)


def _certificate(
    name: str, issuer_key: ec.EllipticCurvePrivateKey | None, issuer: x509.Certificate | None
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer is None:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    else:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signer = issuer_key or key
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
    )
    return key, builder.sign(signer, hashes.SHA256())
