"""Request objects (RFC 9101 §4, §5, §6; OpenID Connect Core §6.1): what becomes of their claims."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.protocol.errors import OAuthError
from provider.protocol.messages import Parameters
from provider.protocol.request_objects import parameters_of

ISSUER, NOW, SKEW = "https://id.example/oauth", 1_800_000_000, 30
GOOD: dict[str, Any] = {
    "iss": "app_1",
    "aud": ISSUER,
    "client_id": "app_1",
    "response_type": "code",
    "redirect_uri": "https://app.example/callback",
    "state": "글 +%25&\n",
}


def read(**changes: Any) -> Parameters:
    claims = {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}
    return parameters_of(claims, client_id="app_1", issuer=ISSUER, now=NOW, skew_seconds=SKEW)


def test_its_claims_are_the_parameters_and_the_jwts_own_are_none() -> None:
    found = read(exp=NOW + 60, nbf=NOW, iat=NOW, jti="1", sub="somebody").as_dict()
    assert found == {
        "client_id": ["app_1"],
        "response_type": ["code"],
        "redirect_uri": ["https://app.example/callback"],
        "state": ["글 +%25&\n"],
    }


FORMS: list[tuple[str, Any, list[str]]] = [
    ("scope", "openid profile", ["openid profile"]),
    ("scope", "", [""]),
    ("scope", None, []),
    ("max_age", 0, ["0"]),
    ("max_age", 3600, ["3600"]),
    ("max_age", -5, ["-5"]),
    ("max_age", "3600", ["3600"]),
    ("claims", {"id_token": {"acr": None}}, ['{"id_token": {"acr": null}}']),
    ("claims", '{"userinfo":{}}', ['{"userinfo":{}}']),
    ("claims", {}, ["{}"]),
    ("resource", "https://api.example", ["https://api.example"]),
    ("resource", ["https://a.example", "https://b.example"], ["https://a.example", "https://b.example"]),
    ("resource", [], []),
    ("unheard_of", "text", ["text"]),
    ("unheard_of", {"a": 1}, []),
    ("unheard_of", ["a"], []),
    ("unheard_of", True, []),
    ("registration", {"client_name": "x"}, []),
]


@pytest.mark.parametrize("name, value, texts", FORMS, ids=[f"{row[0]}={row[1]}"[:40] for row in FORMS])
def test_each_parameter_is_read_as_it_would_be_written(name: str, value: Any, texts: list[str]) -> None:
    assert read(**{name: value}).as_dict().get(name, []) == texts


MISSHAPEN: list[tuple[str, Any]] = [
    ("scope", ["openid"]),
    ("scope", 5),
    ("prompt", ["none"]),
    ("prompt", True),
    ("state", 5),
    ("nonce", {}),
    ("redirect_uri", ["https://app.example/callback"]),
    ("response_type", ["code"]),
    ("response_mode", 1),
    ("code_challenge", ["x"]),
    ("code_challenge_method", False),
    ("max_age", True),
    ("max_age", 1.5),
    ("max_age", [1]),
    ("max_age", {}),
    ("claims", ["id_token"]),
    ("claims", 5),
    ("resource", 5),
    ("resource", [5]),
    ("resource", ["https://a.example", None]),
    ("acr_values", ["a"]),
    ("login_hint", 5),
    ("ui_locales", ["en"]),
    ("id_token_hint", {}),
    ("state", "a\x00b"),
    ("redirect_uri", "https://app.example/\x00"),
]


@pytest.mark.parametrize("name, value", MISSHAPEN, ids=[f"{row[0]}={row[1]}"[:40] for row in MISSHAPEN])
def test_a_parameter_of_another_form_is_refused_instead_of_left_out(name: str, value: Any) -> None:
    """``prompt`` in a list would be a request that asks for less than its client signed."""
    with pytest.raises(OAuthError) as refusal:
        read(**{name: value})
    assert refusal.value.error == "invalid_request_object"


RIGHT: list[tuple[str, dict[str, Any]]] = [
    ("no iss", {"iss": ...}),
    ("no aud", {"aud": ...}),
    ("no client_id", {"client_id": ...}),
    ("none of them", {"iss": ..., "aud": ..., "client_id": ...}),
    ("several audiences", {"aud": ["https://other.example", ISSUER]}),
    ("just not over", {"exp": NOW - SKEW + 1}),
    ("far ahead", {"exp": NOW + 10**6}),
    ("valid soon", {"nbf": NOW + 8}),
    ("as far ahead as clocks may differ", {"nbf": NOW + SKEW, "iat": NOW + SKEW}),
    ("parts", {"exp": NOW + 0.5}),
    ("another sub", {"sub": "app_2"}),
]
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("another iss", {"iss": "app_2"}),
    ("an iss that is a list", {"iss": ["app_1"]}),
    ("an iss of null", {"iss": None}),
    ("another client", {"client_id": "app_2"}),
    ("a client_id that is a list", {"client_id": ["app_1"]}),
    ("a client's assertion", {"sub": "app_1"}),
    ("another server", {"aud": "https://other.example"}),
    ("a slash behind", {"aud": ISSUER + "/"}),
    ("the token endpoint", {"aud": ISSUER + "/token"}),
    ("no audience", {"aud": []}),
    ("an aud of null", {"aud": None}),
    ("an aud that is a number", {"aud": 5}),
    ("an object in it", {"request": "x"}),
    ("an address in it", {"request_uri": "https://app.example/r"}),
    ("an address of nothing", {"request_uri": None}),
    ("over", {"exp": NOW - SKEW}),
    ("long over", {"exp": 0}),
    ("an exp that is text", {"exp": str(NOW + 60)}),
    ("an exp that is true", {"exp": True}),
    ("an exp of null", {"exp": None}),
    ("not yet valid", {"nbf": NOW + SKEW + 1}),
    ("an nbf that is a list", {"nbf": [NOW]}),
    ("from the future", {"iat": NOW + 3600}),
]


@pytest.mark.parametrize("case, changes", RIGHT, ids=[row[0] for row in RIGHT])
def test_an_object_for_us_and_for_now_is_read(case: str, changes: dict[str, Any]) -> None:
    assert read(**changes).get("client_id") == "app_1"


@pytest.mark.parametrize("case, changes", WRONG, ids=[row[0] for row in WRONG])
def test_an_object_with_one_thing_wrong_is_refused(case: str, changes: dict[str, Any]) -> None:
    with pytest.raises(OAuthError) as refusal:
        read(**changes)
    assert refusal.value.error == "invalid_request_object"
    assert refusal.value.description


@given(
    st.dictionaries(
        st.text(max_size=12),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=9),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        ),
    )
)
def test_whatever_it_holds_becomes_text_or_a_refusal(more: dict[str, Any]) -> None:
    try:
        found = parameters_of({**more, **GOOD}, client_id="app_1", issuer=ISSUER, now=NOW, skew_seconds=SKEW)
    except OAuthError as error:
        assert error.error == "invalid_request_object"  # noqa: PT017 - the other branch is right as well
    else:
        assert all(isinstance(text, str) for values in found.as_dict().values() for text in values)
        assert json.dumps(found.as_dict())
        assert found.get("client_id") == "app_1"
