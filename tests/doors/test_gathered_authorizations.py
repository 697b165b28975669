"""Authorizations of people who are signed in: committed with what others are given, and nothing by what has ended."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import update

from database.models import AuthorizationCode, Consent, GrantRecord
from database.units import Batch
from provider.application import asynchronous_door_of
from provider.authorization.answers import AuthorizationAnswers
from provider.authorization.flow import AuthorizationFlow
from provider.endpoints.authorize import AuthorizeEndpoint
from provider.tokens.grant_records import GrantRecords
from provider.tokens.one_time import AuthorizationCodes
from tests.doors.test_gathering import Together, noted, of_machine, provider
from tests.endpoints.browsing import Browser, code_of, page_of, refusal_of
from tests.endpoints.provider import KnownClient, Provider, ProviderFactory
from tests.endpoints.wsgi import Answer
from tests.statements import sent_to

__all__ = ["provider"]


@pytest.fixture
def together(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Together:
    return Together(asynchronous_door_of(provider.app)._gathering, monkeypatch)


@pytest.fixture
def app(provider: Provider) -> KnownClient:
    return provider.client()


def visitor(provider: Provider, app: KnownClient, name: str) -> Browser:
    """Somebody signed in who has agreed before."""
    browser = Browser(provider)
    browser.sign_in(provider.user(name))
    code_of(browser.allow(page_of(browser.authorize(app), "/consent")))
    return browser


def test_many_authorizations_and_tokens_are_one_commit(
    provider: Provider, together: Together, app: KnownClient
) -> None:
    browsers = [visitor(provider, app, name) for name in ("ada", "bob", "cleo")]
    calls: list[Any] = [functools.partial(it.authorize, app) for it in browsers]
    calls.append(of_machine(provider))
    with sent_to(provider.engine) as sent:
        answers = together(calls)
    assert (together.sizes[-1], sent.count("COMMIT")) == (4, 1)
    assert answers[3].status == 200
    given = [provider.redeem(app, code_of(answer)) for answer in answers[:3]]
    assert [it.status for it in given] == [200] * 3
    assert len({it.json["id_token"] for it in given}) == 3
    assert len(provider.events("code.issued")) == 6


def test_what_codes_of_a_batch_need_is_done_step_by_step(
    provider: Provider, together: Together, app: KnownClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done many times in a row is done out of the processor's caches."""
    browsers = [visitor(provider, app, name) for name in ("ada", "bob", "cleo")]
    done: list[str] = []
    steps = {
        "next_step": AuthorizationFlow,
        "create": GrantRecords,
        "issue": AuthorizationCodes,
        "send_back": AuthorizationAnswers,
    }
    for step, owner in steps.items():
        monkeypatch.setattr(owner, step, noted(done, getattr(owner, step)))
    for answer in together([functools.partial(it.authorize, app) for it in browsers]):
        code_of(answer)
    assert done == [step for step in steps for _ in browsers]


def test_somebody_who_has_to_decide_first_is_shown_the_page(
    provider: Provider, together: Together, app: KnownClient
) -> None:
    known, new = visitor(provider, app, "ada"), Browser(provider)
    new.sign_in(provider.user("bob"))
    answers = together([lambda: known.authorize(app), lambda: new.authorize(app)])
    code_of(answers[0])
    code_of(new.allow(page_of(answers[1], "/consent")))


ENDS: dict[str, Callable[[Provider, str], object]] = {
    "the session": lambda it, user_id: ended(
        it, lambda tx: it.services.sessions.end_all(tx, it.origin, user_id, reason="x")
    ),
    "the user": lambda it, user_id: ended(
        it, lambda tx: it.services.user_ends.set_active(tx, it.origin, user_id, False)
    ),
    "the consent": lambda it, user_id: ended(
        it, lambda tx: tx.execute(update(Consent).where(Consent.user_id == user_id).values(withdrawn_at=it.clock.now))
    ),
}


def ended(provider: Provider, end: Callable[[Any], object]) -> None:
    with provider.begin() as tx:
        end(tx)


