"""Secrets and encryption: their form, one key for each purpose, and refusal of whatever was touched."""

from __future__ import annotations

import base64
import hmac
import zlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from provider.security.crypto import (
    SECRET_PATTERN,
    DecryptionFailed,
    Keyring,
    constant_time_equal,
    is_secret,
    new_name,
    new_secret,
)
from provider.security.secret_forms import _base62

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KINDS: list[Any] = ["cs", "ak", "ac", "rt", "setup", "session", "step", "request", "browser", "reset", "verify"]
HERE = {"table": "users", "column": "two_factor_secret", "id": "row-1", "owner": "ana"}
HASHING, FIRST, SECOND = b"h" * 32, b"1" * 32, b"2" * 32


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(HASHING, [("first", FIRST)])


@pytest.mark.parametrize("kind", KINDS)
def test_a_secret_says_what_it_is_and_carries_256_bits(kind: Any) -> None:
    secret = new_secret(kind)
    assert SECRET_PATTERN.fullmatch(secret)
    prefix, name, rest = secret.split("_")
    assert (prefix, name, len(rest)) == ("mcp", kind, 49)
    assert is_secret(kind, secret)
    assert not [other for other in KINDS if other != kind and is_secret(other, secret)]
    assert 62**43 >= 2**256
    assert secret.replace("_", "").isalnum(), "Basic authentication needs no escaping"


def test_no_two_secrets_are_alike_and_every_character_occurs() -> None:
    secrets = [new_secret("cs") for _ in range(400)]
    assert len(set(secrets)) == 400
    assert set("".join(secret[7:50] for secret in secrets)) == set(ALPHABET)


