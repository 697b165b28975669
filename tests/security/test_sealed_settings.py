"""Secrets of settings that are sealed: bound to their setting, opened by our keys alone, and plain ones as they are."""

from __future__ import annotations

import secrets

import pytest

from provider.security.crypto import DecryptionFailed, Keyring
from provider.security.sealed_settings import SMTP_PASSWORD, master_key_of, opened_setting, opens, seal_setting

PASSWORD = "s:e/c@r?e#t %"


@pytest.fixture
def sealed(keyring: Keyring) -> str:
    return seal_setting(keyring, SMTP_PASSWORD, PASSWORD)


def test_a_sealed_one_opens_and_says_its_key(keyring: Keyring, sealed: str) -> None:
    assert opened_setting(keyring, SMTP_PASSWORD, sealed) == PASSWORD
    assert opens(keyring, SMTP_PASSWORD, sealed)
    assert master_key_of(sealed) == "test"


@pytest.mark.parametrize("plain", ["sesame", "v2", "v2.a.b.c", "v2.a.b.c.d.e", "v1.a.b.c.d", "v2.a.b..d", "a.b.c.d.e"])
def test_a_plain_one_is_what_it_is(keyring: Keyring, plain: str) -> None:
    assert opened_setting(keyring, SMTP_PASSWORD, plain) == plain
    assert opened_setting(None, SMTP_PASSWORD, plain) == plain
    assert master_key_of(plain) is None


def test_it_opens_for_its_setting_and_with_its_keys_alone(keyring: Keyring, sealed: str) -> None:
    stranger = Keyring(b"h" * 32, [("test", secrets.token_bytes(32))])
    for ring, setting in ((keyring, "MCP_ANOTHER"), (stranger, SMTP_PASSWORD), (None, SMTP_PASSWORD)):
        with pytest.raises(DecryptionFailed):
            opened_setting(ring, setting, sealed)
    assert not opens(stranger, SMTP_PASSWORD, sealed)


def test_no_row_of_the_database_is_one(keyring: Keyring) -> None:
    row = keyring.encrypt(PASSWORD.encode(), {"table": "t", "column": "c", "id": "1"})
    with pytest.raises(DecryptionFailed):
        opened_setting(keyring, SMTP_PASSWORD, row)


def test_every_byte_counts(keyring: Keyring, sealed: str) -> None:
    for place, letter in enumerate(sealed):
        if letter == ".":
            continue
        altered = sealed[:place] + ("A" if letter != "A" else "B") + sealed[place + 1 :]
        if master_key_of(altered) is not None:
            with pytest.raises(DecryptionFailed):
                opened_setting(keyring, SMTP_PASSWORD, altered)
