"""The envelope: what is bound to a value, what a new master key changes, and values of the first format."""

from __future__ import annotations

import secrets

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from provider.security.crypto import DecryptionFailed, Keyring
from provider.security.envelope import _encode, is_sealed

HASHING, OLD, NEW = b"h" * 32, b"o" * 32, b"n" * 32
HERE = {"table": "cloud_accounts", "column": "secret_encrypted", "id": "row-1", "owner": "ana", "version": "1"}


def ring(*names: str) -> Keyring:
    keys = {"old": OLD, "new": NEW}
    return Keyring(HASHING, [(name, keys[name]) for name in names])


def in_first_format(plaintext: bytes, context: dict[str, str]) -> str:
    """As values were sealed before there were data keys."""
    key = HKDF(SHA256(), 32, None, b"mcp-core encryption").derive(OLD)
    bound = "\x1f".join(f"{name}={value}" for name, value in sorted(context.items())).encode()
    nonce = secrets.token_bytes(12)
    return f"v1.old.{_encode(nonce)}.{_encode(AESGCM(key).encrypt(nonce, plaintext, bound))}"


def test_values_of_the_first_format_still_open_where_they_were_written() -> None:
    sealed = in_first_format(b"a seed", HERE)
    assert ring("new", "old").decrypt(sealed, HERE) == b"a seed"
    with pytest.raises(DecryptionFailed):
        ring("new", "old").decrypt(sealed, {**HERE, "id": "row-2"})
    with pytest.raises(DecryptionFailed):
        ring("old").decrypt("v2" + sealed[2:], HERE)


@pytest.mark.parametrize("name", HERE)
def test_each_part_of_the_place_is_bound(name: str) -> None:
    sealed = ring("old").encrypt(b"secret", HERE)
    for elsewhere in ({**HERE, name: HERE[name] + "0"}, {key: value for key, value in HERE.items() if key != name}):
        with pytest.raises(DecryptionFailed):
            ring("old").decrypt(sealed, elsewhere)
        with pytest.raises(DecryptionFailed):
            ring("new", "old").rewrapped(sealed, elsewhere)


def test_no_two_places_are_spelt_alike() -> None:
    sealed = ring("old").encrypt(b"x", {"a": '1", "b": "2'})
    with pytest.raises(DecryptionFailed):
        ring("old").decrypt(sealed, {"a": "1", "b": "2"})
    sealed = ring("old").encrypt(b"x", {"a": "1\x1fb=2"})
    with pytest.raises(DecryptionFailed):
        ring("old").decrypt(sealed, {"a": "1", "b": "2"})


def test_every_bit_is_held() -> None:
    sealed = ring("old").encrypt(b"a key of a cloud account", HERE)
    refused = 0
    for position, letter in enumerate(sealed):
        for bit in range(7):
            altered = sealed[:position] + chr(ord(letter) ^ (1 << bit)) + sealed[position + 1 :]
            with pytest.raises(DecryptionFailed):
                ring("new", "old").decrypt(altered, HERE)
            refused += 1
    assert refused == 7 * len(sealed) > 1000


def test_parts_of_two_values_of_one_place_do_not_mix() -> None:
    """But the whole of an older value opens in its place: that is what a version in the context is for."""
    one, other = (ring("old").encrypt(text, HERE).split(".") for text in (b"first", b"later"))
    for position in (2, 3, 4):
        mixed = [*one[:position], other[position], *one[position + 1 :]]
        with pytest.raises(DecryptionFailed):
            ring("old").decrypt(".".join(mixed), HERE)


def test_a_wrapped_key_is_no_value_and_a_value_no_key() -> None:
    sealed = ring("old").encrypt(b"k" * 32, HERE).split(".")
    with pytest.raises(DecryptionFailed):
        ring("old").decrypt(f"v2.old.{sealed[2]}.{sealed[2][:16]}.{sealed[2][16:]}", HERE)
    with pytest.raises(DecryptionFailed):
        ring("old").decrypt(f"v2.old.{sealed[3]}{sealed[4]}.{sealed[3]}.{sealed[4]}", HERE)


def test_a_new_master_key_wraps_the_data_key_anew_and_touches_nothing_else() -> None:
    sealed = ring("old").encrypt(b"secret", HERE)
    both = ring("new", "old")
    renewed = both.rewrapped(sealed, HERE)
    assert renewed is not None
    assert renewed.split(".")[:2] == ["v2", "new"]
    assert renewed.split(".")[3:] == sealed.split(".")[3:], "the value itself is as it was"
    assert renewed.split(".")[2] != sealed.split(".")[2]
    assert ring("new").decrypt(renewed, HERE) == both.decrypt(sealed, HERE) == b"secret"
    assert both.rewrapped(renewed, HERE) is None


def test_a_value_of_the_first_format_gets_a_data_key_even_under_the_same_master_key() -> None:
    sealed = in_first_format(b"secret", HERE)
    renewed = ring("old").rewrapped(sealed, HERE)
    assert renewed is not None
    assert renewed.startswith("v2.old.")
    assert ring("old").decrypt(renewed, HERE) == b"secret"
    assert ring("old").rewrapped(renewed, HERE) is None


def test_what_does_not_open_is_never_rewrapped() -> None:
    sealed = ring("old").encrypt(b"secret", HERE)
    last = "A" if sealed[-2] != "A" else "B"
    for text in (sealed[:-2] + last + sealed[-1], sealed[:-1], sealed.replace("old", "gone"), "", "v2.", "secret"):
        with pytest.raises(DecryptionFailed):
            ring("new", "old").rewrapped(text, HERE)


def test_a_key_that_comes_later_is_asked_for() -> None:
    sealed = ring("new").encrypt(b"secret", HERE)
    server, asked = ring("old"), []

    class Renewal:
        def look(self) -> None:
            raise AssertionError("that is for a thread of its own")

        def look_for_unknown(self) -> None:
            asked.append(1)
            server.masters.replace([("old", OLD), ("new", NEW)])

    server.masters.renewal = Renewal()
    assert server.decrypt(server.encrypt(b"x", HERE), HERE) == b"x"
    assert asked == []
    assert server.decrypt(sealed, HERE) == b"secret"
    assert server.decrypt(sealed, HERE) == b"secret"
    assert asked == [1]
    with pytest.raises(DecryptionFailed):
        server.decrypt(sealed.replace("new", "gone"), HERE)


def test_a_sealed_value_is_told_from_a_password() -> None:
    assert is_sealed(ring("old").encrypt(b"secret", HERE))
    for text in ("", "secret", "v2.", "v2....", "v1.a.b.c", "v2.a.b.c", "v2.a.b.c.d.e"):
        assert not is_sealed(text), text
