"""Which redirect URIs may be registered, which requested one matches, and how an answer is added (security A-13 to A-15)."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.protocol.errors import OAuthError
from provider.protocol.redirect_uris import (
    MAX_CHARACTERS,
    add_to_query,
    check_redirect_uri,
    is_loopback,
    is_private_scheme,
    redirect_host,
    redirect_uri_matches,
    redirect_uri_problem,
)

ACCEPTED = [
    ("https://app.example/callback", "web"),
    ("https://app.example", "web"),
    ("https://app.example:8443/callback", "web"),
    ("https://app.example/callback?tenant=7&dummy1=lorem", "web"),
    ("https://app.example?tenant=7", "web"),
    ("https://app.example/a%20b", "web"),
    ("https://[2001:db8::1]/callback", "web"),
    ("https://app.example/callback", "native"),
    ("http://localhost/callback", "native"),
    ("http://localhost:3000/callback", "web"),
    ("http://127.0.0.1:8080/callback?x=1", "native"),
    ("http://127.0.0.1", "native"),
    ("http://[::1]:8080/callback", "native"),
    ("com.example.app:/callback", "native"),
    ("com.example.app://callback", "native"),
    ("com.example.app:callback", "native"),
    # RFC 8252 §8.4 asks for a period and does not demand it: editors and terminals have none
    ("myapp:/callback", "native"),
    ("cursor://anysphere.cursor-mcp/oauth/callback", "native"),
    ("vscode://RooVeterinaryInc.roo-cline/mcp-auth/callback", "native"),
    ("jetbrains://gateway/com.jetbrains.toolbox.mcp/auth", "native"),
    ("warp://mcp/oauth2callback", "native"),
    ("kiro://kiro.oauth/callback", "native"),
    ("https://app.example/" + "a" * (MAX_CHARACTERS - 20), "web"),
]

REFUSED = [
    # RFC 6749 §3.1.2: no fragment, an empty one included
    ("https://app.example/callback#fragment", "web"),
    ("https://app.example/callback#", "web"),
    ("com.example.app:/callback#x", "native"),
    # user information
    ("https://good.example@evil.example/", "web"),
    ("https://user:password@app.example/", "web"),
    ("https://@app.example/", "web"),
    ("http://localhost@evil.example/", "native"),
    ("http://localhost:80@evil.example/", "native"),
    ("com.example.app://user@host/", "native"),
    # wildcards
    ("https://*.app.example/", "web"),
    ("https://app.example/*", "web"),
    ("http://localhost:*/callback", "native"),
    # blanks, control characters, non-ASCII, characters that URIs forbid
    ("", "web"),
    (" https://app.example/", "web"),
    ("https://app.example/a b", "web"),
    ("https://app.example/\n", "web"),
    ("https://app.example/\r\nSet-Cookie: a=b", "web"),
    ("https://app.example/\t", "web"),
    ("https://app.example/\x00", "web"),
    ("https://app.example/\x7f", "web"),
    ("https://앱.example/", "web"),
    ("https://app.example/콜백", "web"),
    ("http://localhost:１２/", "native"),
    ("https://app.example\\@evil.example/", "web"),
    ('https://app.example/"', "web"),
    ("https://app.example/<x>", "web"),
    ("https://app.example/`", "web"),
    ("https://app.example/{a}|^", "web"),
    ("https://app.example/%zz", "web"),
    ("https://app.example/%2", "web"),
    ("https://app.example/[x]", "web"),
    # script-like schemes
    ("javascript:alert(1)", "native"),
    ("javascript://app.example/%0aalert(1)", "native"),
    ("JavaScript:alert(1)", "native"),
    ("data:text/html,x", "native"),
    ("vbscript:x", "native"),
    ("file:///etc/passwd", "native"),
    ("blob:https://app.example/x", "native"),
    ("about:blank", "native"),
    # RFC 8252 §7.1: a private-use scheme is for native applications
    ("myapp:/callback", "web"),
    ("myapp:", "native"),
    ("MyApp://callback", "native"),
    ("my_app://callback", "native"),
    ("c:/callback", "native"),
    ("localhost:3000/callback", "native"),
    ("com.example.app:", "native"),
    ("COM.example.app:/callback", "native"),
    (".example:/callback", "native"),
    ("com..example:/callback", "native"),
    ("com.example.app:/callback", "web"),
    ("urn:ietf:wg:oauth:2.0:oob", "native"),
    # http only to loopback, by exactly these names
    ("http://app.example/callback", "web"),
    ("http://localhost.evil.example/", "native"),
    ("http://localhost./", "native"),
    ("http://LOCALHOST/", "native"),
    ("http://127.0.0.2/", "native"),
    ("http://127.1/", "native"),
    ("http://2130706433/", "native"),
    ("http://0.0.0.0/", "native"),
    ("http://[::]/", "native"),
    ("http://[0:0:0:0:0:0:0:1]/", "native"),
    ("http://192.168.0.1/", "native"),
    # no absolute URI, no host, no port
    ("app.example/callback", "web"),
    ("//app.example/callback", "web"),
    ("/callback", "web"),
    ("https:app.example", "web"),
    ("https:/app.example", "web"),
    ("https://", "web"),
    ("https:///callback", "web"),
    ("https://:443/", "web"),
    ("https://app..example/", "web"),
    ("https://app.example:port/", "web"),
    ("https://app.example:0/", "web"),
    ("https://app.example:65536/", "web"),
    ("https://app.example:443:443/", "web"),
    ("http://localhost:0/", "native"),
    ("http://localhost:99999/", "native"),
    ("https://[::1/", "web"),
    ("https://%61pp.example/", "web"),
    ("HTTPS://app.example/", "web"),
    ("ftp://app.example/", "web"),
    ("wss://app.example/", "native"),
    # an answer's own parameters
    ("https://app.example/?code=1", "web"),
    ("https://app.example/?a=1&state=", "web"),
    ("https://app.example/?iss=x", "web"),
    ("https://app.example/?%65rror=x", "web"),
    # 2000 characters at most
    ("https://app.example/" + "a" * (MAX_CHARACTERS - 19), "web"),
]


TAKEN = [
    *(
        "javascript",
        "data",
        "vbscript",
        "file",
        "blob",
        "about",
        "view-source",
        "view-source+x",
        "filesystem",
        "chrome",
    ),
    *("chrome-extension", "moz-extension", "safari-web-extension", "devtools", "edge", "microsoft-edge", "ws", "wss"),
    *("ftp", "sftp", "mailto", "tel", "sms", "facetime-audio", "intent", "android-app", "market", "itms-services"),
    *("ms-settings", "ms-msdt", "search-ms", "shell", "web+app", "webcal", "ssh", "smb", "ldap", "magnet", "otpauth"),
    *("http", "https", "urn", "localhost", "x"),
]


@pytest.mark.parametrize("scheme", TAKEN)
def test_no_application_has_a_scheme_that_browsers_and_systems_act_on(scheme: str) -> None:
    for uri in (f"{scheme}:x", f"{scheme}:/callback", f"{scheme.upper()}://callback"):
        assert redirect_uri_problem(uri, "native"), uri
        assert not is_private_scheme(uri), uri


@pytest.mark.parametrize("uri, application_type", ACCEPTED)
def test_a_sound_redirect_uri_may_be_registered(uri: str, application_type: str) -> None:
    check_redirect_uri(uri, application_type)


@pytest.mark.parametrize("uri, application_type", REFUSED)
def test_a_dangerous_redirect_uri_may_not_be_registered(uri: str, application_type: str) -> None:
    with pytest.raises(OAuthError) as refusal:
        check_redirect_uri(uri, application_type)
    assert refusal.value.error == "invalid_redirect_uri"


@pytest.mark.parametrize(
    "uri, reason",
    [
        ("https://app.example/#x", "fragment"),
        ("https://*.app.example/", "wildcards"),
        ("https://user@app.example/", "user information"),
        ("https://app.example/a b", "blanks"),
        ("https://app.example/<x>", "forbid"),
        ("http://app.example/", "localhost"),
        ("intent:/callback", "of the application's own"),
        ("https://app.example/?code=1", "code"),
        ("https://app.example/" + "a" * MAX_CHARACTERS, "2000"),
    ],
)
def test_a_refusal_says_what_is_wrong(uri: str, reason: str) -> None:
    assert reason in (redirect_uri_problem(uri, "native") or "")


EXACT = "https://app.example/callback?a=1"


@pytest.mark.parametrize(
    "requested",
    [
        "https://app.example/callback?a=1&b=2",
        "https://app.example/callback?a=2",
        "https://app.example/callback",
        "https://app.example/callback/?a=1",
        "https://app.example/callback?a=1#",
        "https://app.example/callback?a=1 ",
        " https://app.example/callback?a=1",
        "https://app.example/callback?a=1\n",
        "https://app.example/Callback?a=1",
        "https://APP.example/callback?a=1",
        "HTTPS://app.example/callback?a=1",
        "http://app.example/callback?a=1",
        "https://app.example:443/callback?a=1",
        "https://app.example./callback?a=1",
        "https://app.example/./callback?a=1",
        "https://app.example/x/../callback?a=1",
        "https://app.example//callback?a=1",
        "https://app.example/c%61llback?a=1",
        "https://app.example/callback?a=%31",
        "https://app.example/callback?a=1;b=2",
        "https://sub.app.example/callback?a=1",
        "https://app.example@evil.example/callback?a=1",
        "https://app.example\\@evil.example/callback?a=1",
        "https://app.example.evil.example/callback?a=1",
        "https://аpp.example/callback?a=1",  # a Cyrillic letter
        "//app.example/callback?a=1",
        "",
    ],
)
@pytest.mark.parametrize("application_type", ["web", "native"])
def test_a_near_miss_does_not_match(requested: str, application_type: str) -> None:
    assert redirect_uri_matches(EXACT, EXACT, application_type)
    assert not redirect_uri_matches(EXACT, requested, application_type)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_a_native_clients_loopback_port_is_ignored(host: str) -> None:
    for registered in (f"http://{host}/cb?x=1", f"http://{host}:8080/cb?x=1"):
        for requested in (f"http://{host}/cb?x=1", f"http://{host}:1/cb?x=1", f"http://{host}:65535/cb?x=1"):
            assert redirect_uri_matches(registered, requested, "native")


def test_a_web_clients_loopback_port_counts() -> None:
    assert redirect_uri_matches("http://localhost:3000/cb", "http://localhost:3000/cb", "web")
    assert not redirect_uri_matches("http://localhost:3000/cb", "http://localhost:3001/cb", "web")


@pytest.mark.parametrize(
    "requested",
    [
        "http://127.0.0.1:5000/cb",  # the hosts are not taken for one another
        "http://[::1]:5000/cb",
        "http://localhost:5000/cb/",
        "http://localhost:5000/CB",
        "http://localhost:5000/cb?x=1",
        "http://localhost:5000/cb#x",
        "http://localhost:5000",
        "https://localhost:5000/cb",
        "http://LOCALHOST:5000/cb",
        "http://localhost.:5000/cb",
        "http://localhost:/cb",
        "http://localhost:0/cb",
        "http://localhost:65536/cb",
        "http://localhost:123456/cb",
        "http://localhost:-1/cb",
        "http://localhost:5 000/cb",
        "http://localhost:１２/cb",  # digits, but not ASCII's
        "http://localhost:5000@evil.example/cb",
        "http://localhost:5000\n/cb",
        "http://localhost:5000/cb\n",
        "http://localhost.evil.example/cb",
        "http://evil.example/cb",
    ],
)
def test_only_the_port_of_a_loopback_uri_is_free(requested: str) -> None:
    assert not redirect_uri_matches("http://localhost/cb", requested, "native")


def test_ports_of_other_hosts_are_never_ignored() -> None:
    assert not redirect_uri_matches("https://localhost/cb", "https://localhost:1/cb", "native")
    assert not redirect_uri_matches("http://192.168.0.1/cb", "http://192.168.0.1:1/cb", "native")


@given(st.text(max_size=80), st.sampled_from(["web", "native"]))
def test_whatever_matches_loopback_can_go_into_a_header(text: str, application_type: str) -> None:
    for requested in (text, f"http://localhost{text}", f"http://localhost:{text}/cb", f"http://localhost:80{text}"):
        if redirect_uri_matches("http://localhost/cb", requested, application_type):
            assert requested.isascii()
            assert requested.isprintable()
            assert urlsplit(requested).hostname == "localhost"


@given(st.text(max_size=60), st.sampled_from(["https://", "http://localhost", "com.example:", ""]))
def test_no_text_breaks_the_check(text: str, start: str) -> None:
    uri = start + text
    if redirect_uri_problem(uri, "native") is None:
        assert uri.isascii()
        assert uri.isprintable()
        assert not {"#", "*", "\\", " "} & set(uri)
        assert urlsplit(uri).username is None


def test_an_answer_is_added_to_the_registered_query() -> None:
    answer = {"code": "a/b?c=d&e", "state": "x y+z%"}
    assert add_to_query("https://a.example/cb", answer) == (
        "https://a.example/cb?code=a%2Fb%3Fc%3Dd%26e&state=x%20y%2Bz%25"
    )
    assert add_to_query("https://a.example/cb?q=%41+b", {"code": "1"}) == "https://a.example/cb?q=%41+b&code=1"
    assert add_to_query("https://a.example/cb?", {"code": "1"}) == "https://a.example/cb?code=1"
    assert add_to_query("https://a.example/cb?q&", {"code": "1"}) == "https://a.example/cb?q&code=1"
    assert add_to_query("https://a.example?q=1", {"code": "1"}) == "https://a.example?q=1&code=1"
    assert add_to_query("com.example.app:/cb", {"code": "1"}) == "com.example.app:/cb?code=1"
    assert add_to_query("https://a.example/cb", {}) == "https://a.example/cb"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200))
def test_any_state_comes_back_unchanged_and_can_end_no_header_line(state: str) -> None:
    location = add_to_query("https://a.example/cb?kept=a%20b", {"state": state, "iss": "https://i.example/oauth"})
    assert location.isascii()
    assert location.isprintable()
    assert parse_qsl(urlsplit(location).query, keep_blank_values=True) == [
        ("kept", "a b"),
        ("state", state),
        ("iss", "https://i.example/oauth"),
    ]


def test_people_are_shown_the_host_or_the_private_scheme() -> None:
    assert redirect_host("https://app.example:8443/cb") == "app.example:8443"
    assert redirect_host("http://localhost:5000/cb") == "localhost:5000"
    assert redirect_host("com.example.app:/cb") == "com.example.app:"


def test_what_stands_behind_a_private_scheme_is_not_shown_as_a_host() -> None:
    assert redirect_host("com.evil.app://bank.example/cb") == "com.evil.app:"


@pytest.mark.parametrize(
    "uri, expected",
    [
        ("http://localhost/cb", True),
        ("http://127.0.0.1:80/", True),
        ("http://[::1]", True),
        ("https://localhost/", False),
        ("http://localhost.example/", False),
    ],
)
def test_loopback_is_recognised(uri: str, expected: bool) -> None:
    assert is_loopback(uri) is expected
