"""``cloud``: cloud accounts of people. Their secrets are nothing that an operator reads here."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import click

from provider.cli.terminal import Group, as_json, near, opened, quoted, refuse, show_json, show_table
from provider.program_name import command

if TYPE_CHECKING:
    from provider.vault.account import CloudAccount

_COLUMNS = ("label", "provider", "mode", "is_primary", "secret_age_days", "last_used_at", "created_at")


@click.group(cls=Group)
def cloud() -> None:
    """Cloud accounts of people: seen and taken away, never read.

    Only their owner connects them, on the page "Cloud accounts", and only the owner's programs get what is in them.

    USER is a user name, an e-mail address or an id, LABEL what the owner calls the account.
    """


@cloud.command("list")
@click.argument("user_name", metavar="USER")
@as_json
def list_accounts(*, user_name: str, as_json: bool) -> None:
    """List somebody's cloud accounts, without their secrets.

    \b
    Example:   mcp-core cloud list ana
    """
    with opened() as terminal:
        owner = terminal.user(user_name)
        found = terminal.services.cloud_accounts.list(terminal.tx, owner.id)
        rows = [_fields(account, terminal.origin.now) for account in found]
    if as_json:
        show_json(rows)
    else:
        show_table(_COLUMNS, rows, nothing=f"{owner.username} has no cloud account.")


@cloud.command()
@click.argument("user_name", metavar="USER")
@click.argument("label")
def remove(*, user_name: str, label: str) -> None:
    """Forget an account with its secrets. Programs that use it get nothing any more.

    \b
    Example:   mcp-core cloud remove ana work
    """
    with opened() as terminal:
        owner, accounts = terminal.user(user_name), terminal.services.cloud_accounts
        by_label = {account.label: account for account in accounts.list(terminal.tx, owner.id)}
        if label not in by_label:
            known = near(label, by_label)
            see = command(f"cloud list {owner.username}")
            refuse(f"{owner.username} has no cloud account {quoted(label)}.{known} See: {see}")
        if not accounts.remove(terminal.tx, terminal.origin, by_label[label], actor=terminal.actor):
            refuse(f"The cloud account {quoted(label)} of {owner.username} had gone already.")
    click.echo(f"Removed the cloud account {quoted(label)} of {owner.username}.")


def _fields(account: CloudAccount, now: datetime.datetime) -> dict[str, Any]:
    return {
        "id": account.id,
        "label": account.label,
        "provider": account.provider,
        "mode": account.mode,
        "is_primary": account.is_primary,
        "fields": account.shown(),
        "secret_age_days": account.secret_age_days(now),
        "secrets_changed_at": account.secrets_changed_at,
        "last_used_at": account.last_used_at,
        "tested_at": account.tested_at,
        "created_at": account.created_at,
        "updated_at": account.updated_at,
    }
