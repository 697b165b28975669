"""Groups with a server, a browser and a relying party; and the self-service API as its page shows it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.browser import Browser
from tests.journeys.mcp_world import says
from tests.journeys.person import Person
from tests.relying_party import RelyingParty, TokenError, Tokens
from tests.serving import ROOT, Server, serving
from tests.waiting import HANG_SECONDS

CALLBACK = "https://files.example/callback"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("home")) as running:
        yield running
        assert running.traces == ""


@dataclass
class Proxy:
    """A relying party that lets nobody in but members of one group, as ``oauth2-proxy --allowed-group`` does: it reads the
    groups of the ID token at sign-in, and of the next one at each refresh."""

    party: RelyingParty
    allowed_group: str
    tokens: Tokens | None = None

    def sign_in(self, person: Person, browser: Browser) -> bool:
        page = person.answer(browser, self.party.authorization_url())
        self.tokens = self.party.redeem(self.party.code_from(page.url))
        return self._admits()

    def refresh(self) -> bool:
        assert self.tokens is not None
        assert self.tokens.refresh_token is not None
        self.tokens = self.party.refresh(self.tokens.refresh_token)
        return self._admits()

    def _admits(self) -> bool:
        assert self.tokens is not None
        return self.allowed_group in self.tokens.claims["groups"]


def person(server: Server, name: str) -> Person:
    made = Person(name)
    server.user(made.username, made.password, "--verified")
    return made


def party(server: Server, scope: str, *options: str) -> RelyingParty:
    made = server.mcp_core_json("client", "create", "--name", "Files", "--redirect-uri", CALLBACK, *options)
    return RelyingParty(server.issuer, made["client_id"], CALLBACK, made["client_secret"], scope)


def test_a_member_is_let_in_another_is_not_and_who_is_removed_is_so_at_the_next_refresh(server: Server) -> None:
    mina, noah = person(server, "mina"), person(server, "noah")
    server.mcp_core("group", "create", "developers")
    server.mcp_core("group", "add", "developers", "mina")
    scope = "openid profile email groups"
    proxy = Proxy(party(server, scope), "developers")
    assert proxy.sign_in(mina, Browser(CALLBACK))
    assert proxy.party.userinfo(proxy.tokens)["groups"] == ["developers"]  # type: ignore[arg-type]
    assert not Proxy(party(server, scope), "developers").sign_in(noah, Browser(CALLBACK))
    assert proxy.refresh()
    server.mcp_core("group", "remove", "developers", "mina")
    assert not proxy.refresh()


def test_an_application_that_is_reserved_lets_nobody_else_in(server: Server) -> None:
    owen, pia = person(server, "owen"), person(server, "pia")
    server.mcp_core("group", "create", "board")
    server.mcp_core("group", "add", "board", "owen")
    reserved = party(server, "openid", "--only-group", "board")
    page = owen.answer(Browser(CALLBACK), reserved.authorization_url())
    tokens = reserved.redeem(reserved.code_from(page.url))
    browser = Browser(CALLBACK)
    browser.get(reserved.authorization_url())
    page = pia.sign_in(browser)
    assert (page.status, page.path) == (403, "/members-only")
    says(page, "isn't for this account", "Only members of certain groups may use this app", "Signed in as", "pia")
    page = browser.submit(page.form(action=""))
    assert reserved.read_answer(page.url)["error"] == "access_denied"
    server.mcp_core("group", "remove", "board", "owen")
    assert tokens.refresh_token is not None
    with pytest.raises(TokenError) as refused:
        reserved.refresh(tokens.refresh_token)
    assert refused.value.error == "invalid_grant"


def test_the_lines_of_the_page_about_the_self_service_api_run_as_they_stand(server: Server) -> None:
    quinn, browser = person(server, "quinn"), Browser(CALLBACK)
    scope = "account:read activity:read profile:write sessions:manage apps:manage api-keys:manage cloud:credentials"
    app = party(server, scope)
    page = quinn.answer(browser, app.authorization_url())
    token = app.redeem(app.code_from(page.url)).access_token
    text = (ROOT / "docs" / "self-service.md").read_text(encoding="utf-8")
    block = "".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL))
    block = block.replace("http://localhost:8000/", f"{server.origin}/")
    commands = [line.strip() for line in block.replace("\\\n", " ").split("$ ") if line.strip() and "curl" in line]
    commands = [f"curl {command.partition('curl ')[2]}" for command in commands]
    assert len(commands) == 8
    said: dict[str, str] = {"TOKEN": token, "ACCOUNT": "nobodys"}

    def run(command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            env={"PATH": os.environ["PATH"], "no_proxy": "localhost", **said},
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=True,
        )
        return done.stdout

    me, sessions, end, profile, change, make, clouds, credentials = commands
    assert json.loads(run(me))["username"] == "quinn"
    items: list[Any] = json.loads(run(sessions))["items"]
    assert [item["is_current"] for item in items] == [True]
    etag = re.search(r"^etag: (.*)$", run(profile), re.MULTILINE | re.IGNORECASE)
    assert etag is not None
    said["ETAG"] = etag[1].strip()
    assert json.loads(run(change))["time_zone"] == "Asia/Seoul"
    assert json.loads(run(make))["secret"].startswith("mcp_ak_")
    assert json.loads(run(clouds)) == {"items": [], "next": None}
    assert json.loads(run(credentials))["type"] == "urn:mcp-core:problem:not_found"
    said["SESSION"] = items[0]["id"]
    assert run(end) == ""
    assert json.loads(run(me))["type"] == "urn:mcp-core:problem:invalid_token", "the token was that session's"
