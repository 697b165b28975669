"""Header fields are read by ASCII's rules alone: what only Unicode calls a blank or a letter's other case is neither."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.protocol.errors import OAuthError
from provider.protocol.headers import cookies, credentials, media_type
from provider.protocol.request_rules import _prompt, _words
from provider.protocol.scopes import parse_scope

# What str.strip() takes away besides a blank and a tab, as WSGI hands bytes on (PEP 3333), and beyond.
FOREIGN_BLANKS = ["\xa0", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x1f", "\n", "\r", "\u2003", "\u3000"]


@pytest.mark.parametrize("blank", FOREIGN_BLANKS, ids=ascii)
def test_what_is_a_blank_to_unicode_alone_is_a_part_of_the_value(blank: str) -> None:
    name = "__Host-mcp_session"
    for sent in (f"{blank}{name}=x", f"{name}{blank}=x", f"a=1;{blank}{name}=x", f"{blank} {name}=x"):
        assert name not in cookies(sent), sent
    assert cookies(f"{blank}{name}=stolen; {name}=ours")[name] == "ours"
    assert cookies(f"a={blank}x{blank}") == {"a": f"{blank}x{blank}"}
    assert media_type(f"{blank}application/json") != "application/json"
    assert media_type(f"application/json{blank};a=b") != "application/json"
    for sent in (f"{blank}Bearer x", f"Bearer{blank}x", f"Bearer {blank}x", f"Bearer x{blank}"):
        assert credentials(sent) != ("bearer", "x"), sent
    assert _words(f"a{blank}b") == (f"a{blank}b",)
    assert _prompt(f"login{blank}consent") == ()
    with pytest.raises(OAuthError):
        parse_scope(f"openid{blank}profile")


@pytest.mark.parametrize("blank", ["", " ", "\t", "  ", " \t "])
def test_a_blank_and_a_tab_are_taken_away(blank: str) -> None:
    assert cookies(f"{blank}a{blank}={blank}1{blank};{blank}b=2") == {"a": "1", "b": "2"}
    assert media_type(f"{blank}Application/JSON{blank};charset=utf-8") == "application/json"
    assert credentials(f"{blank}BEARER {blank}x{blank}") == ("bearer", "x")


@pytest.mark.parametrize("sent, scheme", [("Bear\u212aer x", "bear\u212aer"), ("BAS\u0130C x", "bas\u0130c")])
def test_a_letter_of_another_script_has_no_lower_case_here(sent: str, scheme: str) -> None:
    assert credentials(sent)[0] not in (scheme, scheme.lower(), "bearker", "basic")
    assert media_type("application/\u212a") == "application/\u212a"


@pytest.mark.parametrize("sent, read", [
    ("", ("", "")), ("Bearer", ("bearer", "")), ("Bearer ", ("bearer", "")), (" x y z", ("x", "y z")),
])  # fmt: skip
def test_a_field_without_credentials_has_none(sent: str, read: tuple[str, str]) -> None:
    assert credentials(sent) == read


@given(st.text(max_size=100))
def test_any_field_is_read(text: str) -> None:
    assert all(name and "=" not in name for name in cookies(text))
    credentials(text)
    media_type(text)
