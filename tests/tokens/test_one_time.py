"""Authorization codes and waiting requests: used once, by one, in time (RFC 6749 §4.1.2, OAuth 2.1 §4.1.3)."""

from __future__ import annotations

import datetime
import threading
from typing import Any

import pytest

from database.models import AuthorizationCode, AuthorizationRequest, GrantRecord
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring, is_secret, new_secret
from provider.tokens.one_time import AuthorizationCodes
from tests.tokens.conftest import CODE_SECONDS, REQUEST_SECONDS, Events, World, later
from tests.waiting import HANG_SECONDS


def issue(world: World, origin: Origin, **changes: Any) -> str:
    values = {
        "grant_id": world.grant_id,
        "redirect_uri": "https://app.example/cb?x=1",
        "code_challenge": "c" * 43,
        "nonce": "n" * 64,
        **changes,
    }
    with world.tokens.transaction() as tx:
        return world.tokens.codes.issue(tx, origin.now, **values)


def claim(world: World, origin: Origin, code: str) -> None:
    """As the token endpoint does it: what a refusal writes is kept."""
    tx = world.tokens.transaction()
    stored = world.tokens.codes.find(tx, code)
    assert stored is not None
    try:
        world.tokens.codes.claim(tx, origin, stored)
    finally:
        tx.commit()


def test_a_code_keeps_all_that_it_is_bound_to(world: World, origin: Origin) -> None:
    nonce = "논스 %25+&" * 400
    code = issue(world, origin, nonce=nonce)
    with world.tokens.transaction() as tx:
        stored = world.tokens.codes.find(tx, code)
    assert stored is not None
    assert stored.redirect_uri == "https://app.example/cb?x=1"
    assert (stored.code_challenge, stored.nonce) == ("c" * 43, nonce)
    assert (stored.grant.id, stored.grant.user_id, stored.grant.client_row_id) == (
        world.grant_id,
        world.user.id,
        world.client.id,
    )
    assert stored.expires_at == origin.now + datetime.timedelta(seconds=CODE_SECONDS)
    assert stored.used_at is None


def test_a_code_without_challenge_and_nonce_has_none(world: World, origin: Origin) -> None:
    code = issue(world, origin, code_challenge=None, nonce=None)
    with world.tokens.transaction() as tx:
        stored = world.tokens.codes.find(tx, code)
    assert stored is not None
    assert (stored.code_challenge, stored.nonce) == (None, None)


def test_the_database_holds_no_code(world: World, origin: Origin) -> None:
    code = issue(world, origin)
    assert is_secret("ac", code)
    (row,) = world.tokens.rows(AuthorizationCode)
    assert not any(code in str(value) or code[7:] in str(value) for value in row.values())


def test_another_installation_key_does_not_find_the_code(world: World, origin: Origin) -> None:
    code, other = issue(world, origin), Keyring(b"x" * 32, [("k", b"y" * 32)])
    codes = AuthorizationCodes(other, world.tokens.grants, world.tokens.refusals, CODE_SECONDS)
    with world.tokens.transaction() as tx:
        assert codes.find(tx, code) is None


@pytest.mark.parametrize(
    "change",
    [str.upper, str.lower, str.swapcase, lambda code: code + " ", lambda code: " " + code, lambda code: code + "a"],
)
@pytest.mark.parametrize("kind", ["code", "request"])
def test_a_value_that_is_nearly_right_finds_nothing(world: World, origin: Origin, change: Any, kind: str) -> None:
    with world.tokens.transaction() as tx:
        if kind == "code":
            assert world.tokens.codes.find(tx, change(issue(world, origin))) is None
        else:
            browser = new_secret("browser")
            handle = store(world, origin, browser)
            assert world.tokens.requests.find(tx, origin.now, change(handle), browser) is None


def test_what_is_no_code_of_ours_finds_nothing(world: World) -> None:
    with world.tokens.transaction() as tx:
        for made in ("", "ac", "x" * 10_000, "\0", "코드", new_secret("rt"), new_secret("request"), new_secret("ac")):
            assert world.tokens.codes.find(tx, made) is None


@pytest.mark.parametrize(
    "seconds, description",
    [
        (0, None),
        (CODE_SECONDS - 0.001, None),
        (CODE_SECONDS, "The authorization code has expired."),
        (CODE_SECONDS + 2, "The authorization code has expired."),
    ],
)
def test_a_code_works_until_it_expires(world: World, origin: Origin, seconds: float, description: str | None) -> None:
    code = issue(world, origin)
    if description is None:
        claim(world, later(origin, seconds), code)
        return
    with pytest.raises(OAuthError, match="invalid_grant") as refusal:
        claim(world, later(origin, seconds), code)
    assert refusal.value.description == description


def test_a_code_used_twice_ends_the_grant_and_is_recorded(world: World, origin: Origin, events: Events) -> None:
    code = issue(world, origin)
    claim(world, origin, code)
    for seconds in (30, CODE_SECONDS + 100):
        with pytest.raises(OAuthError) as refusal:
            claim(world, later(origin, seconds), code)
        assert refusal.value.body() == {
            "error": "invalid_grant",
            "error_description": "The authorization code was already used.",
        }
    (grant,) = world.tokens.rows(GrantRecord)
    assert (grant["revoked_at"], grant["revoke_reason"]) == (later(origin, 30).now, "code_reused")
    seen = events()
    assert (seen.count(("grant.revoked", "code_reused")), seen.count(("code.reused", "replayed"))) == (1, 1)


def test_a_code_of_a_revoked_grant_is_refused(world: World, origin: Origin) -> None:
    code = issue(world, origin)
    with world.tokens.transaction() as tx:
        world.tokens.grants.revoke(tx, origin, world.grant_id, "test")
    with pytest.raises(OAuthError) as refusal:
        claim(world, origin, code)
    assert refusal.value.description == "The authorization was revoked."


