"""Each cloud is set up with what our pages print, and gives credentials; with one thing wrong, Test says which in words."""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Callable
from typing import Any

import pytest

from provider.vault.exchanges.exchange import Condition, ExchangeRefused
from provider.vault.guides import Kind
from tests.clouds.conftest import KINDS, World
from tests.clouds.printed import READERS, Told, told
from tests.pages.site import ORIGIN, Visitor

# What is wrong there, and the condition that it comes to.
FAULTS: dict[str, tuple[dict[str, Any], Condition]] = {
    "another audience": ({"audiences": ("another",)}, Condition.AUDIENCE),
    "another subject": ({"subject": "user:eve:cloud:work"}, Condition.SUBJECT),
    "another issuer": ({"issuer": "https://id.example.com/oauth"}, Condition.ISSUER),
    "expired": ({"seconds_ahead": 301}, Condition.EXPIRED),
    "another key": ({"has_other_keys": True}, Condition.SIGNATURE),
    "our keys not read": ({"is_reached": False}, Condition.ISSUER_UNREACHABLE),
}
# Of a subject these say no more than that the role is not given, and a cluster tells nothing to whom it does not know.
ROLES = {"aws", "alibaba"}
GIVEN = {
    "aws": {"access_key_id", "secret_access_key", "session_token", "region"},
    "azure": {"access_token", "tenant_id", "client_id"},
    "alibaba": {"access_key_id", "access_key_secret", "security_token", "region"},
    "oracle": {"token", "private_key", "tenancy_ocid", "region"},
    "kubernetes": {"token"},
}
# What of a sentence tells one condition from the others; the rest is for those who translate.
WORDS = {
    "en": {
        None: "It works:",
        Condition.AUDIENCE: "did not accept the audience.",
        Condition.SUBJECT: "did not accept the subject.",
        Condition.ISSUER: "does not trust this service.",
        Condition.EXPIRED: "the token had expired already.",
        Condition.SIGNATURE: "could not verify the signature.",
        Condition.ISSUER_UNREACHABLE: "could not read the keys of this service.",
        Condition.ROLE: "did not let this service take the role or account.",
        Condition.OTHER: "gave no credentials.",
    },
    "ko": {
        None: "연결되었습니다.",
        Condition.AUDIENCE: "에서 대상",
        Condition.SUBJECT: "에서 주체",
        Condition.ISSUER: "신뢰하지 않습니다",
        Condition.EXPIRED: "이미 만료되었",
        Condition.SIGNATURE: "서명을 확인하지 못했습니다",
        Condition.ISSUER_UNREACHABLE: "키를 읽지 못했습니다",
        Condition.ROLE: "사용을 허용하지 않았습니다",
        Condition.OTHER: "받지 못했습니다",
    },
}
GAVE = re.compile(r"eyJ|secret-of-|session-of-|(entra|federated|robot|token)-[0-9]")
TITLES = {"Trust policy (JSON): save it as trust.json": Kind.POLICY, "Command line": Kind.COMMANDS}


@pytest.fixture(scope="module")
def told_of(world: World) -> Callable[[str], Told]:
    """What the page of an account tells its owner to set up."""

    @functools.cache
    def read(name: str) -> Told:
        ana = Visitor(world.site)
        ana.sign_in(world.ana)
        page = ana.get(f"/account/clouds/{world.accounts[name].id}").html
        found = re.findall(r"<summary>([^<]+)</summary>\s*<div[^>]*><pre[^>]*>(.*?)</pre>", page, re.DOTALL)
        texts = {TITLES[title]: html.unescape(text) for title, text in found if title in TITLES}
        values = [html.unescape(it) for it in re.findall(r'<code class="secret"[^>]*>([^<]*)</code>', page)]
        shown = Told(values[0], (values[1],), values[2])
        trusted = told(name if name in READERS else KINDS[name][0], texts) if texts else shown
        assert (trusted.issuer, trusted.subject) == (shown.issuer, shown.subject)
        assert shown.audiences[0] in trusted.audiences
        return trusted

    return read


def expected(name: str, condition: Condition) -> Condition:
    if name == "kubernetes":
        return Condition.OTHER
    return Condition.ROLE if condition is Condition.SUBJECT and name in ROLES else condition


@pytest.mark.parametrize("name", KINDS)
def test_what_our_page_prints_is_what_a_cloud_has_to_know(
    world: World, told_of: Callable[[str], Told], name: str
) -> None:
    subject = f"user:{world.ana.user.id}:cloud:{name}"
    shown = told_of(name)
    assert (shown.issuer, shown.subject) == (f"{ORIGIN}/oauth", subject)
    cloud = world.set_up(name, shown)
    given = world.exchange(name)
    assert given.values.keys() == GIVEN.get(name, {"access_token"})
    assert all(given.values.values())
    assert given.expires_at is not None
    assert given.expires_at > world.site.now
    assert cloud.given == [subject]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", KINDS)
def test_a_cloud_that_has_something_else_gives_nothing_and_the_condition_is_named(
    world: World, told_of: Callable[[str], Told], name: str, fault: str
) -> None:
    changes, condition = FAULTS[fault]
    cloud = world.set_up(name, told_of(name), **changes)
    with pytest.raises(ExchangeRefused) as refused:
        world.exchange(name)
    assert refused.value.condition is expected(name, condition)
    assert refused.value.said, "in its own words, too"
    assert cloud.given == []


@pytest.mark.parametrize("language", WORDS)
@pytest.mark.parametrize("name", KINDS)
def test_test_says_in_words_which_condition_failed_and_what_works(
    world: World, told_of: Callable[[str], Told], name: str, language: str
) -> None:
    world.site.later(minutes=10)  # nobody can test as often as this does all at once
    page = Visitor(world.site, language=language)
    page.sign_in(world.ana)
    for changes, condition in [*FAULTS.values(), ({}, None)]:
        cloud = world.set_up(name, told_of(name), **changes)
        page.post(f"/account/clouds/{world.accounts[name].id}/test")
        role = "alert" if condition else "status"
        (outcome,) = [it.text for it in page.document.all("div") if it.get("role") == role]
        which = expected(name, condition) if condition else None
        assert WORDS[language][which] in outcome
        said = [words for named, words in WORDS[language].items() if words in page.page.text]
        assert len(said) == 1, "one thing failed, and one is named"
        assert not GAVE.search(page.page.html), "what it gave is thrown away"
        assert bool(cloud.given) == (condition is None)


def test_a_service_account_that_the_subject_may_not_use_is_another_condition(
    world: World, told_of: Callable[[str], Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = world.set_up("gcp-robot", told_of("gcp-robot"))
    monkeypatch.setattr(cloud, "may_impersonate", False)
    with pytest.raises(ExchangeRefused, match="role"):
        world.exchange("gcp-robot")


ELSEWHERE = {
    "aws": "role_arn",
    "azure": "client_id",
    "gcp": "provider",
    "alibaba": "role_arn",
    "oracle": "client_secret",
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_is_not_there_is_named_so(
    world: World, told_of: Callable[[str], Told], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    cloud = world.set_up(name, told_of(name))
    monkeypatch.setitem(cloud.said, ELSEWHERE[name], "something else")
    with pytest.raises(ExchangeRefused, match="role"):
        world.exchange(name)
    assert cloud.given == []
