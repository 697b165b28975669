"""Where the keyring comes from, and which keys are no keys."""

from __future__ import annotations

import base64
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine

from database import Transaction
from database.connection import create_engine_for
from provider.security.crypto import DecryptionFailed, Keyring
from provider.services import Services
from provider.settings import Settings, load_settings
from provider.start.key_files import has_stored_secrets, keys_exist, keys_folder, load_keyring
from provider.start.key_texts import KeyFilesError, decode_key, decode_named_keys

RANDOM = bytes.fromhex("8f1c27d3a65be0947d10f2c83e6ab95104cd7f3291e8ba5c60d7f31942abce75")
KEY = base64.b64encode(RANDOM).decode()


def are_alike(one: Keyring, other: Keyring) -> bool:
    opened = one.decrypt(other.encrypt(b"x", {"id": "1"}), {"id": "1"}) == b"x"
    return opened and one.masters.ids == other.masters.ids and one.keyed_hash("p", "v") == other.keyed_hash("p", "v")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"MCP_HOME": str(tmp_path / "home")})


@pytest.mark.parametrize(
    "text",
    [KEY, KEY.rstrip("="), base64.urlsafe_b64encode(RANDOM).decode(), base64.b64encode(RANDOM + b"\x91").decode()],
)
def test_keys_are_base64_in_either_alphabet_padded_or_not(text: str) -> None:
    assert decode_key(text, "K")[:32] == RANDOM


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "too short: 0 bytes of 32"),
        (base64.b64encode(RANDOM[:31]).decode(), "too short: 31 bytes of 32"),
        ("!" * 44, "not base64"),
        ("a" * 45, "not base64"),
        (KEY[:20] + " " + KEY[20:], "not base64"),
        (base64.b64encode(bytes(32)).decode(), "an example or a typed text"),
        (base64.b64encode(bytes(range(11)) * 3).decode(), "an example or a typed text"),
        (base64.b64encode(b"correct horse battery staple, 32").decode(), "an example or a typed text"),
        ("YourKeyYourKeyYourKeyYourKeyYourKeyYourKeyYo", "an example or a typed text"),
    ],
)
def test_what_is_no_key_is_refused_by_its_name_and_never_shown(text: str, words: str) -> None:
    with pytest.raises(KeyFilesError) as refusal:
        decode_key(text, "MCP_HASHING_KEY")
    assert str(refusal.value).startswith("MCP_HASHING_KEY ")
    assert words in str(refusal.value)
    assert "openssl rand -base64 32" in str(refusal.value)
    assert not text or text not in str(refusal.value)


def test_named_keys_stand_on_lines_or_between_commas_and_the_first_one_writes() -> None:
    other = base64.b64encode(RANDOM[::-1]).decode()
    text = f"# the new one\nnew:{KEY}  # since July\n\nold:{other},\n"
    assert decode_named_keys(text, "K") == (("new", RANDOM), ("old", RANDOM[::-1]))
    assert decode_named_keys(f"a:{KEY},b:{other}", "K") == (("a", RANDOM), ("b", RANDOM[::-1]))


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "holds no key"),
        ("# nothing\n", "holds no key"),
        (KEY, "id:base64"),
        (f":{KEY}", "id:base64"),
        (f"a b:{KEY}", "id:base64"),
        (f"a.b:{KEY}", "id:base64"),
        (f"{'a' * 33}:{KEY}", "id:base64"),
        (f"a:{KEY},a:{KEY}", "names the key a twice"),
        (f"a:{KEY},A:{KEY}", "names the key A twice"),
        ("a:transit:vault:v1:AAAA", "(key a) is wrapped by a secrets service, and none is set"),
        (f"a:{base64.b64encode(RANDOM + RANDOM).decode()}", "must have exactly 32 bytes"),
        ("a:short", "(key a) "),
    ],
)
def test_wrong_named_keys_are_refused(text: str, words: str) -> None:
    with pytest.raises(KeyFilesError) as refusal:
        decode_named_keys(text, "K")
    assert words in str(refusal.value)
    assert KEY not in str(refusal.value)