def test_a_claim_that_is_rolled_back_leaves_the_code_usable(world: World, origin: Origin) -> None:
    code = issue(world, origin)
    tx = world.tokens.transaction()
    stored = world.tokens.codes.find(tx, code)
    assert stored is not None
    world.tokens.codes.claim(tx, origin, stored)
    tx.rollback()
    claim(world, origin, code)


def test_of_two_that_found_the_code_unused_one_claims_it(world: World, origin: Origin) -> None:
    code = issue(world, origin)
    first, second = world.tokens.transaction(), world.tokens.transaction()
    found = [world.tokens.codes.find(tx, code) for tx in (first, second)]
    assert all(stored is not None and stored.used_at is None for stored in found)
    world.tokens.codes.claim(first, origin, found[0])  # type: ignore[arg-type]
    first.commit()
    with pytest.raises(OAuthError, match="invalid_grant"):
        world.tokens.codes.claim(second, origin, found[1])  # type: ignore[arg-type]
    second.commit()


def test_of_many_at_the_same_moment_one_claims_the_code(world: World, origin: Origin) -> None:
    code, together = issue(world, origin), threading.Barrier(6)
    results: list[str] = []

    def redeem() -> None:
        together.wait(HANG_SECONDS)
        try:
            claim(world, origin, code)
            results.append("claimed")
        except OAuthError as error:
            results.append(error.error)

    threads = [threading.Thread(target=redeem) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_SECONDS)
    assert sorted(results) == ["claimed", *["invalid_grant"] * 5]


def test_used_codes_are_kept_for_a_day_and_purged_in_batches(world: World, origin: Origin) -> None:
    codes = [issue(world, origin) for _ in range(3)]
    claim(world, origin, codes[0])
    over = later(origin, CODE_SECONDS + 86400)
    with world.tokens.transaction() as tx:
        purge = world.tokens.codes.purge
        assert purge(tx, later(over, -0.001).now) == 0
        assert purge(tx, over.now, limit=2) == 2
        assert purge(tx, over.now, limit=2) == 1
        assert purge(tx, over.now) == 0
    assert world.tokens.rows(AuthorizationCode) == []


def store(world: World, origin: Origin, browser: str) -> str:
    with world.tokens.transaction() as tx:
        return world.tokens.requests.store(
            tx,
            origin.now,
            client_row_id=world.client.id,
            browser=browser,
            parameters={"redirect_uri": "https://app.example/cb", "state": "한글 %20", "scope": ["openid"]},
        )


def test_a_waiting_request_is_found_in_its_browser_alone(world: World, origin: Origin) -> None:
    browser, other = new_secret("browser"), new_secret("browser")
    handle = store(world, origin, browser)
    with world.tokens.transaction() as tx:
        found = world.tokens.requests.find(tx, origin.now, handle, browser)
        assert found is not None
        assert found.parameters == {"redirect_uri": "https://app.example/cb", "state": "한글 %20", "scope": ["openid"]}
        assert (found.client_row_id, found.created_at, found.consented_session_id) == (
            world.client.id,
            origin.now,
            None,
        )
        for wrong in (other, "", browser.lower()):
            assert world.tokens.requests.find(tx, origin.now, handle, wrong) is None


def test_the_database_holds_neither_handle_nor_browser(world: World, origin: Origin) -> None:
    browser = new_secret("browser")
    handle = store(world, origin, browser)
    (row,) = world.tokens.rows(AuthorizationRequest)
    assert not any(secret in str(value) for secret in (handle, browser) for value in row.values())


@pytest.mark.parametrize("seconds, is_found", [(REQUEST_SECONDS - 0.001, True), (REQUEST_SECONDS, False)])
def test_a_request_waits_until_it_expires(world: World, origin: Origin, seconds: float, is_found: bool) -> None:
    browser = new_secret("browser")
    handle = store(world, origin, browser)
    with world.tokens.transaction() as tx:
        found = world.tokens.requests.find(tx, later(origin, seconds).now, handle, browser)
    assert (found is not None) is is_found


def test_a_request_is_used_up_by_one_and_can_be_consented_to_no_more(world: World, origin: Origin) -> None:
    browser = new_secret("browser")
    handle, untouched = store(world, origin, browser), store(world, origin, browser)
    requests = world.tokens.requests
    with world.tokens.transaction() as tx:
        assert requests.mark_consented(tx, origin.now, handle, "01900000-0000-7000-8000-00000000000a", "d" * 64)
        found = requests.find(tx, origin.now, handle, browser)
        assert found is not None
        assert found.consented_session_id == "01900000-0000-7000-8000-00000000000a"
        assert found.consented_digest == "d" * 64
        assert requests.consume(tx, origin.now, handle)
        assert not requests.consume(tx, origin.now, handle)
        assert not requests.mark_consented(tx, origin.now, handle, "01900000-0000-7000-8000-00000000000b", "e" * 64)
        assert requests.find(tx, origin.now, handle, browser) is None
        other = requests.find(tx, origin.now, untouched, browser)
        assert other is not None
        assert other.consented_session_id is None
        assert not requests.consume(tx, origin.now, new_secret("request"))


def test_requests_are_purged_once_they_expired(world: World, origin: Origin) -> None:
    store(world, origin, new_secret("browser"))
    with world.tokens.transaction() as tx:
        assert world.tokens.requests.purge(tx, later(origin, REQUEST_SECONDS - 1).now) == 0
        assert world.tokens.requests.purge(tx, later(origin, REQUEST_SECONDS).now) == 1
