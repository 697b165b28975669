"""``keys``: keys that sign tokens."""

from __future__ import annotations

import click

from provider.cli.terminal import Group, as_json, opened, show_json, show_table

_COLUMNS = ("kid", "algorithm", "state", "created_at", "activates_at", "retires_at")


@click.group(cls=Group)
def keys() -> None:
    """Keys that sign tokens.

    A key is `next` (published, does not sign yet), `active` (signs), or `retiring` (published for what it signed).
    """


@keys.command("list")
@as_json
def list_keys(*, as_json: bool) -> None:
    """List the keys that the JWKS shows.

    \b
    Example:   mcp-core keys list
    """
    with opened() as terminal:
        now = terminal.origin.now
        found = terminal.services.signing_keys.list(terminal.tx, now)
        names = ("kid", "algorithm", "created_at", "activates_at", "retires_at")
        signing = {key.algorithm: key.kid for key in found if key.activates_at <= now}  # the one that began last
        rows = [
            {
                **{name: getattr(key, name) for name in names},
                "state": "active" if signing.get(key.algorithm) == key.kid else key.state(now),
            }
            for key in found
        ]
    if as_json:
        show_json(rows)
    else:
        show_table(_COLUMNS, rows, nothing="There is no key yet. The first start of the server makes them.")


@keys.command()
@click.option(
    "--now",
    "immediately",
    is_flag=True,
    help="Sign with the new keys after half a minute, when every server publishes them: an old one is known to others.",
)
@click.option(
    "--revoke", is_flag=True, help="End the old keys at once, with every token that they signed. Implies --now."
)
@as_json
def rotate(*, immediately: bool, revoke: bool, as_json: bool) -> None:
    """Make a new key for each algorithm.

    New keys are published for two hours before they sign (MCP_SIGNING_KEY_PUBLISH_SECONDS); old ones stay published
    until nothing that they signed is valid any more. Running servers notice within half a minute.

    \b
    Every few months:     mcp-core keys rotate
    A key has leaked:     mcp-core keys rotate --now
    And is being used:    mcp-core keys rotate --revoke
    """
    immediately = immediately or revoke
    with opened() as terminal:
        kids = terminal.services.signing_keys.rotate(
            terminal.tx, terminal.origin, immediately=immediately, revoke=revoke
        )
    if as_json:
        show_json({"kids": kids, "immediately": immediately, "revoked": revoke})
    else:
        click.echo("New keys: " + " ".join(kids))
