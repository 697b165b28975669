"""One rule for the names that people give to things, wherever they are given: applications, APIs, keys, tokens, people."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from database.transaction import Transaction
from provider.accounts.login_names import InvalidName
from provider.accounts.users import User
from provider.clients.metadata import ClientMetadata
from provider.clients.metadata_json import metadata_from_json
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring
from provider.services import Services
from provider.settings import SettingsError, load_settings
from tests.accounts.conftest import accounts_on, added

Give = Callable[[str], str | None]
REFUSALS = (InvalidName, OAuthError, SettingsError, ValueError)


@pytest.fixture
def services(sqlite_engine: Engine, keyring: Keyring) -> Services:
    return accounts_on(sqlite_engine, keyring)


@pytest.fixture
def ways(services: Services, origin: Origin) -> dict[str, Give]:
    """For each kind of thing: gives it a name and returns the one that it has then."""
    tx = Transaction(services.engine)
    ana: User = added(services, origin, "ana", password_hash=None)
    client = ClientMetadata(name="", redirect_uris=("https://app.example/callback",))
    person = {"username": "bora", "email": "bora@example.com", "password_hash": None}
    key = {"scope": (), "expires_in_days": None, "resource": None}
    return {
        "application": lambda name: dataclasses.replace(client, name=name).checked().name,
        "registration": lambda name: metadata_from_json({"client_name": name}).name,
        "api": lambda name: services.resources.add(tx, origin, uri="urn:api", name=name, scope=()).name,
        "key": lambda name: services.api_keys.create(tx, origin, ana, name=name, **key)[0].name,  # type: ignore[arg-type]
        "token": lambda name: (
            services.registration_tokens.create(tx, origin, name=name, expires_in_days=1, uses=1)[0].name
        ),
        "person": lambda name: services.users.create(tx, origin, display_name=name, **person).display_name,  # type: ignore[arg-type]
        "service": lambda name: load_settings({"MCP_SERVICE_NAME": name}).service_name,
    }


def is_refused(give: Give, name: str) -> bool:
    try:
        give(name)
    except REFUSALS:
        return True
    return False


@pytest.mark.parametrize(
    "given, kept",
    [
        ("한국 회사", "한국 회사"),
        ("บันทึก", "บันทึก"),
        ("हिन्दी नोट्स", "हिन्दी नोट्स"),
        ("👩🏽\u200d💻 notes", "👩🏽\u200d💻 notes"),
        ("❤\ufe0f\u200d🔥", "❤\ufe0f\u200d🔥"),
        ("یادداشت\u200cها", "یادداشت\u200cها"),
        ("\u1100\u1161", "가"),
        ("山田\u3000太郎", "山田 太郎"),
        ("\ufeff a\u00a0b\u200b ", "a b"),
    ],
    ids=ascii,
)
def test_a_name_is_taken_on_one_line_and_otherwise_as_it_is(ways: dict[str, Give], given: str, kept: str) -> None:
    assert {way: give(given) for way, give in ways.items()} == dict.fromkeys(ways, kept)


@pytest.mark.parametrize(
    "name",
    [
        "a\nb",
        "a\x1b[2J",
        "a\x9b",
        "a\u2028b",
        "evil\u202egnp.exe",
        "a\u2066b",
        "a\u200bb",
        "a\u200db",
        "a\u3164b",
        "\u3164",
        "\u2800",
        "a\ue000",
        "a\ud800",
        "a\U000e0041\U000e0042",
    ],
    ids=ascii,
)
def test_a_name_that_could_mislead_is_taken_nowhere(ways: dict[str, Give], name: str) -> None:
    assert [way for way, give in ways.items() if not is_refused(give, name)] == []


@pytest.mark.parametrize("name", ["", "  ", "\u3000", "\ufeff", "\u0301"], ids=ascii)
def test_a_name_that_nobody_sees_is_no_name(ways: dict[str, Give], name: str) -> None:
    ways.pop("registration")  # there a default takes its place
    assert [way for way, give in ways.items() if not is_refused(give, name)] == []
