"""Requests that are right but for one thing: what is changed must never get more than what is right."""

from __future__ import annotations

import re
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.protocol.redirect_uris import redirect_uri_matches
from tests.fuzz import hostile
from tests.fuzz.expectations import check
from tests.fuzz.world import AFTER_LOGOUT, CALLBACK, FORM, VERIFIER, Answer, Sent, World, post

CHANGES = ("replace", "replace", "replace", "remove", "repeat", "empty", "stretch", "cut", "add")


def changed(draw: st.DrawFn, fields: dict[str, str]) -> tuple[str, list[tuple[str, str]]]:
    """The fields with one of them replaced, removed, repeated, emptied, or one more. Also says which."""
    pairs = list(fields.items())
    at = draw(st.integers(0, len(pairs) - 1))
    name, value = pairs[at]
    kind = draw(st.sampled_from(CHANGES))
    if kind == "remove":
        del pairs[at]
    elif kind == "repeat":
        pairs.insert(draw(st.integers(0, len(pairs))), (name, draw(st.one_of(st.just(value), hostile.words))))
    elif kind == "add":
        name = draw(hostile.names)
        pairs.append((name, draw(hostile.words)))
    else:
        new = {"empty": "", "stretch": value * 3, "cut": value[:-1]}.get(kind)
        pairs[at] = (name, draw(hostile.words) if new is None else new)
    return name, pairs


def encode(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)


def through_both(world: World, sent: Sent, may_go_to: list[str]) -> Answer:
    check(world.through("asynchronous", sent), sent, may_go_to=may_go_to)
    answer = world.through("wsgi", sent)
    check(answer, sent, may_go_to=may_go_to)
    return answer


def proven(world: World, pairs: list[tuple[str, str]]) -> list[str]:
    """Where a request may be answered: the registered URIs of the one client that it names, by their own rules."""
    ids = [value for name, value in pairs if name == "client_id"]
    uris = [value for name, value in pairs if name == "redirect_uri"]
    known = [client for client in world.clients.values() if [client.client_id] == ids]
    if not known or len(uris) != 1:
        return []
    registered = known[0].redirect_uris
    return [uri for uri in registered if redirect_uri_matches(uri, uris[0], known[0].application_type)]


@pytest.mark.parametrize("client", ["web", "asks", "native", "stranger"])
@pytest.mark.parametrize("is_signed_in", [False, True])
@hostile.bounded(60)
@given(st.data())
def test_an_authorization_request_changed_in_one_place(
    world: World, client: str, is_signed_in: bool, data: st.DataObject
) -> None:
    _, pairs = data.draw(st.composite(changed)(world.authorization_request(client)))
    headers = [world.signed_in] if is_signed_in else []
    answer = through_both(world, Sent("GET", "/oauth/authorize", encode(pairs), headers), proven(world, pairs))
    if client == "stranger" and answer.status == 303:
        assert "error=" not in answer.get("Location"), "nobody vouched for this client: no error is sent to it"
    through_both(
        world,
        Sent("POST", "/oauth/authorize", "", [("Content-Type", FORM), *headers], encode(pairs).encode()),
        proven(world, pairs),
    )


def test_the_request_itself_gets_a_code(world: World) -> None:
    """What the others start from works, or they would prove nothing."""
    sent = Sent("GET", "/oauth/authorize", encode(list(world.authorization_request().items())), [world.signed_in])
    answer = through_both(world, sent, [CALLBACK])
    assert answer.get("Location").startswith(f"{CALLBACK}&code=")
    fields = {
        "grant_type": "authorization_code",
        "code": world.fresh_code(),
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    assert world.through("wsgi", post("/oauth/token", fields, world.basic("web"))).status == 200
    fields = {"grant_type": "refresh_token", "refresh_token": world.fresh_refresh_token()}
    assert world.through("wsgi", post("/oauth/token", fields, world.basic("web"))).status == 200
    assert (
        world.through("wsgi", post("/oauth/token", {"grant_type": "client_credentials"}, world.basic("machine"))).status
        == 200
    )


@hostile.bounded(120)
@given(st.data())
def test_a_code_request_changed_in_one_place(world: World, data: st.DataObject) -> None:
    """Only what the endpoint does not know, or what may be left out, can be changed without losing the tokens."""
    fields = {
        "grant_type": "authorization_code",
        "code": world.fresh_code(),
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    name, pairs = data.draw(st.composite(changed)(fields))
    answer = world.through("wsgi", post("/oauth/token", pairs, world.basic("web")))
    check(answer, Sent("POST"))
    if name in fields and pairs != list(fields.items()) and name != "redirect_uri":
        assert answer.status == 400
    if answer.status == 200:
        sent = dict(pairs)
        assert sent["code_verifier"] == VERIFIER
        assert sent.get("redirect_uri") in (CALLBACK, None, "")


@hostile.bounded(120)
@given(st.data())
def test_a_refresh_changed_in_one_place(world: World, data: st.DataObject) -> None:
    fields = {"grant_type": "refresh_token", "refresh_token": world.fresh_refresh_token(), "scope": "openid"}
    name, pairs = data.draw(st.composite(changed)(fields))
    answer = world.through("wsgi", post("/oauth/token", pairs, world.basic("web")))
    check(answer, Sent("POST"))
    if name in ("grant_type", "refresh_token") and pairs != list(fields.items()):
        assert answer.status == 400


@hostile.bounded(120)
@given(st.data())
def test_a_credential_changed_in_one_place_proves_nobody(world: World, data: st.DataObject) -> None:
    fields = {
        "grant_type": "authorization_code",
        "client_id": world.clients["asks"].client_id,
        "client_secret": world.secrets["asks"],
    }
    name, pairs = data.draw(st.composite(changed)(fields))
    answer = world.through("wsgi", post("/oauth/token", pairs))
    check(answer, Sent("POST"))
    assert answer.status in (400, 401)
    if name in ("client_id", "client_secret") and pairs != list(fields.items()):
        assert not re.search(rb"\bcode\b", answer.body), "never asked for the code: the client was not proven"


@hostile.bounded(120)
@given(st.data())
def test_a_logout_request_changed_in_one_place(world: World, data: st.DataObject) -> None:
    """Without our session in the browser, so that nothing ends: it is the redirect that is asked about."""
    fields = {
        "id_token_hint": world.tokens["id"],
        "post_logout_redirect_uri": AFTER_LOGOUT,
        "client_id": world.clients["web"].client_id,
        "state": "s",
    }
    name, pairs = data.draw(st.composite(changed)(fields))
    sent = Sent("GET", "/oauth/logout", encode(pairs))
    answer = through_both(world, sent, [AFTER_LOGOUT])
    if name in ("id_token_hint", "post_logout_redirect_uri") and pairs != list(fields.items()):
        assert not answer.get("Location").startswith("https:") or [value for key, value in pairs if key == name] == [
            fields[name]
        ]
