"""Where the keyring comes from: two key files in ``$MCP_HOME/keys``, or two settings in their place."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine, inspect, select

from database.models import SigningKey
from provider.security.crypto import Keyring
from provider.settings import Settings
from provider.start.key_texts import WRAPPED, KeyFilesError, decode_key, decode_named_keys, new_key_text
from provider.start.ring_renewal import RingRenewal
from provider.start.transit import Transit, transit_of, unwrap_of

HASHING_FILE = "hashing.key"
ENCRYPTION_FILE = "encryption.keys"


def keys_folder(settings: Settings) -> Path:
    return settings.home.absolute() / "keys"


def ring_path(settings: Settings) -> Path:
    """The file of the master keys, whether or not a setting is in its place."""
    return keys_folder(settings) / ENCRYPTION_FILE


def load_keyring(settings: Settings, *, may_create: bool = True) -> Keyring:
    """The keys from ``MCP_HASHING_KEY`` and ``MCP_ENCRYPTION_KEYS``, or from the files.

    Files that are missing are made when ``may_create``, mode 0600 in a folder of mode 0700; of two processes that do so at
    once both get what the first one wrote. ``may_create`` is for a new database: a database that has been in use can't be
    read with new keys. A secrets service is asked for keys that it has wrapped, so no transaction may be open. Raises
    ``KeyFilesError``.
    """
    folder, transit = keys_folder(settings), transit_of(settings)
    unwrap = unwrap_of(transit)
    if settings.hashing_key is not None:
        hashing_text, hashing_name = settings.hashing_key.get_secret_value(), "MCP_HASHING_KEY"
    else:
        hashing_text = _read_or_create(folder / HASHING_FILE, lambda: new_text(transit), may_create=may_create)
        hashing_name = str(folder / HASHING_FILE)
    hashing_key = decode_key(hashing_text.strip(), hashing_name, unwrap)
    if settings.encryption_keys is not None:
        text = settings.encryption_keys.get_secret_value()
        return Keyring(hashing_key, decode_named_keys(text, "MCP_ENCRYPTION_KEYS", unwrap))
    path = ring_path(settings)
    _read_or_create(path, lambda: f"k{secrets.token_hex(3)}:{new_text(transit)}", may_create=may_create)
    renewal = RingRenewal(path, read_key_file, unwrap)
    keyring = Keyring(hashing_key, renewal.read())
    renewal.keep_up(keyring.masters)
    return keyring


def new_text(transit: Transit | None) -> str:
    """A new key as text, wrapped where there is a service for that: then nobody but it has seen the key."""
    return new_key_text() if transit is None else WRAPPED + transit.new_wrapped_key()


def keys_exist(settings: Settings) -> bool:
    """Whether every key is in a file or a setting already."""
    folder = keys_folder(settings)
    return (settings.hashing_key is not None or (folder / HASHING_FILE).exists()) and (
        settings.encryption_keys is not None or (folder / ENCRYPTION_FILE).exists()
    )


def read_key_file(path: Path) -> str:
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


def write_key_file(path: Path, text: str, *, replace: bool) -> None:
    """Writes the whole file or nothing, at one stroke: a reader sees what was there or what is.

    Without ``replace`` a file that another process made in the meantime stays as it is. Raises ``OSError``.
    """
    path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # mode 0600
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            if os.geteuid() == 0:  # root may rotate: the server's account must still be able to read
                os.chown(draft, path.stat().st_uid, path.stat().st_gid)
            draft.replace(path)
        else:
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read_or_create(path: Path, new: Callable[[], str], *, may_create: bool) -> str:
    try:
        return read_key_file(path)
    except FileNotFoundError:
        pass
    if not may_create:
        raise KeyFilesError(
            f"{path} is missing, and the database is not new. Restore the file from its backup, or name the right "
            "MCP_HOME: with other keys nothing that is stored can be read."
        )
    text = new() + "\n"
    try:
        write_key_file(path, text, replace=False)
    except OSError as error:
        raise KeyFilesError(f"{path} can't be written: {error.strerror}") from None
    return read_key_file(path)


def has_stored_secrets(engine: Engine) -> bool:
    """Whether the database holds something that only its own keys can open. Then no new ones may be made."""
    with engine.connect() as connection:
        if not inspect(connection).has_table(SigningKey.__tablename__):
            return False
        return connection.execute(select(SigningKey.__table__.c.kid).limit(1)).first() is not None
