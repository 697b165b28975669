"""``cleanup``: what has expired goes, a little at a time."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import click

from provider.cli.terminal import Terminal, as_json, opened, show_fields, show_json

BATCH = 1000


@click.command()
@as_json
def cleanup(*, as_json: bool) -> None:
    """Delete what has expired: codes, requests, tokens, sign-in steps, counters, setup links, retired keys, sessions
    and grants that were over 30 days ago, consents withdrawn a year ago, and applications that registered themselves and
    were never used. A user's API key that has ended stops being the one that the user's row names.

    Works in small transactions while the server runs. Safe to repeat and to interrupt. The audit log is kept.

    \b
    In cron:   17 3 * * *   cd /srv/mcp-core && .venv/bin/mcp-core cleanup
    """
    with opened() as terminal:
        deleted = {name: _purge(terminal, purge) for name, purge in _purges(terminal).items()}
    if as_json:
        show_json(deleted)
    else:
        show_fields(deleted)


Purge = Callable[..., int]


def _purges(terminal: Terminal) -> dict[str, Purge]:
    services = terminal.services
    return {
        "authorization_codes": services.codes.purge,
        "authorization_requests": services.authorization_requests.purge,
        "refresh_tokens": services.refresh_tokens.purge,
        "issued_tokens": services.token_verifier.purge,
        "login_attempts": services.login.purge,
        "rate_counters": services.rate_limits.purge,
        "user_sessions": services.sessions.purge,
        "signing_keys": services.signing_keys.purge,
        "pushed_requests": services.pushed_requests.purge,
        "logout_notices": services.logout_notices.purge,
        "replay_guard": services.replay.purge,
        "setup_links": services.setup_links.purge,
        "grants": services.grants.purge,
        "consents": services.consents.purge,
        "unused_clients": _unused_clients(terminal),
        "api_key_names": services.api_keys.renew_names,
    }


def _unused_clients(terminal: Terminal) -> Purge:
    """Clients that registered themselves and were not used for the days that the settings give them."""
    days = datetime.timedelta(days=terminal.services.settings.registration_unused_days)
    return lambda tx, now, limit: terminal.services.clients.purge_unused(tx, now - days, limit)


def _purge(terminal: Terminal, purge: Purge) -> int:
    now: datetime.datetime = terminal.origin.now
    total = 0
    while True:
        count = purge(terminal.tx, now, BATCH)
        terminal.tx.commit()
        total += count
        if count < BATCH:
            return total
