"""``cleanup``: what has expired goes, a little at a time."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import click

from provider.cli.terminal import Terminal, as_json, opened, show_fields, show_json

if TYPE_CHECKING:
    from provider.upkeep.purges import Purge

BATCH = 1000


@click.command()
@as_json
def cleanup(*, as_json: bool) -> None:
    """Delete what has expired: codes, requests, tokens, sign-in steps, counters, setup links, retired keys, sessions
    and grants that were over 30 days ago, consents withdrawn a year ago, and applications that registered themselves and
    were never used, records of the audit older than MCP_AUDIT_DAYS, links of letters, archives of a week ago, and accounts
    that were closed two weeks ago. A user's API key that has ended stops being the one that the user's row
    names, and owners of keys that expire within 14 days are written to.

    A running server does the same every few minutes, and this all of it now: in small transactions, beside the server if
    it runs. Safe to repeat and to interrupt.

    \b
    Example:   mcp-core cleanup
    """
    from provider.upkeep.purges import purges

    with opened() as terminal:
        deleted = {name: _purge(terminal, purge) for name, purge in purges(terminal.services).items()}
    if as_json:
        show_json(deleted)
    else:
        show_fields(deleted)


def _purge(terminal: Terminal, purge: Purge) -> int:
    now: datetime.datetime = terminal.origin.now
    total = 0
    while True:
        count = purge(terminal.tx, now, BATCH)
        terminal.tx.commit()
        total += count
        if count < BATCH:
            return total
