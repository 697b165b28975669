"""Resource indicators (RFC 8707 §2): what one is, and which spellings mean the same."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provider.protocol.errors import OAuthError
from provider.protocol.resources import MAX_CHARACTERS, canonical_resource, loose_resource, single_resource


@pytest.mark.parametrize(
    "spelling, expected",
    [
        ("https://api.example", "https://api.example"),
        ("https://api.example/", "https://api.example"),
        ("HTTPS://API.Example/", "https://api.example"),
        ("https://api.example:8443/", "https://api.example:8443"),
        ("https://api.example/mcp", "https://api.example/mcp"),
        ("https://API.example/MCP", "https://api.example/MCP"),
        ("https://api.example/mcp/", "https://api.example/mcp/"),
        ("https://api.example?a=B", "https://api.example?a=B"),
        ("https://api.example/?a", "https://api.example/?a"),
        ("http://[2001:DB8::1]/x", "http://[2001:db8::1]/x"),
        ("http://localhost:9000/mcp", "http://localhost:9000/mcp"),
        ("urn:example:api", "urn:example:api"),
        ("URN:example:API", "urn:example:API"),
        ("api://Default", "api://default"),
    ],
)
def test_scheme_and_host_are_compared_without_case_and_a_bare_origin_without_its_slash(
    spelling: str, expected: str
) -> None:
    assert canonical_resource(spelling) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.example",
        "/mcp",
        "//api.example/mcp",
        "https://api.example/#",
        "https://api.example/#x",
        "urn:",
        "1http://api.example",
        "https://",
        "https:///mcp",
        "https:api.example",
        "https://user@api.example/",
        "https://@api.example/",
        "https://user:pass@api.example/",
        "https://api.example:port/",
        "https://api.example:99999/",
        "https://[::1/",
        "https://api.example/a b",
        "https://api.example/\n",
        "https://api.example\n",
        "https://api.example/\x00",
        "https://앱.example/",
        'https://api.example/"',
        "https://api.example/\\",
        "https://api.example/<x>",
        "https://api.example/%zz",
        "https://api.example/" + "a" * MAX_CHARACTERS,
    ],
)
def test_what_is_no_absolute_uri_without_a_fragment_is_refused(text: str) -> None:
    with pytest.raises(OAuthError) as refusal:
        canonical_resource(text)
    assert refusal.value.error == "invalid_target"


@given(st.one_of(st.text(max_size=60), st.text("htps:/.@[]%2fAz?&=", max_size=30).map("https://".__add__)))
@example("a:////b")
@example("https://[")
@example("http://a/")
def test_any_text_is_a_resource_or_an_oauth_error(text: str) -> None:
    try:
        canonical = canonical_resource(text)
    except OAuthError:
        return
    assert canonical_resource(canonical) == canonical


def test_a_request_names_one_resource_or_none() -> None:
    assert single_resource([]) is None
    assert single_resource(["https://api.example/mcp"]) == "https://api.example/mcp"


def test_the_same_resource_in_two_spellings_is_one() -> None:
    assert single_resource(["https://API.example/", "https://api.example"]) in {
        "https://API.example/",
        "https://api.example",
    }


def test_two_resources_are_refused() -> None:
    with pytest.raises(OAuthError) as refusal:
        single_resource(["https://a.example/", "https://b.example/"])
    assert refusal.value.error == "invalid_target"


@pytest.mark.parametrize(
    "uri", ["urn:example:api/", "api://default/x/", "ftp://api.example:21/x/", "https://api.example:4433"]
)
def test_nothing_is_left_out_where_it_says_something(uri: str) -> None:
    assert loose_resource(uri) == canonical_resource(uri) == uri
