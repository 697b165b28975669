"""A COMMIT whose answer is lost is found out, never assumed and never repeated blindly (A-122)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import URL, Engine

from database.connection import create_engine_for
from database.models import AuthorizationCode, GrantRecord, IssuedToken, RefreshToken
from provider.security.crypto import Keyring
from tests.database_proxy import DatabaseProxy, Loss
from tests.database_servers import MariaDBServer
from tests.doors.test_database_faults import is_unavailable
from tests.endpoints.provider import Provider, ProviderFactory
from tests.endpoints.wsgi import Answer
from tests.pages.site import Site, Visitor

LOSSES: list[Loss] = ["request", "answer", "late"]


@pytest.fixture
def proxy(mariadb_server: MariaDBServer) -> Iterator[DatabaseProxy]:
    proxy = DatabaseProxy(mariadb_server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def engine_behind(proxy: DatabaseProxy, mariadb_engine: Engine, mariadb_url: URL) -> Iterator[Engine]:
    engine = create_engine_for(mariadb_url.set(port=proxy.port))
    yield engine
    engine.dispose()


@pytest.fixture
def provider(engine_behind: Engine, make_provider: ProviderFactory) -> Provider:
    return make_provider(engine_behind)


def redemption(provider: Provider) -> Callable[[], Answer]:
    client, user = provider.client("none"), provider.user()
    code = provider.code(provider.grant(user, client, ("openid", "offline_access")))
    return lambda: provider.redeem(client, code)


def refresh(provider: Provider) -> Callable[[], Answer]:
    client = provider.client("none")
    token = provider.tokens(provider.user(), client)["refresh_token"]
    return lambda: provider.refresh(client, token)


def client_credentials(provider: Provider) -> Callable[[], Answer]:
    client = provider.machine()
    return lambda: provider.token(client, {"grant_type": "client_credentials"})


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("prepare", [redemption, refresh, client_credentials])
def test_a_token_request_whose_commit_is_lost_is_answered_as_if_nothing_had_been(
    provider: Provider,
    proxy: DatabaseProxy,
    prepare: Callable[[Provider], Callable[[], Answer]],
    loss: Loss,
) -> None:
    ask = prepare(provider)
    before = len(provider.rows(IssuedToken))
    proxy.losses = [loss]
    answer = ask()
    assert proxy.lost == [loss]
    assert answer.status == 200, answer.body
    assert len(provider.rows(IssuedToken)) == before + 1, "made once, and not again"
    assert provider.is_alive(answer.json["access_token"])
    assert all(row["revoked_at"] is None for row in provider.rows(GrantRecord))
    assert provider.events("code.reused") == provider.events("refresh_token.reused") == []
    assert sum(row["used_at"] is None for row in provider.rows(RefreshToken)) == ("refresh_token" in answer.json)


@pytest.mark.parametrize("prepare", [redemption, refresh, client_credentials])
def test_a_token_request_of_whose_commit_nobody_can_tell_is_not_run_again(
    provider: Provider,
    proxy: DatabaseProxy,
    prepare: Callable[[Provider], Callable[[], Answer]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who could tell cannot be reached just then, though a repetition would succeed again."""
    monkeypatch.setattr("database.transaction.FIND_OUT_PAUSES", (0.0,))
    ask = prepare(provider)
    before = len(provider.rows(IssuedToken))
    proxy.losses, proxy.cuts_after_loss = ["answer"], 1
    assert is_unavailable(ask())
    assert proxy.cuts_after_loss == 0
    assert len(provider.rows(IssuedToken)) == before + 1, "the server did commit, once"
    assert all(row["revoked_at"] is None for row in provider.rows(GrantRecord))


def test_a_refresh_of_whose_commit_nobody_can_tell_goes_on_by_the_same_token(
    provider: Provider, proxy: DatabaseProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decision 2: the successor is derived, so who asks again within the grace window gets what was lost."""
    monkeypatch.setattr("database.transaction.FIND_OUT_PAUSES", (0.0,))
    ask = refresh(provider)
    proxy.losses, proxy.cuts_after_loss = ["answer"], 1
    assert is_unavailable(ask())
    assert ask().status == 200
    assert [row["revoked_at"] for row in provider.rows(GrantRecord)] == [None]


def test_the_commit_is_asked_after_until_somebody_can_tell(provider: Provider, proxy: DatabaseProxy) -> None:
    ask = redemption(provider)
    proxy.losses, proxy.cuts_after_loss = ["answer"], 2
    assert ask().status == 200
    assert proxy.cuts_after_loss == 0


def test_what_was_only_read_needs_no_answer_to_its_commit(provider: Provider, proxy: DatabaseProxy) -> None:
    client = provider.client("none")
    token = provider.tokens(provider.user(), client)["access_token"]
    proxy.losses = ["answer"]
    assert provider.userinfo(token).status == 200
    assert proxy.lost == ["answer"]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_consent_whose_commit_is_lost_leads_back_with_one_code(
    engine_behind: Engine,
    make_provider: ProviderFactory,
    proxy: DatabaseProxy,
    tmp_path: Path,
    migrated_sqlite_file: Path,
    keyring: Keyring,
    loss: Loss,
) -> None:
    provider = make_provider(engine_behind)  # with keys that are made already
    site = Site(tmp_path / "site", migrated_sqlite_file, keyring, engine=engine_behind)
    visitor = Visitor(site)
    visitor.sign_in(site.account("ana"))
    visitor.ask(site.client())
    page, token = visitor.page.url, visitor.token()
    proxy.losses = [loss]
    visitor.post(page, {"decision": "allow"}, token=token)
    assert proxy.lost == [loss]
    visitor.follow()
    assert parse_qs(urlsplit(visitor.to).query).keys() >= {"code", "state"}, visitor.page.text
    assert len(provider.rows(AuthorizationCode)) == len(provider.events("consent.given")) == 1
