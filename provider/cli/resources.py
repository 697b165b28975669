"""``resource``: APIs that tokens are for (RFC 8707)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from provider.cli.api_options import (
    ALGORITHMS,
    TOKEN_ALG_HELP,
    TOKEN_TYP_HELP,
    TYPES,
    described,
    describing,
    groups_claim,
    reserved_scopes,
    scope_groups,
)
from provider.cli.terminal import Group, as_json, ended, near, opened, refuse, show_fields, show_json, show_table
from provider.program_name import command

if TYPE_CHECKING:
    from provider.cli.terminal import Terminal
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
@scope_groups
@groups_claim
@describing
@click.option("--token-alg", type=ALGORITHMS, default="RS256", show_default=True, help=TOKEN_ALG_HELP)
@click.option("--token-typ", type=TYPES, default="at+jwt", show_default=True, help=TOKEN_TYP_HELP)
@click.option("--access-token-seconds", metavar="N", type=click.IntRange(30, 900), help="Life of its access tokens.")
@as_json
def add(
    *,
    uri: str,
    name: str,
    scope: str,
    admin_scope: str,
    reserved: tuple[str, ...],
    groups_claim: str | None,
    english: tuple[str, ...],
    korean: tuple[str, ...],
    token_alg: str,
    token_typ: str,
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
        known_scope = parse_scope(scope)
        try:
            made = terminal.services.resources.add(
                terminal.tx,
                terminal.origin,
                uri=uri,
                name=name,
                scope=known_scope,
                admin_scope=parse_scope(admin_scope),
                token_alg=token_alg,
                access_token_seconds=access_token_seconds,
                descriptions=described(known_scope, english, korean),
                token_typ=token_typ,
                groups_claim=groups_claim == "on",
                scope_groups=reserved_scopes(known_scope, reserved, terminal.group_id, {}),
            )
        except ResourceExists as known:
            same = "" if str(known) == uri else f" Clients take {uri} for the same."
            refuse(f"{known} is registered already.{same}")
        except ValueError as error:
            refuse(f"{error}.".capitalize())
        groups = terminal.group_names()
    _show(made, groups, as_json=as_json)


@resource.command()
@click.argument("uri")
@click.option("--name", metavar="N", help="What people read on the consent page.")
@click.option("--add-scope", metavar='"a b"', default="", help="Scopes that the API has learnt.")
@click.option("--remove-scope", metavar='"a b"', default="", help="Scopes that it no longer knows.")
@click.option("--admin-scope", metavar='"a b"', help="Those that only administrators get, in place of those before.")
@scope_groups
@groups_claim
@describing
@click.option("--token-alg", type=ALGORITHMS, help=TOKEN_ALG_HELP)
@click.option("--token-typ", type=TYPES, help=TOKEN_TYP_HELP)
@click.option(
    "--access-token-seconds",
    metavar="N",
    type=click.IntRange(0, 900),
    help="Life of its access tokens. 0: as set for all.",
)
@as_json
def update(
    *,
    uri: str,
    name: str | None,
    add_scope: str,
    remove_scope: str,
    admin_scope: str | None,
    reserved: tuple[str, ...],
    groups_claim: str | None,
    english: tuple[str, ...],
    korean: tuple[str, ...],
    token_alg: str | None,
    token_typ: str | None,
    access_token_seconds: int | None,
    as_json: bool,
) -> None:
    """Change what is said of an API. What no option names stays as it is.

    Access tokens that are out keep what they say until they end, some minutes later.

    \b
    Example:   mcp-core resource update https://files.example/mcp --add-scope files.delete \\
                 --describe "files.delete=Delete your files" --describe-ko "files.delete=내 파일 삭제"
    """
    from provider.protocol.scopes import parse_scope

    with opened() as terminal:
        known = _known(terminal, uri)
        removed = parse_scope(remove_scope)
        for entry in removed:
            if entry not in known.scope:
                refuse(f"It has no scope {entry}.{near(entry, known.scope)} It has: {' '.join(known.scope)}")
        scope = tuple(entry for entry in (*known.scope, *parse_scope(add_scope)) if entry not in removed)
        admins = known.admin_scope if admin_scope is None else parse_scope(admin_scope)
        changes: dict[str, Any] = {
            "name": name,
            "scope": tuple(dict.fromkeys(scope)),
            "admin_scope": tuple(entry for entry in admins if entry not in removed),
            "descriptions": described(scope, english, korean, known.descriptions),
            "token_alg": token_alg,
            "token_typ": token_typ,
            "groups_claim": None if groups_claim is None else groups_claim == "on",
            "scope_groups": reserved_scopes(scope, reserved, terminal.group_id, known.scope_groups),
        }
        changes = {field: value for field, value in changes.items() if value is not None}
        if access_token_seconds is not None:
            changes["access_token_seconds"] = access_token_seconds or None
        try:
            changed = terminal.services.resources.change(terminal.tx, terminal.origin, known.uri, **changes)
        except ValueError as error:
            refuse(f"{error}.".capitalize())
        groups = terminal.group_names()
    _show(changed or known, groups, as_json=as_json)


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
        known = _known(terminal, uri)
        wanted = tuple(dict.fromkeys(name for name in client_ids if name))
        for name in wanted:
            found = terminal.client(name)
            if found.kind != "application" or not found.always_authenticates:
                refuse(f"{name} is no application that an operator made and that has a secret or a key.")
        changes = {"introspection_clients": wanted}
        changed = terminal.services.resources.change(terminal.tx, terminal.origin, known.uri, **changes)
        groups = terminal.group_names()
    _show(changed or known, groups, as_json=as_json)


@resource.command("list")
@as_json
def list_resources(*, as_json: bool) -> None:
    """List all APIs.

    \b
    Example:   mcp-core resource list
    """
    with opened() as terminal:
        groups = terminal.group_names()
        rows = [_fields(found, groups) for found in terminal.services.resources.list(terminal.tx)]
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


def _known(terminal: Terminal, uri: str) -> Resource:
    """The API that an operator means, in any spelling, or a refusal. This server itself is none."""
    services = terminal.services
    found = services.resources.find(terminal.tx, uri)
    if found is None or found == services.resources.default():
        terminal.unknown_resource(uri)
    return found


def _show(found: Resource, groups: Mapping[str, str], *, as_json: bool) -> None:
    fields = _fields(found, groups)
    if as_json:
        show_json(fields)
        return
    descriptions = [f"{name}={words}" for name, said in found.descriptions.items() for words in said.values()]
    reserved = [f"{scope}={name}" for scope, names in fields["scope_groups"].items() for name in names]
    show_fields({**fields, "descriptions": "; ".join(descriptions), "scope_groups": reserved})


def _fields(found: Resource, groups: Mapping[str, str]) -> dict[str, Any]:
    """``groups`` are the names of all groups by their ids."""
    reserved = found.scope_groups.items()
    return {
        "uri": found.uri,
        "name": found.name,
        "scope": " ".join(found.scope),
        "admin_scope": " ".join(found.admin_scope),
        "token_alg": found.token_alg,
        "access_token_seconds": found.access_token_seconds,
        "introspection_clients": found.introspection_clients,
        "descriptions": {name: dict(words) for name, words in found.descriptions.items()},
        "token_typ": found.token_typ,
        "groups_claim": found.groups_claim,
        "scope_groups": {scope: sorted(groups.get(group_id, group_id) for group_id in ids) for scope, ids in reserved},
    }
