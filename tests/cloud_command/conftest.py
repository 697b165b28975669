"""A provider that answers over HTTP within this process, a person with a cloud account and a key for it."""

from __future__ import annotations

import contextlib
import datetime
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import URL, Engine, select
from werkzeug.serving import make_server

from database.connection import create_engine_for
from database.init_db import migrate
from database.models import AuditRecord
from database.transaction import Transaction
from mcp_core_cloud.command import main
from provider.accounts.users import User
from provider.application import create_app, services_of
from provider.protocol.client import Client
from provider.protocol.messages import Origin
from provider.protocol.scopes import CLOUD_CREDENTIALS
from provider.security.crypto import Keyring
from provider.settings import load_settings
from provider.vault.providers.cloud import Mode
from tests.journeys.person import Person

KEY_ID, SECRET = "AKIA" + "A" * 16, "s3cr3t/+" * 5


@dataclass
class Cloud:
    """``key`` and ``secret`` are of ``owner``, for cloud credentials. ``settings`` are the server's."""

    engine: Engine
    keyring: Keyring
    settings: Mapping[str, Any] = field(default_factory=dict)
    issuer: str = ""
    owner: Any = None
    key: Any = None
    secret: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._server = make_server("127.0.0.1", 0, lambda *call: self.app(*call), threaded=True)
        self.origin_url = f"http://localhost:{self._server.server_port}"
        self.issuer = f"{self.origin_url}/oauth"
        own = {"trusted_proxy_count": 0, "rate_limits": False, "argon2_time_cost": 1, **self.settings}
        settings = load_settings({}, issuer=self.issuer, **own)
        self.app = create_app(settings, self.engine, self.keyring)
        self.services = services_of(self.app)
        threading.Thread(target=self._server.serve_forever, daemon=True, args=(0.05,)).start()
        self.owner = self.user("ada")
        self.connect("work")
        self.key, self.secret = self.cloud_key(self.owner)
        self.environment = {
            "MCP_CORE_ISSUER": self.issuer,
            "MCP_CORE_KEY_ID": self.key.client_id,
            "MCP_CORE_KEY_SECRET": self.secret,
        }

    @property
    def origin(self) -> Origin:
        return Origin("192.0.2.10", "pytest", "request-1", datetime.datetime.now(datetime.UTC))

    def begin(self) -> Transaction:
        return Transaction(self.engine)

    def user(self, name: str) -> User:
        """Somebody who can sign in, as ``Person(name)`` does."""
        hashed = self.services.passwords.hash(Person(name).password)
        with self.begin() as tx:
            return self.services.users.create(
                tx,
                self.origin,
                username=name,
                email=f"{name}@example.com",
                password_hash=hashed,
                is_verified=True,
            )

    def connect(self, label: str, cloud: str = "aws", mode: Mode = "secret", **said: str) -> str:
        """Returns its id."""
        usual = {"access_key_id": KEY_ID, "secret_access_key": SECRET, "region": "eu-central-1"}
        with self.begin() as tx:
            return self.services.cloud_accounts.connect(
                tx, self.origin, self.owner.id, label=label, provider=cloud, mode=mode, said=said or usual
            ).id

    def cloud_key(self, owner: User) -> tuple[Client, str]:
        with self.begin() as tx:
            return self.services.api_keys.create(
                tx,
                self.origin,
                owner,
                name="Laptop",
                scope=(CLOUD_CREDENTIALS,),
                expires_in_days=30,
                resource=None,
                proved_second_factor=True,
            )

    def purposes(self) -> list[str]:
        """What the owner reads of each time that something was given."""
        table = AuditRecord.__table__
        with self.engine.connect() as connection:
            rows = connection.execute(select(table).order_by(table.c.id)).mappings().all()
        return [row["metadata"]["purpose"] for row in rows if row["action"] == "cloud.credentials_given"]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def running(folder: Path, keyring: Keyring, **settings: Any) -> Iterator[Cloud]:
    engine = create_engine_for(URL.create("sqlite", database=str(folder / "cloud.db")))
    migrate(engine)
    made = Cloud(engine, keyring, settings)
    with made.begin() as tx:
        made.services.signing_keys.ensure(tx, made.origin.now)
    yield made
    made.close()
    engine.dispose()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, keyring: Keyring) -> Iterator[Cloud]:
    with running(tmp_path_factory.mktemp("db"), keyring) as made:
        yield made


class Ran(NamedTuple):
    """What came of the command."""

    code: int
    out: str
    err: str


def ran(arguments: Sequence[str], environ: Mapping[str, str], capsys: pytest.CaptureFixture[str]) -> Ran:
    """The command in this process, also where its usage is wrong or its help is asked for."""
    try:
        code = main(arguments, environ)
    except SystemExit as end:
        code = int(str(end.code))
    said = capsys.readouterr()
    return Ran(code, said.out, said.err)


@pytest.fixture
def run(cloud: Cloud, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """The command in this process: ``run("list", SOME_VARIABLE="…")``; a variable that is None is not there."""

    def called(*arguments: str, **variables: str | None) -> Ran:
        environ = {**cloud.environment, "XDG_CONFIG_HOME": str(tmp_path / "config"), **variables}
        return ran(arguments, {name: value for name, value in environ.items() if value is not None}, capsys)

    return called
