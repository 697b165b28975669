"""``api-key``: keys with which scripts get tokens."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import click

from provider.cli.terminal import Group, as_json, opened, quoted, refuse, show_fields, show_json, show_table
from provider.program_name import command

if TYPE_CHECKING:
    from provider.protocol.client import Client

HOURS = ("0", "1", "24", "72")  # as ``accounts/key_rotation`` has them, which a quick --help does not load
_COLUMNS = ("key_id", "name", "owner", "scope", "state", "last_used_at", "expires_at")


@click.group("api-key", cls=Group)
def api_key() -> None:
    """Keys with which scripts get tokens.

    A key is an OAuth client that a user owns: key id and secret are client_id and client_secret at the token
    endpoint. It never has more than its owner, and ends with its owner.
    """


@api_key.command()
@click.option("--user", "user_name", required=True, metavar="U", help="The owner: user name, e-mail address or id.")
@click.option("--name", required=True, metavar="N", help="What the key is for.")
@click.option("--scope", metavar='"a b"', help="What the key may do. Default: nothing.")
@click.option("--everything", is_flag=True, help="All that the owner may do today, in place of --scope.")
@click.option("--resource", metavar="URI", help="The one API that the key is for. Default: any.")
@click.option("--expires-in-days", metavar="N", type=click.IntRange(1, 366), help="Default: never.")
@as_json
def create(
    *,
    user_name: str,
    name: str,
    scope: str | None,
    everything: bool,
    resource: str | None,
    expires_in_days: int | None,
    as_json: bool,
) -> None:
    """Make a key. Its secret is shown once.

    \b
    Example:   mcp-core api-key create --user ana --name nightly-backup --scope files.read --expires-in-days 90
    Use it:    curl -u "$KEY_ID:$KEY_SECRET" -d grant_type=client_credentials $ISSUER/token
    """
    if everything and scope is not None:
        raise click.UsageError("--scope and --everything contradict each other.")
    with opened() as terminal:
        services = terminal.services
        owner = terminal.user(user_name)
        try:
            made, secret = services.api_keys.create(
                terminal.tx,
                terminal.origin,
                owner,
                name=name,
                scope=None if everything else terminal.scope(scope or ""),
                expires_in_days=expires_in_days,
                resource=resource,
                actor=terminal.actor,
            )
        except ValueError as error:
            refuse(f"{error}.".capitalize())
        fields = _fields(made, owner.username, terminal.origin.now)
    if as_json:
        show_json({**fields, "key_secret": secret})
        return
    show_fields(
        {"key_id": made.client_id, "key_secret": secret, "scope": fields["scope"], "expires_at": made.expires_at}
    )
    click.echo("Keep the secret now; it is not shown again.")


@api_key.command("list")
@click.option("--user", "user_name", metavar="U", help="Only this user's keys.")
@as_json
def list_keys(*, user_name: str | None, as_json: bool) -> None:
    """List keys, ended ones included.

    \b
    Example:   mcp-core api-key list --user ana
    """
    with opened() as terminal:
        services, tx = terminal.services, terminal.tx
        owner_id = terminal.user(user_name).id if user_name else None
        names = {user.id: user.username for user in services.users.list(tx)}
        rows = [
            _fields(key, names.get(key.owner_user_id or "", "-"), terminal.origin.now)
            for key in services.api_keys.list(tx, owner_id)
        ]
    if as_json:
        show_json(rows)
    else:
        show_table(
            _COLUMNS, rows, nothing=f"There is no API key yet. Make one with: {command('api-key create --help')}"
        )


@api_key.command()
@click.argument("key_id")
@click.option(
    "--overlap-hours",
    type=click.Choice(HOURS),
    default="0",
    show_default=True,
    help="How long the old secret works beside the new one.",
)
@as_json
def rotate(*, key_id: str, overlap_hours: str, as_json: bool) -> None:
    """Give a key another secret, shown once. The key keeps its id and its scope.

    \b
    Example:   mcp-core api-key rotate key_7Qd… --overlap-hours 24
    """
    from provider.accounts.key_rotation import RotatedMeanwhile

    with opened() as terminal:
        key, rotation = terminal.client(key_id), terminal.services.key_rotation
        if not key.is_api_key:
            refuse(f"{key_id} is no API key.")
        try:
            secret = rotation.rotate(
                terminal.tx,
                terminal.origin,
                key,
                version=rotation.version(key),
                overlap_hours=int(overlap_hours),
                actor=terminal.actor,
            )
        except RotatedMeanwhile:
            refuse(f"{quoted(key.name)} ({key_id}) has ended, or has just got another secret.")
    shown = {"key_id": key.client_id, "key_secret": secret, "overlap_hours": int(overlap_hours)}
    if as_json:
        show_json(shown)
        return
    show_fields(shown)
    click.echo("Keep the secret now; it is not shown again.")


@api_key.command()
@click.argument("key_id")
def revoke(*, key_id: str) -> None:
    """End a key at once. Programs that use it stop working.

    \b
    Example:   mcp-core api-key revoke key_7Qd…
    """
    with opened() as terminal:
        key = terminal.client(key_id)
        if not key.is_api_key or key.owner_user_id is None:
            refuse(f"{key_id} is no API key.")
        if not terminal.services.api_keys.revoke(
            terminal.tx, terminal.origin, key.owner_user_id, key.id, actor=terminal.actor
        ):
            refuse(f"{quoted(key.name)} ({key_id}) had ended already.")
    click.echo(f"Revoked {quoted(key.name)} ({key_id}).")


def _fields(key: Client, owner: str, now: datetime.datetime) -> dict[str, Any]:
    ended = "revoked" if key.revoked_at else "disabled" if not key.is_active else "expired"
    return {
        "key_id": key.client_id,
        "name": key.name,
        "owner": owner,
        "scope": " ".join(key.scope),
        "resource": key.resource,
        "state": "live" if key.is_usable(now) else ended,
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
        "last_used_address": key.last_used_address,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }
