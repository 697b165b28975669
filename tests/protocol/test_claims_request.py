"""The ``claims`` parameter (OpenID Connect Core §5.5)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.protocol.claims_request import MAX_BYTES, ClaimsRequest, parse_claims_request
from provider.protocol.errors import OAuthError

READ: list[tuple[str, Any, ClaimsRequest]] = [
    ("nothing", {}, ClaimsRequest()),
    ("empty members", {"userinfo": {}, "id_token": {}}, ClaimsRequest()),
    ("members of null", {"userinfo": None, "id_token": None}, ClaimsRequest()),
    ("other members", {"verified_claims": {"a": 1}, "x": []}, ClaimsRequest()),
    ("by null", {"userinfo": {"name": None}}, ClaimsRequest(userinfo=("name",))),
    ("by an object", {"id_token": {"email": {}}}, ClaimsRequest(id_token=("email",))),
    ("essential", {"userinfo": {"email": {"essential": True}}}, ClaimsRequest(userinfo=("email",))),
    ("with a value", {"userinfo": {"locale": {"value": "ko"}}}, ClaimsRequest(userinfo=("locale",))),
    ("with values of any kind", {"userinfo": {"name": {"values": [1, None]}}}, ClaimsRequest(userinfo=("name",))),
    ("with words that nobody knows", {"userinfo": {"name": {"purpose": "x"}}}, ClaimsRequest(userinfo=("name",))),
    (
        "in both places",
        {"userinfo": {"name": None, "email": None}, "id_token": {"name": None}},
        ClaimsRequest(userinfo=("name", "email"), id_token=("name",)),
    ),
    ("in any language", {"userinfo": {"name#ko": None, "이름": None}}, ClaimsRequest()),
    ("unknown ones", {"userinfo": {"shoe_size": None, "name": None, "": None}}, ClaimsRequest(userinfo=("name",))),
    (
        "those of the protocol",
        {"id_token": {"iss": None, "aud": None, "auth_time": {"essential": True}, "exp": None}},
        ClaimsRequest(),
    ),
    ("the person", {"id_token": {"sub": {"value": "s1"}}}, ClaimsRequest(subject="s1")),
    ("the person, of one", {"id_token": {"sub": {"values": ["s1"]}}}, ClaimsRequest(subject="s1")),
    ("the person, at userinfo", {"userinfo": {"sub": {"value": "s1"}}}, ClaimsRequest(subject="s1")),
    (
        "the person, in both places",
        {"userinfo": {"sub": {"value": "s1"}}, "id_token": {"sub": {"value": "s1"}}},
        ClaimsRequest(subject="s1"),
    ),
    ("any person", {"id_token": {"sub": None}, "userinfo": {"sub": {"essential": True}}}, ClaimsRequest()),
    (
        "a level that must be",
        {"id_token": {"acr": {"essential": True, "values": ["a", "b"]}}},
        ClaimsRequest(acr=("a", "b")),
    ),
    ("one level that must be", {"id_token": {"acr": {"essential": True, "value": "a"}}}, ClaimsRequest(acr=("a",))),
    ("a level that may be", {"id_token": {"acr": {"values": ["a"]}}}, ClaimsRequest()),
    ("a level that may be, said so", {"id_token": {"acr": {"essential": False, "value": "a"}}}, ClaimsRequest()),
    ("any level", {"id_token": {"acr": {"essential": True}}}, ClaimsRequest()),
    ("any level, by null", {"id_token": {"acr": None}}, ClaimsRequest()),
    ("a level at userinfo, where none is", {"userinfo": {"acr": {"essential": True, "value": "a"}}}, ClaimsRequest()),
]


@pytest.mark.parametrize("case, value, expected", READ, ids=[row[0] for row in READ])
def test_what_is_asked_for_is_understood(case: str, value: Any, expected: ClaimsRequest) -> None:
    asked = parse_claims_request(json.dumps(value))
    assert asked == expected
    assert ClaimsRequest.from_dict(json.loads(json.dumps(asked.to_dict()))) == asked
    assert parse_claims_request(json.dumps(value, ensure_ascii=False)) == asked


REFUSED: list[tuple[str, Any]] = [
    ("a list", []),
    ("text", "userinfo"),
    ("null", None),
    ("a number", 5),
    ("a member that is a list", {"userinfo": ["name"]}),
    ("a member that is text", {"id_token": "name"}),
    ("a member that is true", {"id_token": True}),
    ("a claim that is true", {"userinfo": {"name": True}}),
    ("a claim that is text", {"userinfo": {"name": "essential"}}),
    ("a claim that is a list", {"id_token": {"sub": ["s1"]}}),
    ("two persons", {"id_token": {"sub": {"values": ["s1", "s2"]}}}),
    ("two persons in two places", {"id_token": {"sub": {"value": "s1"}}, "userinfo": {"sub": {"value": "s2"}}}),
    ("a person that is a number", {"id_token": {"sub": {"value": 5}}}),
    ("a person of null", {"id_token": {"sub": {"value": None}}}),
    ("persons that are text", {"id_token": {"sub": {"values": "s1"}}}),
    ("a level that is a number", {"id_token": {"acr": {"essential": True, "value": 2}}}),
    ("levels that are an object", {"id_token": {"acr": {"essential": True, "values": {"a": 1}}}}),
]


@pytest.mark.parametrize("case, value", REFUSED, ids=[row[0] for row in REFUSED])
def test_what_openid_connect_does_not_allow_is_refused(case: str, value: Any) -> None:
    with pytest.raises(OAuthError) as refusal:
        parse_claims_request(json.dumps(value))
    assert refusal.value.error == "invalid_request"


DEEP = '{"userinfo":{"name":' + '{"a":' * 20 + "1" + "}" * 20 + "}}"
BROKEN = [
    "",
    " ",
    "{",
    "{}x",
    "'{}'",
    '{"userinfo":{"name":NaN}}',
    '{"a":1,"a":2}',
    '{"userinfo":"\\ud800"}',
    DEEP,
    "[" * 5000,
    "\ufeff{}",
    json.dumps({"userinfo": {"x" * MAX_BYTES: None}}),
]


@pytest.mark.parametrize("text", BROKEN, ids=[text[:20] for text in BROKEN])
def test_what_is_no_sound_json_is_refused_in_the_words_of_the_parameter(text: str) -> None:
    with pytest.raises(OAuthError) as refusal:
        parse_claims_request(text)
    assert (refusal.value.error, refusal.value.description) == ("invalid_request", "claims must be a JSON object.")


def test_without_the_parameter_nothing_is_asked_for() -> None:
    assert parse_claims_request(None) == ClaimsRequest() == ClaimsRequest.from_dict(None) == ClaimsRequest.from_dict({})
    assert ClaimsRequest().to_dict() == {}


@pytest.mark.parametrize(
    "asked, scope",
    [
        (ClaimsRequest(), ()),
        (ClaimsRequest(userinfo=("name",)), ("profile",)),
        (ClaimsRequest(id_token=("email",)), ("email",)),
        (ClaimsRequest(userinfo=("email_verified", "locale")), ("profile", "email")),
        (ClaimsRequest(subject="s"), ()),
    ],
)
def test_people_are_told_of_single_claims_in_the_words_of_their_scope(
    asked: ClaimsRequest, scope: tuple[str, ...]
) -> None:
    assert asked.scope == scope


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.floats(allow_nan=False),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["userinfo", "id_token", "sub", "acr", "name", "essential", "value", "values", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
def test_whatever_is_asked_is_understood_or_refused(value: Any) -> None:
    try:
        asked = parse_claims_request(json.dumps(value))
    except OAuthError as error:
        assert error.error == "invalid_request"  # noqa: PT017 - the other branch is right as well
    else:
        assert ClaimsRequest.from_dict(json.loads(json.dumps(asked.to_dict()))) == asked