def test_missing_files_are_made_for_their_owner_alone_whatever_the_umask(settings: Settings) -> None:
    before = os.umask(0)
    try:
        made = load_keyring(settings)
    finally:
        os.umask(before)
    folder = keys_folder(settings)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "hashing.key": 0o600,
        "encryption.keys": 0o600,
    }
    again = load_keyring(settings, may_create=False)
    assert are_alike(again, made)


def test_each_installation_has_keys_of_its_own(tmp_path: Path) -> None:
    rings = [load_keyring(load_settings({"MCP_HOME": str(tmp_path / name)})) for name in ("a", "b")]
    assert rings[0].keyed_hash("p", "v") != rings[1].keyed_hash("p", "v")
    with pytest.raises(DecryptionFailed):
        rings[0].decrypt(rings[1].encrypt(b"x", {}), {})
    files = [(tmp_path / "a/keys" / name).read_text().strip() for name in ("hashing.key", "encryption.keys")]
    assert files[0] not in files[1], "one purpose, one key"


def test_processes_that_make_the_files_at_once_all_get_the_same_keys(settings: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        rings = list(pool.map(lambda _: load_keyring(settings), range(8)))
    assert all(are_alike(rings[0], ring) for ring in rings)
    assert sorted(path.name for path in keys_folder(settings).iterdir()) == ["encryption.keys", "hashing.key"]


def test_settings_come_before_files_and_make_none(tmp_path: Path) -> None:
    settings = load_settings(
        {"MCP_HOME": str(tmp_path / "home"), "MCP_HASHING_KEY": KEY, "MCP_ENCRYPTION_KEYS": f"k1:{KEY}"}
    )
    assert keys_exist(settings)
    ring = load_keyring(settings)
    assert are_alike(ring, Keyring(RANDOM, [("k1", RANDOM)]))
    assert not (tmp_path / "home").exists()


def test_one_key_may_be_a_setting_and_the_other_a_file(tmp_path: Path) -> None:
    settings = load_settings({"MCP_HOME": str(tmp_path / "home"), "MCP_HASHING_KEY": KEY})
    assert not keys_exist(settings)
    load_keyring(settings)
    assert keys_exist(settings)
    assert [path.name for path in keys_folder(settings).iterdir()] == ["encryption.keys"]


def problem_with(settings: Settings) -> str:
    with pytest.raises(KeyFilesError) as refusal:
        load_keyring(settings, may_create=False)
    return str(refusal.value)


def test_nothing_is_made_where_nothing_may_be(settings: Settings) -> None:
    assert "is missing, and the database is not new" in problem_with(settings)
    assert not settings.home.exists()


@pytest.mark.parametrize("mode", [0o610, 0o620, 0o640, 0o601, 0o602, 0o604])
@pytest.mark.parametrize("name", ["hashing.key", "encryption.keys"])
def test_a_file_open_to_others_is_refused(settings: Settings, name: str, mode: int) -> None:
    load_keyring(settings)
    (keys_folder(settings) / name).chmod(mode)
    assert "is open to other users" in problem_with(settings)


def test_a_file_that_is_no_text_is_refused(settings: Settings) -> None:
    load_keyring(settings)
    (keys_folder(settings) / "hashing.key").write_bytes(secrets.token_bytes(32) + b"\xff")
    assert problem_with(settings).endswith("hashing.key is not base64")


def test_a_folder_in_the_place_of_a_file_is_refused(settings: Settings) -> None:
    (keys_folder(settings) / "hashing.key").mkdir(parents=True)
    assert "can't be read" in problem_with(settings)


def test_a_file_in_the_place_of_the_folder_is_refused(settings: Settings) -> None:
    settings.home.parent.mkdir(parents=True, exist_ok=True)
    settings.home.write_text("")
    with pytest.raises(KeyFilesError, match="can't be"):
        load_keyring(settings)


def test_a_database_has_secrets_from_its_first_signing_key_on(
    engine: Engine, settings: Settings, now: object, tmp_path: Path
) -> None:
    assert not has_stored_secrets(create_engine_for(f"sqlite:///{tmp_path}/empty.db"))
    assert not has_stored_secrets(engine)
    services = Services(settings, engine, load_keyring(settings))
    with Transaction(engine) as tx:
        services.signing_keys.ensure(tx, now)  # type: ignore[arg-type]
    assert has_stored_secrets(engine)
