"""Scope syntax, and cutting a request down to what can be granted (RFC 6749 §3.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.protocol.errors import OAuthError
from provider.protocol.scopes import (
    MAX_SCOPE_CHARACTERS,
    checked_scope,
    grantable_scope,
    narrowed_scope,
    parse_scope,
)


@pytest.mark.parametrize(
    "text, expected",
    [
        (None, ()),
        ("", ()),
        ("   ", ()),
        ("openid", ("openid",)),
        ("openid email", ("openid", "email")),
        ("email openid", ("email", "openid")),
        ("openid openid email openid", ("openid", "email")),
        (" openid  email ", ("openid", "email")),
        ("mcp:read https://api.example/x!#$%&'()*+,-./:;<=>?@[]^_`{|}~", (
            "mcp:read", "https://api.example/x!#$%&'()*+,-./:;<=>?@[]^_`{|}~",
        )),
        ("Openid", ("Openid",)),
    ],
)  # fmt: skip
def test_scope_tokens_are_read_in_order_and_each_once(text: str | None, expected: tuple[str, ...]) -> None:
    assert parse_scope(text) == expected


@pytest.mark.parametrize(
    "text",
    ['a"b', "a\\b", "a\tb", "a\nb", "a\x00", "\x7f", "읽기", "a\u00a0b", "x" * (MAX_SCOPE_CHARACTERS + 1), "a " * 3000],
)
def test_other_characters_are_no_scope(text: str) -> None:
    with pytest.raises(OAuthError) as refusal:
        parse_scope(text)
    assert refusal.value.error == "invalid_scope"


@pytest.mark.parametrize("tokens", [("a b",), ("",), ('"',), ("a", "읽기"), tuple(f"s{n}" for n in range(2000))])
def test_a_list_of_scopes_is_held_to_the_same_rule(tokens: tuple[str, ...]) -> None:
    with pytest.raises(OAuthError):
        checked_scope(tokens)


@given(st.text(max_size=100))
def test_any_text_is_a_scope_or_an_oauth_error(text: str) -> None:
    try:
        scope = parse_scope(text)
    except OAuthError:
        return
    assert parse_scope(" ".join(scope)) == scope == checked_scope(scope)


def test_what_cannot_be_granted_is_left_out() -> None:
    assert grantable_scope(("a", "x", "b"), default=("d",), allowed=("a", "b", "c")) == ("a", "b")


def test_a_repeated_scope_is_granted_once() -> None:
    assert grantable_scope(("b", "a", "b"), default=(), allowed=("a", "b")) == ("b", "a")


def test_a_request_of_which_nothing_is_left_is_refused() -> None:
    with pytest.raises(OAuthError) as refusal:
        grantable_scope(("x", "y"), default=("a",), allowed=("a",))
    assert refusal.value.error == "invalid_scope"


def test_who_asks_for_nothing_gets_the_default_as_far_as_it_is_allowed() -> None:
    assert grantable_scope((), default=("a", "x"), allowed=("a", "b")) == ("a",)


def test_who_asks_for_nothing_is_not_refused() -> None:
    assert grantable_scope((), default=("x",), allowed=("a",)) == ()


def test_scopes_differ_by_case() -> None:
    with pytest.raises(OAuthError):
        grantable_scope(("Read",), default=(), allowed=("read",))


@given(st.lists(st.sampled_from("abcdef")), st.lists(st.sampled_from("abcdef")), st.sets(st.sampled_from("abcdef")))
def test_nothing_is_granted_that_is_not_both_wanted_and_allowed(
    requested: list[str], default: list[str], allowed: set[str]
) -> None:
    try:
        granted = grantable_scope(requested, default=default, allowed=allowed)
    except OAuthError:
        assert requested
        assert not set(requested) & allowed
    else:
        assert set(granted) == set(requested or default) & allowed
        assert len(set(granted)) == len(granted)


def test_a_refresh_may_ask_for_less() -> None:
    assert narrowed_scope(("b",), ("a", "b")) == ("b",)
    assert narrowed_scope(("b", "a", "b"), ("a", "b")) == ("b", "a")


def test_a_refresh_that_asks_for_nothing_gets_all_that_was_granted() -> None:
    assert narrowed_scope((), ("a", "b")) == ("a", "b")


def test_a_refresh_may_not_ask_for_more() -> None:
    with pytest.raises(OAuthError) as refusal:
        narrowed_scope(("a", "c"), ("a", "b"))
    assert refusal.value.error == "invalid_scope"
