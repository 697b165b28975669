"""Blanks around what a request says, at both doors and on pages: a blank and a tab go, everything else is another value."""

from __future__ import annotations

import pytest

from tests.endpoints.provider import Provider
from tests.endpoints.wsgi import FORM, encoded

FOREIGN = ["\xa0", "\x85", "\x0b", "\x1c", "\xc2\xa0", "\xe2\x80\x83"]
ALLOWED = ["", " ", "\t", " \t"]
BLANKS = [*((blank, False) for blank in FOREIGN), *((blank, True) for blank in ALLOWED)]


def is_signed_in(provider: Provider, cookie: str) -> set[bool]:
    """What a page and the authorization endpoint think of a browser that sends this."""
    headers = {"Cookie": cookie}
    page = provider.get("/account", headers)
    assert page.status in (200, 303)
    client = provider.client(is_trusted=True)
    query = {"client_id": client.client_id, "response_type": "code", "prompt": "none", "scope": "openid"}
    query |= {
        "redirect_uri": client.client.redirect_uris[0],
        "code_challenge": "x" * 43,
        "code_challenge_method": "S256",
    }
    answer = provider.get(f"{provider.path}/authorize", headers, query=encoded(query).decode())
    assert answer.status == 303
    return {page.status == 200, "code=" in answer.location}


@pytest.mark.parametrize("blank, is_ours", BLANKS, ids=ascii)
def test_only_a_cookie_of_just_our_name_is_ours(provider: Provider, blank: str, is_ours: bool) -> None:
    value, _session = provider.session(provider.user())
    ours = provider.session_cookie(value)["Cookie"]
    name = ours.partition("=")[0]
    assert is_signed_in(provider, f"{blank}{ours}") == {is_ours}
    assert is_signed_in(provider, f"city=x;{blank}{name}{blank}={value}") == {is_ours}
    decoy = f"{blank}{name}=mcp_session_nothing; {ours}"
    assert is_signed_in(provider, decoy) == {not is_ours}, "the first of our name counts, and this is none"


@pytest.mark.parametrize("blank, is_read", BLANKS, ids=ascii)
def test_a_form_and_a_credential_are_read_alike(provider: Provider, blank: str, is_read: bool) -> None:
    client = provider.client()
    token = provider.tokens(provider.user(), client)["access_token"]
    basic = client.authorization["Authorization"].partition(" ")[2]
    body = encoded({"token": token})

    def status(authorization: str, content_type: str = FORM) -> int:
        headers = {"Authorization": authorization, "Content-Type": content_type}
        return provider.send("POST", f"{provider.path}/introspect", body=body, headers=headers).status

    assert status(f"{blank}Basic {blank}{basic}{blank}") == (200 if is_read else 401)
    assert status(f"Basic {basic}", f"{blank}{FORM}{blank}; charset=utf-8") == (200 if is_read else 400)
    bearer = provider.get(f"{provider.path}/userinfo", {"Authorization": f"{blank}Bearer {blank}{token}{blank}"})
    assert bearer.status == (200 if is_read else 401)
