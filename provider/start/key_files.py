"""Where the keyring comes from: two key files in ``$MCP_HOME/keys``, or two settings in their place."""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine, inspect, select

from database.models import SigningKey
from provider.security.crypto import Keyring
from provider.settings import Settings

KEY_BYTES = 32
HASHING_FILE = "hashing.key"
ENCRYPTION_FILE = "encryption.keys"
_ADVICE = "Make a key with: openssl rand -base64 32"
_STANDARD_ALPHABET = str.maketrans("-_", "+/")
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_FEWEST_DISTINCT = (
    12  # 32 random bytes, and their letters, have about 30 distinct ones, a typed or repeated text far fewer
)


class KeyFilesError(Exception):
    """The keys can't be used. The text says what to change, and never shows a key."""


def keys_folder(settings: Settings) -> Path:
    return settings.home.absolute() / "keys"


def load_keyring(settings: Settings, *, may_create: bool = True) -> Keyring:
    """The keys from ``MCP_HASHING_KEY`` and ``MCP_ENCRYPTION_KEYS``, or from the files.

    Files that are missing are made when ``may_create``, mode 0600 in a folder of mode 0700; of two processes that do so at
    once both get what the first one wrote. ``may_create`` is for a new database: a database that has been in use can't be
    read with new keys. Raises ``KeyFilesError``.
    """
    folder = keys_folder(settings)
    if settings.hashing_key is not None:
        hashing_text, hashing_name = settings.hashing_key.get_secret_value(), "MCP_HASHING_KEY"
    else:
        hashing_text = _read_or_create(folder / HASHING_FILE, _new_key, may_create=may_create)
        hashing_name = str(folder / HASHING_FILE)
    if settings.encryption_keys is not None:
        encryption_text, encryption_name = settings.encryption_keys.get_secret_value(), "MCP_ENCRYPTION_KEYS"
    else:
        encryption_text = _read_or_create(folder / ENCRYPTION_FILE, _new_named_key, may_create=may_create)
        encryption_name = str(folder / ENCRYPTION_FILE)
    return Keyring(decode_key(hashing_text.strip(), hashing_name), decode_named_keys(encryption_text, encryption_name))


def keys_exist(settings: Settings) -> bool:
    """Whether every key is in a file or a setting already."""
    folder = keys_folder(settings)
    return (settings.hashing_key is not None or (folder / HASHING_FILE).exists()) and (
        settings.encryption_keys is not None or (folder / ENCRYPTION_FILE).exists()
    )


def key_file_problems(settings: Settings) -> list[str]:
    """What is wrong with the key files and their modes. Empty when all is well. Changes nothing."""
    try:
        load_keyring(settings, may_create=False)
    except KeyFilesError as error:
        return [str(error)]
    return []


def decode_key(text: str, name: str) -> bytes:
    """Base64 (either alphabet, padded or not) of at least 32 bytes that look random. Raises ``KeyFilesError``."""
    bare = text.rstrip("=").translate(_STANDARD_ALPHABET)
    try:
        key = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise KeyFilesError(f"{name} is not base64. {_ADVICE}") from None
    if len(key) < KEY_BYTES:
        raise KeyFilesError(f"{name} is too short: {len(key)} bytes of {KEY_BYTES}. {_ADVICE}")
    if min(len(set(key)), len(set(bare))) < _FEWEST_DISTINCT or _is_text(key):
        raise KeyFilesError(f"{name} is an example or a typed text, not a key. {_ADVICE}")
    return key


def decode_named_keys(text: str, name: str) -> tuple[tuple[str, bytes], ...]:
    """``id:base64`` pairs, separated by commas or line ends; the first one writes. Raises ``KeyFilesError``."""
    lines = (line.partition("#")[0] for line in text.splitlines())
    pairs = [pair.strip() for line in lines for pair in line.split(",") if pair.strip()]
    keys: dict[str, bytes] = {}
    for pair in pairs:
        key_id, colon, encoded = pair.partition(":")
        if not colon or not _KEY_ID.fullmatch(key_id):
            raise KeyFilesError(f"{name} must hold pairs of the form id:base64, separated by commas")
        if key_id in keys:
            raise KeyFilesError(f"{name} names the key {key_id} twice")
        key = decode_key(encoded.strip(), f"{name} (key {key_id})")
        if len(key) != KEY_BYTES:
            raise KeyFilesError(f"{name}: the key {key_id} must have exactly {KEY_BYTES} bytes")
        keys[key_id] = key
    if not keys:
        raise KeyFilesError(f"{name} holds no key")
    return tuple(keys.items())


def _is_text(key: bytes) -> bool:
    """Printable ASCII throughout: one chance in 10¹³ for a random key, the rule for an example."""
    return all(32 <= byte < 127 for byte in key)


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode() + "\n"


def _new_named_key() -> str:
    return f"k{secrets.token_hex(3)}:{_new_key()}"


def _read_or_create(path: Path, new_text: Callable[[], str], *, may_create: bool) -> str:
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    if not may_create:
        raise KeyFilesError(
            f"{path} is missing, and the database is not new. Restore the file from its backup, or name the right "
            "MCP_HOME: with other keys nothing that is stored can be read."
        )
    try:
        _create(path, new_text())
    except OSError as error:
        raise KeyFilesError(f"{path} can't be written: {error.strerror}") from None
    return _read(path)


def _read(path: Path) -> str:
    """The file's text, from a file that nobody else can read. Raises ``FileNotFoundError``, ``KeyFilesError``."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(65_536)
        folder_mode = path.parent.stat().st_mode
    except FileNotFoundError:
        raise
    except OSError as error:
        raise KeyFilesError(f"{path} can't be read: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFilesError(
            f"{path} is open to other users (mode {stat.S_IMODE(mode):04o}). Close it: chmod 600 {path}"
        )
    if folder_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise KeyFilesError(f"Other users can change {path.parent}. Close it: chmod 700 {path.parent}")
    try:
        return text.decode("ascii")
    except UnicodeDecodeError:
        raise KeyFilesError(f"{path} is not base64") from None


def _create(path: Path, text: str) -> None:
    """Writes the whole file or nothing. One that another process made in the meantime stays as it is."""
    path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        Path(draft).unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def has_stored_secrets(engine: Engine) -> bool:
    """Whether the database holds something that only its own keys can open. Then no new ones may be made."""
    with engine.connect() as connection:
        if not inspect(connection).has_table(SigningKey.__tablename__):
            return False
        return connection.execute(select(SigningKey.__table__.c.kid).limit(1)).first() is not None
