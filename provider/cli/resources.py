"""``resource``: APIs that tokens are for (RFC 8707)."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from provider.cli.terminal import Group, as_json, ended, opened, refuse, show_fields, show_json, show_table
from provider.program_name import command

if TYPE_CHECKING:
    from provider.protocol.client import Resource

_COLUMNS = ("uri", "name", "scope", "token_alg", "access_token_seconds")


@click.group(cls=Group)
def resource() -> None:
    """APIs that tokens are for.

    A token names the API it is for in its claim `aud`, in just the spelling that was registered.
    """


@resource.command()
@click.argument("uri")
@click.option("--name", required=True, metavar="N", help="What people read on the consent page.")
@click.option("--scope", required=True, metavar='"a b"', help="All scopes that the API knows.")
@click.option("--admin-scope", metavar='"a b"', default="", help="Those of them that only administrators get.")
@click.option(
    "--token-alg", type=click.Choice(("RS256", "ES256", "EdDSA")), default="RS256", show_default=True,
    help="Signature of its access tokens. ES256 costs a sixth of RS256.",
)  # fmt: skip
@click.option("--access-token-seconds", metavar="N", type=click.IntRange(30, 900), help="Life of its access tokens.")
@as_json
def add(
    *,
    uri: str,
    name: str,
    scope: str,
    admin_scope: str,
    token_alg: str,
    access_token_seconds: int | None,
    as_json: bool,
) -> None:
    """Register an API.

    \b
    Example:   mcp-core resource add https://files.example/mcp --name Files --scope "files.read files.write"
    """
    from provider.clients.resources import ResourceExists
    from provider.protocol.scopes import parse_scope

    with opened() as terminal:
        try:
            made = terminal.services.resources.add(
                terminal.tx,
                terminal.origin,
                uri=uri,
                name=name,
                scope=parse_scope(scope),
                admin_scope=parse_scope(admin_scope),
                token_alg=token_alg,
                access_token_seconds=access_token_seconds,
            )
        except ResourceExists:
            refuse(f"{uri} is registered already.")
        except ValueError as error:
            refuse(f"{error}.".capitalize())
    if as_json:
        show_json(_fields(made))
    else:
        show_fields(_fields(made))


@resource.command("set")
@click.argument("uri")
@click.option(
    "--introspection-client", "client_ids", multiple=True, metavar="ID", required=True,
    help="A client that is this API, and may introspect tokens for it. May repeat; takes the place of those before.",
)  # fmt: skip
@as_json
def set_resource(*, uri: str, client_ids: tuple[str, ...], as_json: bool) -> None:
    """Say which clients are an API itself, so that they may ask what a token for it is (introspection).

    Other clients learn about their own tokens alone. An empty ID leaves no client.

    \b
    Example:   mcp-core resource set https://files.example/mcp --introspection-client app_4fK…
    """
    with opened() as terminal:
        wanted = tuple(dict.fromkeys(name for name in client_ids if name))
        for name in wanted:
            found = terminal.client(name)
            if found.kind != "application" or not found.always_authenticates:
                refuse(f"{name} is no application that an operator made and that has a secret or a key.")
        changed = terminal.services.resources.set_introspection_clients(terminal.tx, terminal.origin, uri, wanted)
        if changed is None:
            terminal.unknown_resource(uri)
    if as_json:
        show_json(_fields(changed))
    else:
        show_fields(_fields(changed))


@resource.command("list")
@as_json
def list_resources(*, as_json: bool) -> None:
    """List all APIs.

    \b
    Example:   mcp-core resource list
    """
    with opened() as terminal:
        rows = [_fields(found) for found in terminal.services.resources.list(terminal.tx)]
    if as_json:
        show_json(rows)
    else:
        show_table(_COLUMNS, rows, nothing=f"There is no API yet. Add one with: {command('resource add --help')}")


@resource.command()
@click.argument("uri")
def remove(*, uri: str) -> None:
    """Take an API out of the catalogue, and end for good all that was granted at it.

    \b
    Example:   mcp-core resource remove https://files.example/mcp
    """
    with opened() as terminal:
        done = terminal.services.resources.remove(terminal.tx, terminal.origin, uri)
        if done is None:
            terminal.unknown_resource(uri)
    click.echo(f"Removed {uri}.{ended(asdict(done))}")


def _fields(found: Resource) -> dict[str, Any]:
    return {
        "uri": found.uri,
        "name": found.name,
        "scope": " ".join(found.scope),
        "admin_scope": " ".join(found.admin_scope),
        "token_alg": found.token_alg,
        "access_token_seconds": found.access_token_seconds,
        "introspection_clients": found.introspection_clients,
    }
