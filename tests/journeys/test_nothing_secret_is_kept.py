"""Every secret of a few whole flows is searched for in the server's log, its audit records and its database."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import Engine, make_url

from database.connection import create_engine_for, database_url_from_environment
from database.models import metadata
from tests.browser import Browser
from tests.database_servers import MariaDBServer
from tests.journeys.conftest import documented_variables
from tests.journeys.person import Person
from tests.relying_party import RelyingParty, TokenError
from tests.serving import Server, serving
from tests.waiting import HANG_SECONDS

CALLBACK = "https://files.example/callback"
WRONG_PASSWORD = "a wrong guess with violets 88"
WRONG_SECRET = "a-wrong-client-secret-0123456789"


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def played(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_name: str
) -> Iterator[tuple[Server, dict[str, str]]]:
    """A server that logs all it can, after the flows; and every secret by its name."""
    home: Path = tmp_path_factory.mktemp("secrets")
    database = {}
    if request.param == "mariadb":
        mariadb: MariaDBServer = request.getfixturevalue("mariadb_server")
        database = documented_variables(mariadb, worker_name, "secrets")
    settings = {"MCP_LOG_LEVEL": "debug", "MCP_LOG_FORMAT": "json"}
    with serving(home, database=database, settings=settings) as server:
        yield server, play(server)


def play(server: Server) -> dict[str, str]:
    known: dict[str, str] = {}
    ana, browser = Person("ana"), Browser("https://files.example/")
    ana.set_up(browser, server.setup_link)
    known["password"] = ana.password
    known["session after set-up"] = browser.cookie(f"mcp_session_{server.port}") or ""
    codes = ana.enrol(browser)
    known |= {f"recovery code {number}": code for number, code in enumerate(codes)}
    known["TOTP secret"] = ana.secret or ""
    known["session after enrolment"] = browser.cookie(f"mcp_session_{server.port}") or ""

    made = server.mcp_core_json(
        *("client", "create", "--name", "Files", "--redirect-uri", CALLBACK, "--scope", "openid profile email"),
        *("--post-logout-redirect-uri", "https://files.example/bye"),
    )
    known["client secret"] = made["client_secret"]
    party = RelyingParty(server.issuer, made["client_id"], CALLBACK, made["client_secret"])

    visitor = Browser("https://files.example/")
    visitor.get(party.authorization_url(scope="openid profile email offline_access"))
    known["request handle"] = re.findall(r"request=(\w+)", visitor.page.url if visitor.page else "")[0]
    known |= {"state": party.state, "nonce": party.nonce, "verifier": party.verifier}
    visitor.fill({"username": "ana", "password": WRONG_PASSWORD})
    visitor.fill({"username": ana.password, "password": ana.password})  # typed into the wrong field
    known["wrong password"] = WRONG_PASSWORD
    visitor.get(party.authorization_url(scope="openid profile email offline_access"))
    known |= {"state 2": party.state, "nonce 2": party.nonce, "verifier 2": party.verifier}
    visitor.fill({"username": "ana", "password": ana.password})
    known["step cookie"] = visitor.cookie(f"mcp_step_{server.port}") or ""
    visitor.fill({"code": "000 000"})
    consent = visitor.fill({"code": ana.next_code()})
    known["session"] = visitor.cookie(f"mcp_session_{server.port}") or ""
    known["browser cookie"] = visitor.cookie(f"mcp_browser_{server.port}") or ""
    known["CSRF token"] = consent.form(action="/consent").fields["csrf_token"][0]
    answer = visitor.submit(consent.form(action="/consent"), button="allow")
    code = party.code_from(answer.url)
    tokens = party.redeem(code)
    known |= {"code": code, "access token": tokens.access_token, "refresh token": tokens.refresh_token or ""}
    known["ID token"] = tokens.id_token or ""
    refreshed = party.refresh(tokens.refresh_token or "")
    known |= {"second access token": refreshed.access_token, "second refresh token": refreshed.refresh_token or ""}
    party.introspect(tokens.access_token)
    party.userinfo(tokens)
    with pytest.raises(TokenError):
        party.redeem(code)
    # What a careless client does: secrets where they do not belong.
    careless = {
        "client_id": party.client_id,
        "client_secret": made["client_secret"],
        "access_token": tokens.access_token,
    }
    requests.post(f"{server.issuer}/token", params=careless, data={"grant_type": "password"}, timeout=HANG_SECONDS)
    requests.get(f"{server.issuer}/userinfo", params=careless, timeout=HANG_SECONDS)
    grant = {"grant_type": "client_credentials"}
    requests.post(f"{server.issuer}/token", data={**grant, "client_id": made["client_secret"]}, timeout=HANG_SECONDS)
    requests.post(
        f"{server.issuer}/token", data=grant, auth=(made["client_secret"], party.client_id), timeout=HANG_SECONDS
    )
    requests.post(f"{server.issuer}/token", data=grant, auth=(party.client_id, WRONG_SECRET), timeout=HANG_SECONDS)
    requests.get(f"{server.issuer}/authorize", params={"client_id": tokens.access_token}, timeout=HANG_SECONDS)
    requests.get(f"{server.origin}/setup/{made['client_secret']}", timeout=HANG_SECONDS)
    requests.get(f"{server.origin}/", headers={"User-Agent": f"Agent {tokens.access_token}"}, timeout=HANG_SECONDS)
    known["wrong client secret"] = WRONG_SECRET
    visitor.get(party.logout_url(tokens.id_token or "", "https://files.example/bye"))

    server.mcp_core("resource", "add", "https://api.example/", "--name", "API", "--scope", "a")
    key = server.mcp_core_json("api-key", "create", "--user", "ana", "--name", "nightly", "--everything")
    answer_to_key = requests.post(
        f"{server.issuer}/token",
        data={"grant_type": "client_credentials"},
        auth=(key["key_id"], key["key_secret"]),
        timeout=HANG_SECONDS,
    )
    known |= {"key secret": key["key_secret"], "key's token": answer_to_key.json()["access_token"]}
    known["rotated secret"] = server.mcp_core_json("client", "rotate-secret", party.client_id)["client_secret"]
    for name in ("hashing.key", "encryption.keys"):
        text = (server.home / "instance/keys" / name).read_text().strip().rpartition(":")[2]
        known[name] = text
    assert all(len(value) >= 10 for value in known.values()), {name for name, value in known.items() if len(value) < 10}
    return known


def engine_of(server: Server) -> Engine:
    return create_engine_for(make_url(database_url_from_environment(server.environment)))


def rows(server: Server, *names: str) -> dict[str, list[Any]]:
    engine = engine_of(server)
    with engine.connect() as connection:
        found = {name: list(connection.exec_driver_sql(f"SELECT * FROM {name}")) for name in names or metadata.tables}
    engine.dispose()
    return found


def found_in(text: str, known: dict[str, str]) -> list[str]:
    """The names of the secrets that stand in ``text``: as they are, without hyphens, or in base64."""
    forms = {
        name: {value, value.replace("-", ""), base64.b64encode(value.encode()).decode().rstrip("=")[:-1]}
        for name, value in known.items()
    }
    return [name for name, values in forms.items() if any(value in text for value in values)]


def test_the_search_finds_what_is_there(played: tuple[Server, dict[str, str]]) -> None:
    _, known = played
    assert found_in(f"before {known['code']} after", known) == ["code"]
    assert found_in(base64.b64encode(known["password"].encode()).decode(), known) == ["password"]


def test_no_secret_is_in_the_log(played: tuple[Server, dict[str, str]]) -> None:
    server, known = played
    log = server.log_text()
    assert '"action": "login.failed"' in log, "events are there"
    assert found_in(log, known) == []
    assert len(re.findall(r"mcp_[a-z]+_[0-9A-Za-z]{49}", log)) == 1, (
        "the setup link, which is printed once, and no other"
    )


def test_no_secret_is_in_the_audit_records(played: tuple[Server, dict[str, str]]) -> None:
    server, known = played
    records = rows(server, "user_audit_log")["user_audit_log"]
    actions = {value for record in records for value in record if isinstance(value, str)}
    assert {"login.failed", "login.succeeded", "code.issued", "code.reused", "client.authentication_failed"} <= actions
    assert found_in(str(records), known) == []


def test_no_secret_is_in_the_database_in_clear(played: tuple[Server, dict[str, str]]) -> None:
    server, known = played
    # What an application sent with its request goes back to it, and is nothing that opens anything by itself.
    returned = {"state", "state 2", "nonce", "nonce 2"}
    secret = {name: value for name, value in known.items() if name not in returned}
    for table, content in rows(server).items():
        assert found_in(str(content), secret) == [], table
