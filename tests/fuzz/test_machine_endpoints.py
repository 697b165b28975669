"""Anything at all, sent to every machine endpoint through both doors."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.endpoints.discovery import well_known_paths
from tests.fuzz import hostile
from tests.fuzz.expectations import check, check_alike
from tests.fuzz.world import CALLBACK, FORM, ISSUER, NOW, SIGNERS_KEY, Sent, World, form, post
from tests.signing import assertion_claims, with_assertion

BARE = tuple(f"/oauth/{name}" for name in ("token", "introspect", "revoke", "userinfo", "jwks"))
NAMED = {
    "/oauth/authorize/nothing": "/oauth/authorize/<handle>",
    "/oauth/register/nothing": "/oauth/register/<client_id>",
    "/pictures/nothing": "/pictures/<picture_id>",
    "/api/me/sessions/nothing": "/api/me/sessions/<session_id>",
    "/api/me/apps/nothing": "/api/me/apps/<app_id>",
    "/api/me/api-keys/nothing": "/api/me/api-keys/<key_id>",
    "/api/cloud-accounts/nothing": "/api/cloud-accounts/<account_id>",
    "/api/cloud-accounts/nothing/credentials": "/api/cloud-accounts/<account_id>/credentials",
}
PATHS = (
    *BARE,
    *well_known_paths("/oauth"),
    "/oauth/authorize",
    "/oauth/logout",
    "/oauth/par",
    "/oauth/register",
    *(f"/api/me{path}" for path in ("", "/profile", "/sessions", "/apps", "/api-keys", "/activity")),
    "/api/cloud-accounts",
    *NAMED,
)


def both(world: World, sent: Sent) -> None:
    one, other = world.through("wsgi", sent), world.through("asynchronous", sent)
    check(one, sent, may_go_to=world.registered_redirect_uris())
    check(other, sent, may_go_to=world.registered_redirect_uris())
    if not any(name == "Host" for name, _ in sent.headers):  # which only Flask looks at
        check_alike(one, other)


def test_every_machine_endpoint_is_tried(world: World) -> None:
    assert {NAMED.get(path, path) for path in PATHS} == set(world.endpoints()) - {"/health"}


@pytest.mark.parametrize("path", PATHS)
@hostile.bounded(35)
@given(hostile.methods, hostile.encoded(), hostile.headers, hostile.bodies, hostile.lengths)
def test_anything_gets_a_standard_answer(
    world: World,
    path: str,
    method: str,
    query: str,
    headers: list[tuple[str, str]],
    body: bytes,
    length: str | None,
) -> None:
    both(world, Sent(method, path, query, headers, body, length))


@pytest.mark.parametrize("path", [*BARE[:4], "/oauth/authorize", "/oauth/logout", "/oauth/par"])
@hostile.bounded(60)
@given(hostile.encoded(), hostile.headers)
def test_any_form_gets_a_standard_answer(world: World, path: str, body: str, headers: list[tuple[str, str]]) -> None:
    both(world, Sent("POST", path, "", [("Content-Type", FORM), *headers], body.encode()))


@pytest.mark.parametrize("path", ["/oauth/authorize", "/oauth/logout"])
@hostile.bounded(60)
@given(hostile.encoded(), hostile.headers)
def test_any_query_gets_a_standard_answer(world: World, path: str, query: str, headers: list[tuple[str, str]]) -> None:
    both(world, Sent("GET", path, query, headers))


@pytest.mark.parametrize("path", [*BARE[:3], "/oauth/par"])
@hostile.bounded(80)
@given(hostile.basic_headers(), hostile.pairs)
def test_any_basic_header_is_refused(world: World, path: str, header: str, fields: list[tuple[str, str]]) -> None:
    sent = post(path, [("grant_type", "client_credentials"), *fields], ("Authorization", header))
    assert world.through("wsgi", sent).status in (400, 401)
    both(world, sent)


@hostile.bounded(150)
@given(hostile.tokens())
def test_what_only_looks_like_a_token_counts_nowhere(world: World, token: str) -> None:
    asked = post("/oauth/introspect", {"token": token}, world.basic("machine"))
    assert world.through("wsgi", asked).body == b'{"active":false}'
    bearer = Sent("GET", "/oauth/userinfo", headers=[("Authorization", f"Bearer {token}")])
    assert world.through("wsgi", bearer).status == 401
    both(world, bearer)
    both(world, Sent("GET", "/oauth/logout", f"id_token_hint={token}", [world.signed_in]))
    both(world, post("/oauth/revoke", {"token": token}, world.basic("machine")))


@pytest.mark.parametrize("path", [*BARE[:3], "/oauth/par"])
@hostile.bounded(60)
@given(hostile.tokens() | hostile.words)
def test_what_only_looks_like_an_assertion_proves_nothing(world: World, path: str, assertion: str) -> None:
    sent = post(path, {"grant_type": "client_credentials", "token": "x", **with_assertion(assertion)})
    assert world.through("wsgi", sent).status in (400, 401)
    both(world, sent)


@hostile.bounded(120)
@given(hostile.claims)
def test_anything_that_a_client_signs_as_an_assertion_is_judged(world: World, claims: dict[str, Any]) -> None:
    """Signed by the right key: what is in it is all that can be wrong."""
    right = assertion_claims(world.clients["signer"].client_id, ISSUER, NOW)
    for door in ("wsgi", "asynchronous"):
        for made in (claims, {**right, **claims, "jti": secrets.token_hex(8)}):
            for path in ("/oauth/token", "/oauth/par"):
                fields = with_assertion(SIGNERS_KEY.sign(made))
                sent = post(path, {"grant_type": "client_credentials", **fields})
                check(world.through(door, sent), sent)


@hostile.bounded(150)
@given(hostile.claims)
def test_anything_that_a_client_signs_as_a_request_is_judged(world: World, claims: dict[str, Any]) -> None:
    asked = world.authorization_request("signer")
    for made in (claims, {**asked, **claims}):
        sent = {"client_id": asked["client_id"], "redirect_uri": CALLBACK, "request": SIGNERS_KEY.sign(made)}
        both(world, Sent("GET", "/oauth/authorize", form(sent).decode(), [world.signed_in]))
        both(world, post("/oauth/authorize", sent))


@hostile.bounded(100)
@given(hostile.words | hostile.claims.map(json.dumps))
def test_any_claims_parameter_is_judged(world: World, claims: str) -> None:
    asked = {**world.authorization_request(), "claims": claims, "response_mode": "form_post"}
    both(world, Sent("GET", "/oauth/authorize", form(asked).decode(), [world.signed_in]))


@pytest.mark.parametrize("name", ["access", "api", "id"])
@hostile.bounded(60)
@given(st.data())
def test_a_real_token_changed_in_one_place_counts_nowhere(world: World, name: str, data: st.DataObject) -> None:
    token = world.tokens[name]
    at = data.draw(st.integers(0, len(token) - 1))
    put = data.draw(st.sampled_from(("", ".", "=", "A", "-", "é", "\x00", token[at] * 2)))
    changed = token[:at] + put + token[at + 1 :]
    asked = post("/oauth/introspect", {"token": changed}, world.basic("web"))
    answer = world.through("wsgi", asked)
    check(answer, asked)
    if put not in ("\x00", token[at]):
        assert answer.body == b'{"active":false}'


def test_a_real_token_does_count(world: World) -> None:
    answer = world.through("wsgi", post("/oauth/introspect", {"token": world.tokens["access"]}, world.basic("web")))
    assert b'"active":true' in answer.body
    bearer = Sent("GET", "/oauth/userinfo", headers=[("Authorization", f"Bearer {world.tokens['access']}")])
    assert world.through("wsgi", bearer).status == 200


@hostile.bounded(150)
@given(hostile.claims)
def test_anything_that_a_program_says_of_its_purpose_is_judged(world: World, said: dict[str, Any]) -> None:
    """With a token that is right, of an account that is there."""
    own = [("Authorization", f"Bearer {world.tokens['account']}"), ("Content-Type", "application/json")]
    path = f"/api/cloud-accounts/{world.cloud_account}/credentials"
    for made in (said, {"purpose": "a backup", **said}, *({"purpose": value} for value in said.values())):
        sent = Sent("POST", path, "", own, json.dumps(made).encode())
        for door in ("wsgi", "asynchronous"):
            answer = world.through(door, sent)
            check(answer, sent)
            assert answer.status in (200, 400, 409, 413)
