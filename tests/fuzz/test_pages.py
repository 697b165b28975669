"""Anything at all, sent to every page, signed in or not, with and without the proof that a form of ours was sent."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import hostile
from tests.fuzz.expectations import check
from tests.fuzz.world import FORM, OWN_ORIGIN, Answer, Sent, World, form

FOR_PASSWORD_MANAGERS = "/.well-known/passkey-endpoints"
EVEN_STRANGER = (
    "/",
    "//",
    "/nothing",
    "/static/site.css",
    "/static/../settings.py",
    "/static/%00",
    "/login/",
    "/\\evil.example",
)


def page_paths(world: World) -> list[str]:
    rules = [rule for rule in world.app.url_map.iter_rules() if not rule.endpoint.startswith("endpoint ")]
    return sorted({re.sub(r"<[^>]+>", "one", rule.rule) for rule in rules})


def sent_as_a_form(world: World, path: str, query: str, fields: list[tuple[str, str]]) -> Sent:
    """What a browser posts, with our token in it: it gets past the check of forged forms."""
    shown = world.through("asynchronous", Sent("GET", "/sign-out", headers=[world.signed_in]))
    proof = re.search(r'name="csrf_token" value="([^"]+)"', shown.body.decode())
    assert proof, shown
    browser = re.search(r"mcp_browser_8000=([^;]+)", shown.get("Set-Cookie"))
    if browser:
        world.tokens["browser"] = browser[1]
    headers = [("Content-Type", FORM), ("Sec-Fetch-Site", "same-origin"), ("Origin", OWN_ORIGIN), world.signed_in]
    kept = [(name, value) for name, value in fields if name != "csrf_token"]
    return Sent("POST", path, query, headers, form([*kept, ("csrf_token", proof[1])]))


def asked(world: World, sent: Sent) -> Answer:
    answer = world.through("asynchronous", sent)
    check(answer, sent)
    assert (answer.get("Content-Type") != "application/json") or sent.path == FOR_PASSWORD_MANAGERS
    return answer


@hostile.bounded(350)
@given(st.data(), hostile.methods, hostile.encoded(), hostile.headers, hostile.bodies, hostile.lengths)
def test_anything_gets_a_page_of_ours(
    world: World,
    data: st.DataObject,
    method: str,
    query: str,
    headers: list[tuple[str, str]],
    body: bytes,
    length: str | None,
) -> None:
    path = data.draw(st.sampled_from((*page_paths(world), *EVEN_STRANGER)))
    asked(world, Sent(method, path, query, headers, body, length))


@hostile.bounded(100)
@given(st.text(max_size=30), hostile.methods)
def test_any_address_gets_a_page_of_ours(world: World, path: str, method: str) -> None:
    asked(world, Sent(method, f"/{path}"))


@hostile.bounded(150)
@given(st.data(), hostile.encoded())
def test_any_query_of_somebody_signed_in_gets_a_page_of_ours(world: World, data: st.DataObject, query: str) -> None:
    path = data.draw(st.sampled_from(page_paths(world)))
    asked(world, Sent("GET", path, query, [world.signed_in]))


@hostile.bounded(150)
@given(st.data(), hostile.encoded(), hostile.pairs)
def test_any_form_of_somebody_signed_in_gets_a_page_of_ours(
    world: World, data: st.DataObject, query: str, fields: list[tuple[str, str]]
) -> None:
    """Signing out, locking down and setting up are left out: the first two end the session of all other examples."""
    left_out = ("/sign-out", "/account/lock-down", "/setup", "/static")
    paths = [path for path in page_paths(world) if not path.startswith(left_out)]
    path = data.draw(st.sampled_from(paths))
    sent = sent_as_a_form(world, path, query, fields)
    answer = asked(world, sent)
    assert answer.status != 403, "the form was taken for forged"


@pytest.mark.parametrize(
    "path, names",
    [
        ("/login", ("username", "password")),
        ("/login", ("credential",)),
        ("/account/passkeys", ("credential", "name", "action")),
        ("/login/code", ("code", "remember")),
        ("/login/again", ("password", "code")),
        ("/language", ("language", "back")),
        ("/account/sessions", ("session", "action")),
        ("/account/apps", ("consent",)),
        ("/account/api-keys/new", ("name", "days", "scope", "resource")),
        ("/account/second-factor", ("action", "code")),
        ("/account/second-factor/recovery-codes", ("code",)),
        ("/consent", ("decision",)),
    ],
)
@hostile.bounded(18)
@given(st.data())
def test_each_field_of_each_form_may_hold_anything(
    world: World, path: str, names: tuple[str, ...], data: st.DataObject
) -> None:
    fields = [(name, data.draw(hostile.words, name)) for name in names]
    asked(world, sent_as_a_form(world, path, "", fields))


@hostile.bounded(120)
@given(st.one_of(hostile.words, st.builds("{}//{}".format, hostile.words, hostile.words)))
def test_the_language_form_leads_nowhere_but_to_a_page(world: World, back: str) -> None:
    answer = asked(world, sent_as_a_form(world, "/language", "", [("language", "en"), ("back", back)]))
    assert answer.status == 303
    there = asked(world, Sent("GET", answer.get("Location").partition("?")[0], headers=[world.signed_in]))
    assert there.status in (200, 303, 400, 404)


@hostile.bounded(60)
@given(hostile.header_text, hostile.header_text)
def test_a_form_from_elsewhere_is_forged(world: World, site: str, source: str) -> None:
    sent = sent_as_a_form(world, "/language", "", [("language", "ko"), ("back", "/account")])
    kept = [item for item in sent.headers if item[0] not in ("Sec-Fetch-Site", "Origin")]
    forged = Sent(
        "POST", sent.path, "", [*kept, ("Sec-Fetch-Site", site or "cross-site"), ("Origin", source)], sent.body
    )
    assert asked(world, forged).status == 403
