"""The pure rules: round trips, fixed points, and refusals of one kind, whatever the text."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote_plus, urlsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from provider.protocol.errors import OAuthError
from provider.protocol.messages import Parameters
from provider.protocol.redirect_uris import (
    add_to_query,
    check_redirect_uri,
    is_loopback,
    redirect_host,
    redirect_uri_matches,
    redirect_uri_problem,
)
from provider.protocol.request_rules import AuthorizationParameters, verifier_matches
from provider.protocol.resources import canonical_resource
from provider.protocol.scopes import checked_scope, grantable_scope, narrowed_scope, parse_scope
from provider.security.crypto import DecryptionFailed, Keyring, is_secret, new_secret
from tests.fuzz import hostile
from tests.fuzz.expectations import ERRORS

anything = st.one_of(hostile.words, st.text(max_size=60), st.text(st.characters(exclude_categories=[])))
_bits = (
    *("https", "http", "HTTPS", "com.example.app", "urn", "javascript", "data", "://", ":", "//", "/", "?", "#", "@"),
    *("app.example", "localhost", "127.0.0.1", "[::1]", "[::::]", "[", "]", ":80", ":0", ":99999", "a", "a=b", "&"),
    *("code=x", "state", "%20", "%", "%zz", "..", "*", "\\", " ", "é", ";", "+", "x" * 30),
)
_authorities = st.sampled_from(
    (
        *("app.example", "localhost", "127.0.0.1", "[::1]", "[::ffff:1.2.3.4]", "[::::]", "[1.2]", "[:]", "[::1%251]"),
        *("APP.example", "a..b", "a@b", "-", ""),
    )
)
_ports = st.sampled_from(("", "", ":80", ":0", ":00080", ":65536", ":"))
_rest_bits = ("/", "a", "?", "&", "a=b", "%20", "%", "code=x", "#", "..", "é", "*")
uris = st.one_of(
    st.builds(
        "{}{}{}/{}".format,
        st.sampled_from(("https://", "http://", "com.app://", "HTTPS://")),
        _authorities,
        _ports,
        st.lists(st.sampled_from(_rest_bits), max_size=5).map("".join),
    ),
    st.lists(st.sampled_from(_bits), max_size=9).map("".join),
    anything,
)
tokens = st.from_regex(re.compile(r"[\x21\x23-\x5B\x5D-\x7E]{1,12}"), fullmatch=True)


def refused(call: object, *arguments: object) -> str | None:
    """The error that ``call`` raises, None when it accepts. Nothing but ``OAuthError`` may come out."""
    try:
        call(*arguments)  # type: ignore[operator]
    except OAuthError as error:
        return error.error
    return None


@hostile.bounded(300)
@given(anything)
def test_a_scope_is_read_or_refused(text: str) -> None:
    assert refused(parse_scope, text) in (None, "invalid_scope")


@hostile.bounded(150)
@given(st.lists(tokens, max_size=6))
def test_a_scope_that_was_read_reads_the_same_again(scope: list[str]) -> None:
    read = parse_scope(" ".join(scope))
    assert read == tuple(dict.fromkeys(scope))
    assert parse_scope(" ".join(read)) == read == checked_scope(read)


@hostile.bounded(150)
@given(st.lists(tokens, max_size=4), st.lists(tokens, max_size=4), st.sets(tokens, max_size=4))
def test_no_more_is_granted_than_was_asked_and_is_allowed(
    asked: list[str], default: list[str], allowed: set[str]
) -> None:
    try:
        granted = set(grantable_scope(asked, default=default, allowed=allowed))
    except OAuthError:
        assert asked
        assert not set(asked) & allowed
    else:
        assert granted <= allowed
        assert granted <= set(asked or default)


@hostile.bounded(150)
@given(st.lists(tokens, max_size=4), st.lists(tokens, max_size=4).map(tuple))
def test_a_refresh_never_widens(asked: list[str], granted: tuple[str, ...]) -> None:
    try:
        assert set(narrowed_scope(asked, granted)) <= set(granted)
    except OAuthError:
        assert set(asked) - set(granted)


@hostile.bounded(400)
@given(uris)
def test_a_resource_is_made_canonical_once_or_refused(uri: str) -> None:
    if refused(canonical_resource, uri) is not None:
        assert refused(canonical_resource, uri) == "invalid_target"
        return
    known = canonical_resource(uri)
    assert canonical_resource(known) == known
    assert "#" not in known
    assert known.isascii()
    if known.startswith(("http:", "https:")):
        assert urlsplit(known).hostname


@hostile.bounded(600)
@given(uris, st.sampled_from(("web", "native")))
def test_a_redirect_uri_is_accepted_or_refused_in_words(uri: str, application_type: str) -> None:
    problem = redirect_uri_problem(uri, application_type)
    assert refused(check_redirect_uri, uri, application_type) == (None if problem is None else "invalid_redirect_uri")
    if problem is not None:
        return
    assert redirect_uri_matches(uri, uri, application_type)
    assert uri.isascii()
    assert not set(uri) & set('#* \\<>"')
    assert "@" not in urlsplit(uri).netloc
    parts = urlsplit(uri)  # every browser, library and page of ours has to be able to read it
    assert parts.scheme == uri.partition(":")[0]
    assert redirect_host(uri)
    assert parts.scheme != "http" or is_loopback(uri)
    assert parts.scheme not in ("http", "https") or parts.port != 0
    located = add_to_query(uri, {"code": "c", "state": "s"})
    assert urlsplit(located)[:3] == parts[:3]


matchable = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(("https://", "http://", "com.app://")),
    st.sampled_from(("localhost", "127.0.0.1", "[::1]", "app.example", "localhost.example", "127.0.0.1@evil.example")),
    _ports,
    st.sampled_from(("", "/", "/callback", "/callback?a=b", "/Callback", "//callback")),
)


@hostile.bounded(400)
@given(matchable, matchable, st.sampled_from(("web", "native")))
def test_what_matches_goes_to_the_same_place(registered: str, requested: str, application_type: str) -> None:
    if redirect_uri_problem(registered, application_type) is not None:
        return
    if redirect_uri_matches(registered, requested, application_type) and registered != requested:
        assert application_type == "native"
        assert is_loopback(registered)
        known, asked = urlsplit(registered), urlsplit(requested)
        assert (known.hostname, known.path, known.query) == (asked.hostname, asked.path, asked.query)


queries = st.sampled_from(("", "?", "?kept=1", "?kept=1&", "?a=%20&b"))


@hostile.bounded(250)
@given(queries, st.dictionaries(st.text(min_size=1, max_size=10), st.text(max_size=30), max_size=4))
def test_what_is_added_to_a_query_can_be_read_back(query: str, added: dict[str, str]) -> None:
    located = add_to_query(f"https://app.example/callback{query}", added)
    assert re.fullmatch(r"[!-~]+", located)
    kept = parse_qsl(query[1:], keep_blank_values=True)
    assert parse_qsl(urlsplit(located).query, keep_blank_values=True) == [*kept, *added.items()]
    assert not urlsplit(located).fragment


@hostile.bounded(300)
@given(st.lists(st.tuples(st.text(max_size=10), st.text(max_size=20)), max_size=8))
def test_fields_that_were_encoded_are_read_back(fields: list[tuple[str, str]]) -> None:
    text = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in fields)
    if any("\x00" in name + value for name, value in fields):
        assert refused(Parameters.parse, text) == "invalid_request"
        return
    parsed = Parameters.parse(text)
    assert len(parsed) == len(fields)
    for name, value in fields:
        assert value in parsed.as_dict()[name]
        assert parsed.all(name) == [known for key, known in fields if key == name and known]
    twice = {name for name, _ in fields if [key for key, _ in fields].count(name) > 1}
    assert set(parsed.repeated()) == twice


@hostile.bounded(300)
@given(st.one_of(hostile.encoded(), hostile.bodies, st.text(st.characters(exclude_categories=[]), max_size=30)))
def test_any_text_is_parsed_or_refused(text: str | bytes) -> None:
    assert refused(Parameters.parse, text) in (None, "invalid_request")


@hostile.bounded(200)
@given(anything, anything)
def test_a_verifier_never_breaks_the_comparison(challenge: str, verifier: str) -> None:
    assume(challenge.isascii())
    verifier_matches(challenge, verifier)


@hostile.bounded(150)
@given(st.dictionaries(st.text(max_size=12), st.one_of(st.none(), st.text(max_size=12)), max_size=4))
def test_stored_parameters_of_another_release_are_read(more: dict[str, object]) -> None:
    names = AuthorizationParameters.__slots__
    stored = AuthorizationParameters("https://app.example/", scope=("a",), max_age=3).to_dict()
    unknown = {name: value for name, value in more.items() if name not in names}
    assert AuthorizationParameters.from_dict({**stored, **unknown}) == AuthorizationParameters.from_dict(stored)


@hostile.bounded(200)
@given(anything, anything)
def test_an_error_takes_only_permitted_characters(error: str, description: str) -> None:
    try:
        body = OAuthError(error, description).body()
    except ValueError:
        assert re.search(r"[^\x20-\x21\x23-\x5B\x5D-\x7E]", description)
    else:
        assert body.get("error_description", "") == description


@pytest.mark.parametrize("made", [OAuthError.invalid_client(), OAuthError.invalid_scope(), OAuthError.slow_down(3)])
def test_ready_made_errors_are_standard(made: OAuthError) -> None:
    assert made.body()["error"] in ERRORS


@hostile.bounded(200)
@given(st.sampled_from(("cs", "ak", "rt", "session")), anything, st.integers(0, 60), st.characters())
def test_only_what_was_made_is_a_secret(kind: str, text: str, at: int, put: str) -> None:
    made = new_secret(kind)  # type: ignore[arg-type]
    assert is_secret(kind, made)  # type: ignore[arg-type]
    changed = made[:at] + put + made[at + 1 :]
    assert is_secret(kind, changed) == (changed == made)  # type: ignore[arg-type]
    is_secret(kind, text)  # type: ignore[arg-type]


@hostile.bounded(200)
@given(st.binary(max_size=60), st.dictionaries(st.sampled_from("abc"), st.text(max_size=6), max_size=3), st.data())
def test_a_ciphertext_opens_as_it_was_sealed_or_not_at_all(
    keyring: Keyring, plaintext: bytes, context: dict[str, str], data: st.DataObject
) -> None:
    sealed = keyring.encrypt(plaintext, context)
    assert keyring.decrypt(sealed, context) == plaintext
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = sealed[:at] + data.draw(st.characters()) + sealed[at + 1 :]
    for text in (changed, sealed[:at], data.draw(anything)):
        try:
            assert keyring.decrypt(text, context) == plaintext
        except DecryptionFailed:
            continue
        assert text == sealed, "one spelling alone"
    with pytest.raises(DecryptionFailed):
        keyring.decrypt(sealed, {**context, "elsewhere": "x"})
