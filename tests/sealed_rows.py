"""A database with many sealed values, and a rotation of its master keys in a process that can be killed."""

from __future__ import annotations

import datetime
import json
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, insert, select

from database.connection import create_engine_for
from database.models import DataExport, MailMessage, User
from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.security import sealed_columns
from provider.security.crypto import Keyring
from provider.security.rewrapping import Rewrapping
from provider.security.sealed_columns import DATA_EXPORT, LETTER_VALUES, TOTP_SECRET, SealedColumn
from provider.services import Services
from provider.settings import Settings, load_settings
from provider.start.key_files import load_keyring, new_text, ring_path
from provider.start.ring_file import RingFile
from provider.start.rotation import Outcome, Rotation

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime.datetime(2026, 7, 1, 12, 0, tzinfo=datetime.UTC)


class Silent:
    """Waits for nobody. ``waited`` are the reasons."""

    def __init__(self) -> None:
        self.waited: list[str] = []
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def progress(self, done: int, total: int) -> None:
        assert 0 <= done <= total

    def wait(self, seconds: float, reason: str) -> None:
        self.waited.append(reason)


def settings_of(home: Path, **more: str) -> Settings:
    return load_settings({"MCP_HOME": str(home), **more})


def fill(engine: Engine, keyring: Keyring, users: int, *, others: int = 3, begin: int = 0) -> dict[str, str]:
    """That many users with a TOTP secret, by their ids, and a few letters and archives.

    ``begin`` is the number of the first one.
    """
    seeds = {f"user-{number:06}": secrets.token_hex(16) for number in range(begin, begin + users)}
    with Transaction(engine) as tx:
        rows = [
            {
                "id": row_id,
                "username": row_id,
                "username_canonical": row_id,
                "email": f"{row_id}@example.org",
                "email_canonical": f"{row_id}@example.org",
                "two_factor_enabled": True,
                "two_factor_secret": keyring.encrypt(seed.encode(), TOTP_SECRET.context(row_id)),
                "created_at": NOW,
                "updated_at": NOW,
            }
            for row_id, seed in seeds.items()
        ]
        for start in range(0, len(rows), 500):
            tx.execute(insert(User), rows[start : start + 500])
        for number, owner in zip(range(others), seeds, strict=False):
            letter = {
                "id": f"letter-{number}",
                "recipient": "a@example.org",
                "letter": "test",
                "attempts": 0,
                "created_at": NOW,
            }
            sealed = keyring.encrypt(b'{"a": "of a letter"}', LETTER_VALUES.context(f"letter-{number}"))
            tx.execute(insert(MailMessage), letter | {"values_encrypted": sealed})
            export = {"id": f"export-{number}", "user_id": owner, "created_at": NOW, "expires_at": NOW}
            sealed = keyring.encrypt(b"an archive" * 40_000, DATA_EXPORT.context(f"export-{number}", owner=owner))
            tx.execute(insert(DataExport), export | {"attempts": 0, "content_encrypted": sealed})
    return seeds


def sealed(engine: Engine, column: SealedColumn) -> dict[str, str]:
    """The sealed values of a column by their rows' keys."""
    with Transaction(engine) as tx:
        statement = select(column.table.c[column.key], column.column).where(column.column.is_not(None))
        return {row_id: value for row_id, value in tx.execute(statement).all()}  # noqa: C416


def under(engine: Engine) -> dict[str, int]:
    """How many values are under which master key, as their texts say."""
    found: dict[str, int] = {}
    for column in sealed_columns.ALL:
        for value in sealed(engine, column).values():
            version, name = value.split(".")[:2]
            key = name if version == "v2" else f"{version} {name}"
            found[key] = found.get(key, 0) + 1
    return found


def rotation(settings: Settings, engine: Engine, voice: Any, **options: Any) -> Rotation:
    keyring = load_keyring(settings, may_create=False)
    return Rotation(
        Services(settings, engine, keyring),
        Rewrapping(keyring, sealed_columns.ALL),
        voice,
        lambda: Origin.of_server(NOW),
        actor="cli:test",
        **options,
    )


def rotate(settings: Settings, engine: Engine, voice: Any = None, *, keep_old: bool = False, **options: Any) -> Outcome:
    """One rotation of the keys in the files, to its end."""
    ring = RingFile(ring_path(settings))
    return rotation(settings, engine, voice or Silent(), **options).rotate(
        ring, lambda: new_text(None), keep_old=keep_old
    )


def rotate_and_kill(url: str, home: Path, updates: int) -> None:
    """A rotation in a process of its own, killed inside of a transaction after so many rewrapped values."""
    arguments = json.dumps({"url": url, "home": str(home), "updates": updates})
    command = [sys.executable, "-m", "tests.sealed_rows", arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "in the middle\n"
        finally:
            process.kill()


def _stand_still(engine: Engine, updates: int) -> None:
    seen = 0

    @event.listens_for(engine, "after_cursor_execute")
    def count(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        nonlocal seen
        seen += statement.startswith("UPDATE users SET two_factor_secret")
        if seen >= updates:
            print("in the middle", flush=True)
            time.sleep(600)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    made = create_engine_for(given["url"])
    _stand_still(made, given["updates"])
    rotate(settings_of(Path(given["home"])), made, keep_old=True)
