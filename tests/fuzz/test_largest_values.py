"""The largest values that the rules let through, and the widest letters: every database has room for what is accepted."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import Engine, select

from database.models import User
from database.transaction import Transaction
from provider.protocol.sizes import MAX_KEPT_BYTES, kept_bytes
from provider.security.crypto import Keyring
from tests.fuzz.expectations import check
from tests.fuzz.world import FORM, NATIVE_CALLBACK, OWN_ORIGIN, Answer, Sent, World, form, post

WIDE = {"emoji": "😀", "control": "\x01", "hangul": "각", "letter": "s"}
DECOMPOSED = "\u1100\u1161\u11a8"  # one syllable, three code points, nine bytes


@pytest.fixture
def furnished(engine: Engine, keyring: Keyring) -> World:
    return World(engine, keyring)


def asked(world: World, sent: Sent, *may_go_to: str) -> Answer:
    answer = world.through("wsgi", sent)
    check(answer, sent, may_go_to=may_go_to)
    return answer


@pytest.mark.parametrize("letter", WIDE.values(), ids=WIDE)
def test_a_request_with_the_longest_parameters_is_kept_and_answered(furnished: World, letter: str) -> None:
    fields = furnished.authorization_request("web")
    longest = {"id_token_hint": 8192, "state": 4096, "nonce": 4096, "login_hint": 255}
    room = MAX_KEPT_BYTES - 1024  # what is kept of a request, without the parameters that stay short
    for name, length in longest.items():
        count = min(length // len(letter.encode()), room // (kept_bytes(letter) - 2))
        room -= count * (kept_bytes(letter) - 2)
        fields[name] = letter * count
    stored = asked(furnished, post("/oauth/authorize", fields, furnished.signed_in))
    assert stored.status == 303
    browser = re.search(r"mcp_browser_8000=([^;]+)", stored.get("Set-Cookie"))
    assert browser
    cookie = f"mcp_session_8000={furnished.tokens['session']}; mcp_browser_8000={browser[1]}"
    shown = asked(furnished, Sent("GET", stored.get("Location"), headers=[("Cookie", cookie)]))
    assert shown.get("Location").startswith("/login?request=")  # the hint names nobody who is signed in


@pytest.mark.parametrize("letter", WIDE.values(), ids=WIDE)
def test_the_longest_nonce_is_kept_with_the_code(furnished: World, letter: str) -> None:
    longest = min(4096 // len(letter.encode()), (MAX_KEPT_BYTES - 1024) // (kept_bytes(letter) - 2))
    fields = {**furnished.authorization_request("web"), "nonce": letter * longest, "state": "s"}
    stored = asked(furnished, post("/oauth/authorize", fields, furnished.signed_in))
    assert stored.status == 303
    browser = re.search(r"mcp_browser_8000=([^;]+)", stored.get("Set-Cookie"))
    assert browser
    cookie = f"mcp_session_8000={furnished.tokens['session']}; mcp_browser_8000={browser[1]}"
    callback = furnished.clients["web"].redirect_uris[0]
    answered = asked(furnished, Sent("GET", stored.get("Location"), headers=[("Cookie", cookie)]), callback)
    assert "code=" in answered.get("Location")


@pytest.mark.parametrize("letter", WIDE.values(), ids=WIDE)
def test_the_longest_names_are_refused_and_recorded(furnished: World, letter: str) -> None:
    claimed = letter * 2500
    agent = [("User-Agent", "\xe9" * 5000), ("X-Forwarded-For", "9" * 5000)]
    sent = Sent(
        "POST",
        "/oauth/token",
        headers=[("Content-Type", FORM), *agent],
        body=form({"grant_type": "client_credentials", "client_id": claimed, "client_secret": claimed[:2000]}),
    )
    assert asked(furnished, sent).status == 401
    assert asked(furnished, post("/oauth/revoke", {"token": claimed}, furnished.basic("web"))).status == 200
    assert asked(furnished, post("/oauth/introspect", {"token": claimed}, furnished.basic("web"))).status == 200


def page_form(world: World, path: str, fields: dict[str, str], cookies: str) -> Answer:
    shown = world.through("asynchronous", Sent("GET", path, headers=[("Cookie", cookies)]))
    proof = re.search(r'name="csrf_token" value="([^"]+)"', shown.body.decode())
    browser = re.search(r"mcp_browser_8000=([^;]+)", shown.get("Set-Cookie"))
    assert proof, shown
    assert browser, shown
    headers = [("Content-Type", FORM), ("Origin", OWN_ORIGIN), ("Cookie", f"{cookies}; mcp_browser_8000={browser[1]}")]
    sent = Sent(
        "POST", path, headers=[*headers, ("User-Agent", "\xff" * 600)], body=form({**fields, "csrf_token": proof[1]})
    )
    answer = world.through("asynchronous", sent)
    check(answer, sent)
    return answer


@pytest.mark.parametrize("letter", WIDE.values(), ids=WIDE)
def test_the_longest_fields_of_pages_find_room(furnished: World, letter: str) -> None:
    session = f"mcp_session_8000={furnished.tokens['session']}"
    made = page_form(furnished, "/account/api-keys/new", {"name": letter * 64, "days": "never"}, session)
    assert made.status in (303, 400)
    assert (made.status == 303) == letter.isprintable()
    refused = page_form(furnished, "/login", {"username": letter * 2600, "password": letter * 2600}, "x=y")
    assert refused.status == 400


def test_an_address_in_decomposed_letters_finds_room(engine: Engine, keyring: Keyring) -> None:
    """What is typed on some systems has three code points for a syllable: longer than the column, until it is composed."""
    world = World(engine, keyring)
    with Transaction(engine) as tx:
        made = world.services.users.create(
            tx,
            world.origin,
            username=DECOMPOSED * 20,
            email=f"{DECOMPOSED * 20}@{DECOMPOSED * 30}.{DECOMPOSED * 30}",
            password_hash=None,
        )
        stored = tx.execute(select(User.email, User.email_canonical).where(User.id == made.id)).one()
    assert stored.email == stored.email_canonical == f"{'각' * 20}@{'각' * 30}.{'각' * 30}"


def test_the_callback_of_an_application_on_this_device_may_have_any_port(furnished: World) -> None:
    for port in ("1", "65535"):
        uri = NATIVE_CALLBACK.replace("127.0.0.1", f"127.0.0.1:{port}")
        fields = {**furnished.authorization_request("native"), "redirect_uri": uri}
        assert asked(furnished, post("/oauth/authorize", fields)).status == 303