@pytest.mark.parametrize("what", ENDS)
def test_what_ends_in_the_moment_of_the_commit_gives_no_code_and_harms_no_other(
    provider: Provider, together: Together, app: KnownClient, what: str
) -> None:
    harmed, other = visitor(provider, app, "ada"), visitor(provider, app, "bob")
    user_id = next(row["user_id"] for row in provider.rows(GrantRecord))
    codes = len(provider.rows(AuthorizationCode))
    did: list[str] = []

    def end_once() -> None:
        if not did:
            did.append(what)
            ENDS[what](provider, user_id)

    together.before_commit = end_once
    answers = together([lambda: harmed.authorize(app), lambda: other.authorize(app)])
    page_of(answers[0], "/consent" if what == "the consent" else "/login")
    code_of(answers[1])
    assert len(provider.rows(AuthorizationCode)) == codes + 1


def test_a_request_that_waited_is_used_up_once_in_a_batch(
    provider: Provider, together: Together, app: KnownClient
) -> None:
    browser = Browser(provider)
    browser.sign_in(provider.user())
    page = page_of(browser.authorize(app), "/consent")
    back = browser.decide(page, "allow").location
    answers = together([lambda: browser.get(back)] * 3)
    assert len({code_of(answer) for answer in answers}) == 1, "who clicks twice gets the same code"
    assert len(provider.rows(GrantRecord)) == 1


def test_what_ends_where_nothing_is_gathered_gives_no_code_either(
    make_provider: ProviderFactory, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = make_provider(engine)
    app = provider.client()
    browser = visitor(provider, app, "ada")
    user_id = provider.rows(GrantRecord)[0]["user_id"]
    send_back = AuthorizeEndpoint._next_step

    def end_after(*args: Any) -> Any:
        step = send_back(*args)
        args[2].rollback()  # SQLite has one writer
        ENDS["the session"](provider, user_id)
        return step

    with monkeypatch.context() as patch:
        patch.setattr(AuthorizeEndpoint, "_next_step", end_after)
        answer = browser.authorize(app)
    assert parse_qs(urlsplit(answer.location).query)["error"] == ["login_required"]
    assert len(provider.rows(AuthorizationCode)) == 1


# In front of Flask, which makes the pages


@pytest.mark.parametrize("door", ["bare", "asynchronous"])
def test_a_page_is_made_of_the_one_answer_of_the_endpoint(
    make_provider: ProviderFactory, sqlite_engine: Any, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    provider = make_provider(sqlite_engine, **({"door": door} if door == "asynchronous" else {}))
    app = provider.client()
    for browser in (Browser(provider), visitor(provider, app, "ada")):
        before = len(provider.events("authorization.refused"))
        said = refusal_of(browser.authorize(app, redirect_uri="https://other.example.com/"))
        assert "https://other.example.com/" not in said
        assert len(provider.events("authorization.refused")) == before + 1


@pytest.mark.parametrize("door", ["bare", "asynchronous"])
@pytest.mark.parametrize(
    "path", ["/oauth/authorize/", "/oauth/authorize//", "/oauth/authorize/a/b", "/oauth/authorizex"]
)
def test_a_path_that_is_nearly_the_endpoints_is_not_found(
    make_provider: ProviderFactory, sqlite_engine: Any, door: str, path: str
) -> None:
    provider = make_provider(sqlite_engine, **({"door": door} if door == "asynchronous" else {}))
    answer: Answer = provider.get(path)
    assert answer.status == 404


@pytest.mark.parametrize("door", ["bare", "asynchronous"])
def test_a_redirect_costs_flask_nothing(
    make_provider: ProviderFactory, sqlite_engine: Any, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    provider = make_provider(sqlite_engine, **({"door": door} if door == "asynchronous" else {}))
    app = provider.client()
    browser = visitor(provider, app, "ada")
    monkeypatch.setattr(provider.app, "full_dispatch_request", None)
    code_of(browser.authorize(app))
    page_of(Browser(provider).authorize(app), "/login")


def test_nothing_is_left_of_a_batch_that_failed(
    provider: Provider, together: Together, app: KnownClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call runs alone then, and is on record once."""
    browser = visitor(provider, app, "ada")
    before = len(provider.events("code.issued"))
    monkeypatch.setattr(Batch, "_outcome", lambda _batch, _units: False)
    code_of(together([lambda: browser.authorize(app)])[0])
    assert len(provider.events("code.issued")) == before + 1