@given(st.integers(0, 48), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_noticed(position: int, character: str) -> None:
    secret = "mcp_cs_" + "A" * 43
    secret += _base62(zlib.crc32(secret.encode()), 6)
    assert is_secret("cs", secret)
    wrong = secret[: 7 + position] + character + secret[8 + position :]
    assert is_secret("cs", wrong) is (wrong == secret)


@pytest.mark.parametrize(
    "change",
    [
        lambda secret: "",
        lambda secret: secret[:-1],
        lambda secret: secret + "0",
        lambda secret: secret + "\n",
        lambda secret: " " + secret,
        lambda secret: secret.upper(),
        lambda secret: secret.replace("_", "-"),
        lambda secret: secret.replace("cs", "CS"),
        lambda secret: secret.replace("cs", ""),
        lambda secret: secret[:10] + secret[11] + secret[10] + secret[12:],
        lambda secret: secret.replace("0", "０"),
        lambda secret: secret * 2,
    ],
)
def test_other_forms_are_no_secrets(change: Any) -> None:
    body = "mcp_cs_" + "0Ab" * 14 + "0"
    secret = body + _base62(zlib.crc32(body.encode()), 6)
    assert is_secret("cs", secret)
    assert change(secret) != secret
    assert not is_secret("cs", change(secret))


@pytest.mark.parametrize(
    "number, width, text",
    [(0, 1, "0"), (9, 1, "9"), (10, 1, "A"), (35, 1, "Z"), (36, 1, "a"), (61, 1, "z"), (62, 2, "10"), (0, 6, "000000")],
)
def test_base62_counts_in_digits_capitals_and_small_letters(number: int, width: int, text: str) -> None:
    assert _base62(number, width) == text


@given(st.integers(0, 2**256 - 1))
def test_base62_loses_nothing(number: int) -> None:
    text = _base62(number, 43)
    assert len(text) == 43
    value = 0
    for character in text:
        value = value * 62 + ALPHABET.index(character)
    assert value == number


def test_names_are_unguessable_and_no_secrets() -> None:
    names = {new_name("app") for _ in range(200)}
    assert len(names) == 200
    assert all(name.startswith("app_") and len(name) == 26 for name in names)
    assert not [name for name in names if SECRET_PATTERN.search(name)]


@pytest.mark.parametrize(
    "left, right, equal", [("", "", True), ("a", "a", True), ("a", "b", False), ("a", "ab", False), ("é", "é", True)]
)
def test_comparison_in_constant_time_compares(left: str, right: str, equal: bool) -> None:
    assert constant_time_equal(left, right) is equal


@pytest.mark.parametrize("purpose", ["session", "client secret", ""])
@pytest.mark.parametrize("value", ["", "value", "é", "x" * 5000])
def test_a_hash_is_what_it_was_when_it_was_stored(keyring: Keyring, purpose: str, value: str) -> None:
    key = HKDF(SHA256(), 32, None, b"mcp-core hashing " + purpose.encode()).derive(HASHING)
    expected = hmac.digest(key, value.encode(), "sha256").hex()
    assert [keyring.keyed_hash(purpose, value) for _ in range(2)] == [expected] * 2


def hashes_with_a_key_as_it_came() -> set[str]:
    return {hmac.digest(key, b"value", "sha256").hex() for key in (HASHING, FIRST)}


def test_each_purpose_has_a_key_of_its_own(keyring: Keyring) -> None:
    purposes = ["session", "client secret", "setup link", "login step", "authorization code", "refresh token", ""]
    hashes = {keyring.keyed_hash(purpose, "value") for purpose in purposes}
    assert len(hashes) == len(purposes)
    assert all(len(digest) == 64 and set(digest) <= set("0123456789abcdef") for digest in hashes)
    assert hashes.isdisjoint(hashes_with_a_key_as_it_came())


def test_a_hash_needs_the_key_and_only_the_hashing_key(keyring: Keyring) -> None:
    same = Keyring(HASHING, [("other", SECOND)])
    other = Keyring(b"i" * 32, [("first", FIRST)])
    assert keyring.keyed_hash("session", "value") == same.keyed_hash("session", "value")
    assert keyring.keyed_hash("session", "value") != other.keyed_hash("session", "value")
    assert keyring.keyed_hash("session", "value") != keyring.keyed_hash("session", "value ")


def test_the_same_bytes_as_both_keys_give_different_keys() -> None:
    keyring = Keyring(FIRST, [("first", FIRST)])
    sealed = keyring.encrypt(b"x", HERE)
    assert Keyring(SECOND, [("first", FIRST)]).decrypt(sealed, HERE) == b"x"
    assert keyring.keyed_hash("session", "value") not in hashes_with_a_key_as_it_came()


def test_a_derived_secret_is_the_same_each_time_and_a_good_secret(keyring: Keyring) -> None:
    secret = keyring.derive_secret("rt", "successor", "value")
    assert secret == keyring.derive_secret("rt", "successor", "value")
    assert is_secret("rt", secret)
    others = {
        keyring.derive_secret("rt", "successor", "other"),
        keyring.derive_secret("rt", "another purpose", "value"),
        Keyring(b"i" * 32, [("first", FIRST)]).derive_secret("rt", "successor", "value"),
    }
    assert len(others | {secret}) == 4
    assert keyring.keyed_hash("successor", "value") not in secret


@given(st.binary(max_size=200))
def test_what_was_encrypted_opens_and_never_looks_the_same(plaintext: bytes) -> None:
    keyring = Keyring(HASHING, [("first", FIRST)])
    one, other = keyring.encrypt(plaintext, HERE), keyring.encrypt(plaintext, HERE)
    assert keyring.decrypt(one, HERE) == keyring.decrypt(other, HERE) == plaintext
    assert one != other
    parts = zip(one.split("."), other.split("."), strict=True)
    assert [left == right for left, right in parts] == [True, True, False, False, False] or not plaintext
    assert one.split(".")[:2] == ["v2", "first"]


def test_a_nonce_has_96_bits_and_is_never_repeated(keyring: Keyring) -> None:
    made = [keyring.encrypt(b"same", HERE).split(".") for _ in range(500)]
    wrapped, nonces = ([base64.urlsafe_b64decode(parts[place] + "==") for parts in made] for place in (2, 3))
    assert len({*nonces, *(key[:12] for key in wrapped)}) == 1000
    assert {len(nonce) for nonce in nonces} == {12}
    assert {len(key) for key in wrapped} == {12 + 32 + 16}, "nonce, data key, tag"


@pytest.mark.parametrize("name", [*HERE, "version"])
def test_a_ciphertext_opens_only_where_it_was_written(keyring: Keyring, name: str) -> None:
    sealed = keyring.encrypt(b"secret", HERE)
    with pytest.raises(DecryptionFailed):
        keyring.decrypt(sealed, {**HERE, name: "elsewhere"})
    with pytest.raises(DecryptionFailed):
        keyring.decrypt(sealed, {key: value for key, value in HERE.items() if key != "id"})
    with pytest.raises(DecryptionFailed):
        keyring.decrypt(sealed, {})


def test_the_order_of_the_context_does_not_matter(keyring: Keyring) -> None:
    assert keyring.decrypt(keyring.encrypt(b"x", HERE), dict(reversed(HERE.items()))) == b"x"


def test_every_altered_character_is_noticed(keyring: Keyring) -> None:
    sealed = keyring.encrypt(b"a seed with spare bits", HERE)
    for position in range(len(sealed)):
        for character in "Az9-_.!= \n":
            altered = sealed[:position] + character + sealed[position + 1 :]
            if altered != sealed:
                with pytest.raises(DecryptionFailed):
                    keyring.decrypt(altered, HERE)


def test_every_added_or_missing_character_is_noticed(keyring: Keyring) -> None:
    sealed = keyring.encrypt(b"a seed with spare bits", HERE)
    for position in range(len(sealed) + 1):
        for altered in (
            sealed[:position],
            sealed[:position] + "A" + sealed[position:],
            sealed[:position] + "!" + sealed[position:],
        ):
            if altered != sealed:
                with pytest.raises(DecryptionFailed):
                    keyring.decrypt(altered, HERE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v1",
        "v1.first",
        "v1.first..",
        "v1.first.AAAA.AAAA",
        "v2.first.AAAA.AAAA",
        "v2.first.AAAA.AAAA.AAAA",
        "v2.first...",
        "v2.first.AAAA.AAAA.AAAA.AAAA",
        "v2.other.AAAA.AAAA.AAAA",
        "v3.first.AAAA.AAAA.AAAA",
        "....",
        "비밀",
        "v1.first.é.é",
        "\x00",
    ],
)
def test_what_is_no_ciphertext_does_not_open(keyring: Keyring, text: str) -> None:
    with pytest.raises(DecryptionFailed) as failure:
        keyring.decrypt(text, HERE)
    assert text == "" or text not in str(failure.value)


