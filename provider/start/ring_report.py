"""What is under which master key, and what does not open: for ``vault status`` and ``doctor``. Changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from database.transaction import Transaction
from provider.program_name import command
from provider.security.rewrapping import Rewrapping
from provider.security.sealed_settings import SMTP_PASSWORD, master_key_of, opens
from provider.services import Services
from provider.settings import Settings
from provider.start.key_files import ring_path
from provider.start.key_texts import WRAPPED
from provider.start.ring_file import RingFile

MOST_NAMED = 100
_SHOWN = 5
_MADE = re.compile(r"k(\d{4})(\d{2})(\d{2})-[0-9a-f]+")


def ring_report(tx: Transaction, services: Services, rewrapping: Rewrapping, *, most_opened: int) -> dict[str, Any]:
    """Counts by column and key (``?`` is one that is not here), and what does not open of ``most_opened`` values of each
    column. The transaction is over afterwards. Raises ``KeyFilesError``.
    """
    ids = services.keyring.masters.ids
    columns: list[dict[str, Any]] = [
        {"column": str(column), "key": key, "values": count}
        for column in rewrapping.columns
        for key, count in rewrapping.counts(tx, column).items()
    ]
    tx.commit()  # opening them takes a while, and reads in transactions of its own
    found = (it for column in rewrapping.columns for it in rewrapping.unreadable(services.engine, column, most_opened))
    named = list(islice(found, MOST_NAMED))
    source, text, following = _source(services.settings)
    per_key = {name: sum(row["values"] for row in columns if row["key"] in (name, f"v1 {name}")) for name in ids}
    return {
        "source": source,
        "kept": "wrapped by a secrets service" if f":{WRAPPED}" in text else "in clear",
        "keys": [
            {
                "id": name,
                "use": "writes" if name == ids[0] else "next" if name == following else "reads",
                "made": "-".join(made.groups()) if (made := _MADE.fullmatch(name)) else None,
                "values": per_key[name],
            }
            for name in ids
        ],
        "columns": columns,
        "settings": sealed_settings(services),
        "older": sum(row["values"] for row in columns if row["key"] not in (ids[0], "?")),
        "unreadable": len(named) + sum(1 for _ in found),
        "named": [{"column": str(value.column), "row_id": value.row_id} for value in named],
    }


def ring_remarks(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The same as remarks: how bad it is, in doctor's words, and a sentence."""
    (first, *others), columns = report["keys"], report["columns"]
    total = sum(row["values"] for row in columns)
    yield "ok", f"{len(others) + 1} master keys, {first['id']} writes; {total} values are sealed"
    if any(key["use"] == "next" for key in others):
        yield "warn", f"a rotation of master keys was begun and is not over ({command('vault rotate')} goes on)"
    if first_format := sum(row["values"] for row in columns if row["key"].startswith("v1 ")):
        yield "warn", f"{first_format} values are of the first format ({command('vault rotate')} renews them)"
    if older := report["older"] - first_format:
        yield (
            "warn",
            f"{older} values are under an older master key ({command('vault rotate')} brings them under a new one)",
        )
    if report["unreadable"]:
        places = ", ".join(f"{value['column']} of {value['row_id']}" for value in report["named"][:_SHOWN])
        more = f" and {report['unreadable'] - _SHOWN} more ({command('vault status')})"
        shown = places + (more if report["unreadable"] > _SHOWN else "")
        yield "fail", f"{report['unreadable']} sealed values do not open, and count as not there: {shown}"


def sealed_settings(services: Services) -> list[dict[str, Any]]:
    """Settings that are sealed, with the master key that each is under, and whether it opens."""
    server = services.settings.mail_server
    key = None if server is None else master_key_of(server.password)
    if server is None or key is None:
        return []
    state = "opens" if opens(services.keyring, SMTP_PASSWORD, server.password) else "does not open"
    return [{"setting": SMTP_PASSWORD, "key": key, "state": state}]


def _source(settings: Settings) -> tuple[str, str, str | None]:
    """Where the ring is, its text, and the id of a key that waits for its turn."""
    if settings.encryption_keys is not None:
        return "MCP_ENCRYPTION_KEYS", settings.encryption_keys.get_secret_value(), None
    ring = RingFile(ring_path(settings))
    return str(ring.path), ring.text(), ring.next_id()
