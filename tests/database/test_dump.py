"""A copy of the database and of the environment, without the master keys, has no secret in it: nothing to read (A-110).

Every secret that something here can open again is made once, by the service that makes it, and looked for in all tables as
text, in the bytes of the SQLite file, and in what the settings say.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyotp
import pytest
from sqlalchemy import Engine, select

from database.models import metadata
from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring
from provider.security.sealed_columns import ALL
from provider.security.sealed_settings import SMTP_PASSWORD, seal_setting
from provider.services import Services
from provider.settings import load_settings
from provider.start.key_files import load_keyring
from tests.sealed_rows import sealed, settings_of
from tests.vault.conftest import connected, person
from tests.vault.samples import EVERY_WAY

MAIL_PASSWORD = "sesame-of-the-mail-server"
RESET = "mcp_reset_" + "link" * 8
TYPED_NAME = "forgotten.person@example.com"
# Shorter ones are found by chance, and none of them is a secret.
SHORTEST = 8


@dataclass
class House:
    """A database in use. ``secrets`` are by what they are."""

    services: Services
    environment: dict[str, str]
    secrets: dict[str, str]


@pytest.fixture
def house(engine: Engine, tmp_path: Path, origin: Origin) -> House:
    keyring = load_keyring(settings_of(tmp_path / "home"))
    environment = {
        "MCP_HOME": str(tmp_path / "home"),
        "MCP_ISSUER": "https://id.example/oauth",
        "MCP_SMTP_URL": f"smtps://mcp:{seal_setting(keyring, SMTP_PASSWORD, MAIL_PASSWORD)}@mail.example",
        "MCP_MAIL_FROM": "id@id.example",
    }
    services = Services(load_settings(environment), engine, keyring)
    ana = person(services, origin)
    connected(services, origin, person(services, origin, "bora"), "pool", "other")
    secrets = {"the password of the mail server": MAIL_PASSWORD, **cloud_secrets(services, origin, ana)}
    with Transaction(engine) as tx:
        services.signing_keys.ensure(tx, origin.now)
        for key in services.signing_keys.list(tx, origin.now):
            private = key.key.as_dict(private=True)
            secrets |= {f"{key.algorithm} {name}": str(private[name]) for name in ("d", "p", "q") if name in private}
        found = services.sessions.find(tx, origin.now, services.sessions.start(tx, origin, ana, ("pwd",)))
        assert found is not None
        secrets["a second factor"] = services.totp.begin(tx, found[0])
        assert services.totp.confirm(tx, origin, *found, pyotp.TOTP(secrets["a second factor"]).at(origin.now))
        other = services.sessions.find(tx, origin.now, services.sessions.start(tx, origin, ana, ("pwd",)))
        assert other is not None
        secrets["one that is being set up"] = services.totp.begin(tx, other[0])
        secrets["the link of a letter"] = RESET
        services.mail.post(tx, origin, to="a@b.example", letter="test", language=None, values={"link": RESET})
        secrets["a name that was typed"] = TYPED_NAME
        services.forgotten_passwords.ask(tx, origin, TYPED_NAME, "en")
        services.data_exports.ask(tx, origin, ana)
    with Transaction(engine) as tx:
        assert services.data_exports.make_due(tx, origin.now) == 1
    return House(services, environment, secrets)


def cloud_secrets(services: Services, origin: Origin, user_id: str) -> dict[str, str]:
    """Every field of every way to connect a cloud that is a secret."""
    found: dict[str, str] = {}
    for provider, mode in EVERY_WAY:
        account = connected(services, origin, user_id, f"{provider}-{mode}", provider, mode)
        values = services.cloud_accounts.opened(account)
        found |= {
            f"{provider} {field.name}": values[field.name]
            for field in account.kept_fields
            if field.is_secret and field.name in values
        }
    return found


def forms(secret: str) -> Iterator[str]:
    """How it could stand in a dump: as it is, in JSON, in base64 and hexadecimal, and each long line of a PEM."""
    raw = secret.encode()
    yield from (secret, json.dumps(secret)[1:-1], raw.hex())
    yield base64.b64encode(raw).decode().rstrip("=")
    yield base64.urlsafe_b64encode(raw).decode().rstrip("=")
    yield from (line for line in secret.replace("\\n", "\n").splitlines() if len(line) > 40)


def in_dump(dump: str, secret: str) -> list[str]:
    return [form for form in forms(secret) if form in dump]


def dump_of(engine: Engine) -> str:
    """All rows of all tables, and of SQLite the bytes of its files."""
    with engine.connect() as connection:
        rows: list[Any] = [connection.execute(select(table)).all() for table in metadata.sorted_tables]
    text = "\n".join(str(value) for table in rows for row in table for value in row)
    if engine.dialect.name == "sqlite":
        path = Path(str(engine.url.database))
        text += "".join(it.read_bytes().decode("latin-1") for it in sorted(path.parent.glob(f"{path.name}*")))
    return text


def test_neither_tables_nor_settings_have_a_secret_in_clear(house: House, engine: Engine) -> None:
    dump = dump_of(engine) + repr(house.environment) + repr(house.services.settings.model_dump())
    assert "ana@example.com" in dump, "this is a dump of what there is"
    assert in_dump(dump, "ana@example.com")
    assert len(house.secrets) >= 18
    assert {name: found for name, secret in house.secrets.items() if (found := in_dump(dump, secret))} == {}
    assert min(map(len, house.secrets.values())) >= SHORTEST


def test_every_sealed_column_had_something_to_hide(house: House, engine: Engine) -> None:
    """Otherwise a column could be in clear, and nobody would have looked."""
    assert [str(column) for column in ALL if not sealed(engine, column)] == []


def test_with_the_keys_all_of_it_opens_and_without_them_none(house: House, engine: Engine) -> None:
    stranger = Keyring(b"h" * 32, [(name, b"k" * 32) for name in house.services.keyring.masters.ids])
    opened = 0
    for column in ALL:
        with Transaction(engine) as tx:
            rows = [dict(row) for row in tx.execute(select(column.table).where(column.column.is_not(None))).mappings()]
        for row in rows:
            context = column.context_of(row)
            assert house.services.keyring.decrypt(row[column.name], context)
            opened += 1
            with pytest.raises(Exception, match="does not open"):
                stranger.decrypt(row[column.name], context)
    assert opened > len(ALL)