def test_keys_are_rotated_by_putting_a_new_one_first(keyring: Keyring) -> None:
    old = keyring.encrypt(b"old", HERE)
    both = Keyring(HASHING, [("second", SECOND), ("first", FIRST)])
    new = both.encrypt(b"new", HERE)
    assert new.startswith("v2.second.")
    assert (both.decrypt(old, HERE), both.decrypt(new, HERE)) == (b"old", b"new")
    with pytest.raises(DecryptionFailed):
        keyring.decrypt(new, HERE)
    with pytest.raises(DecryptionFailed):
        Keyring(HASHING, [("second", SECOND)]).decrypt(old, HERE)
    with pytest.raises(DecryptionFailed):
        Keyring(HASHING, [("first", SECOND)]).decrypt(old, HERE)


def test_the_name_of_the_key_cannot_be_exchanged() -> None:
    keyring = Keyring(HASHING, [("first", FIRST), ("second", SECOND)])
    with pytest.raises(DecryptionFailed):
        keyring.decrypt(keyring.encrypt(b"x", HERE).replace("first", "second"), HERE)


@pytest.mark.parametrize(
    "hashing, encryption",
    [
        (b"", [("k", FIRST)]),
        (b"h" * 31, [("k", FIRST)]),
        (HASHING, []),
        (HASHING, [("k", b"1" * 31)]),
        (HASHING, [("k", b"1" * 33)]),
    ],
)
def test_short_keys_are_refused(hashing: bytes, encryption: list[tuple[str, bytes]]) -> None:
    with pytest.raises(ValueError, match="key"):
        Keyring(hashing, encryption)


def test_a_keyring_shows_no_key(keyring: Keyring) -> None:
    keyring.keyed_hash("session", "value")
    assert "hhhh" not in repr(keyring)
    assert "1111" not in repr(keyring)
