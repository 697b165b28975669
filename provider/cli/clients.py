"""``client``: applications that get tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from provider.cli.client_options import (
    changed_uris,
    only_groups,
    options_from,
    refuse_contradictions,
    registration_options,
)
from provider.cli.presets import configuration_for, for_program, show_configuration, uris_for
from provider.cli.terminal import Group, as_json, ended, opened, quoted, refuse, show_fields, show_json, show_table
from provider.program_name import command

if TYPE_CHECKING:
    from provider.clients.presets import Preset
    from provider.protocol.client import Client

_COLUMNS = ("client_id", "name", "token_endpoint_auth_method", "grant_types", "is_active", "last_used_at")


@click.group(cls=Group)
def client() -> None:
    """Applications that get tokens.

    API keys are clients as well and have their own command: mcp-core api-key.
    """


@client.command()
@for_program
@click.option("--name", required=True, metavar="N", help="What people read on the consent page.")
@registration_options
@only_groups
@click.option("--trusted", is_flag=True, help="Ours: no consent page.")
@as_json
def create(
    *,
    preset: Preset | None,
    name: str,
    only_groups: tuple[str, ...],
    trusted: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Register an application. A secret is shown once.

    \b
    A web application:    mcp-core client create --name Files \\
                            --redirect-uri https://files.example/callback
    A desktop program:    mcp-core client create --name Editor --public --native \\
                            --redirect-uri http://127.0.0.1/callback
    A service by itself:  mcp-core client create --name Backup --grant client_credentials \\
                            --resource https://api.example/ --scope "files.read"
    Somebody's program:   mcp-core client create --for jupyterhub \\
                            --redirect-uri https://hub.example
    """
    from provider.clients.operator_metadata import operator_metadata
    from provider.protocol.client import OPERATORS

    refuse_contradictions(given)
    if preset is not None:
        given |= uris_for(preset, given)
    with opened() as terminal:
        services = terminal.services
        options = options_from(terminal, name, given, "native" if given["native"] else None)
        metadata = operator_metadata(options, algorithms=services.settings.algorithms)
        _refuse_idle_reservation(only_groups, metadata.grant_types)
        made, secret = services.clients.register(
            terminal.tx,
            terminal.origin,
            kind=OPERATORS,
            is_trusted=trusted,
            only_groups=terminal.group_ids(only_groups),
            actor=terminal.actor,
            **metadata.to_values(),
        )
        text = None if preset is None else configuration_for(preset, terminal, made, secret)
        groups = services.groups.names(terminal.tx, made.only_groups)
    _show_made(made, secret, groups, as_json=as_json, configuration=text)
    if preset is not None and text is not None and not as_json:
        show_configuration(preset, text)


@client.command()
@click.argument("client_id")
@click.option("--name", metavar="N", help="What people read on the consent page.")
@registration_options
@only_groups
@click.option("--web", is_flag=True, help="Does not run on a device: takes --native back.")
@click.option(
    "--add-redirect-uri", "added", multiple=True, metavar="URI", help="One more, beside those there are. May repeat."
)
@click.option("--remove-redirect-uri", "removed", multiple=True, metavar="URI", help="One less. May repeat.")
@click.option("--trusted/--untrusted", default=None, help="Whether it is ours: no consent page.")
@as_json
def update(
    *,
    client_id: str,
    name: str | None,
    only_groups: tuple[str, ...],
    web: bool,
    added: tuple[str, ...],
    removed: tuple[str, ...],
    trusted: bool | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Change what is given, and nothing else. --redirect-uri and other lists take the place of what was there.

    An empty text takes something away: --resource "". People are asked for consent again where what they decided on has
    changed. An application that gets its first secret is shown it once.

    \b
    Example:   mcp-core client update app_4fK… --add-redirect-uri https://files.example/other
    """
    from provider.clients.operator_metadata import operator_metadata

    refuse_contradictions(given)
    if web and given["native"]:
        raise click.UsageError("--native and --web contradict each other.")
    if not any(
        (
            name,
            only_groups,
            web,
            added,
            removed,
            trusted is not None,
            *(value not in (None, False, ()) for value in given.values()),
        )
    ):
        raise click.UsageError("Say what is to change.")
    with opened() as terminal:
        services, found = terminal.services, terminal.client(client_id)
        _refuse_others(found)
        if added or removed:
            given["redirect_uris"] = tuple(changed_uris(found, given["redirect_uris"], added, removed)) or ("",)
        client_type = "web" if web else "native" if given["native"] else None
        options = options_from(terminal, name, given, client_type)
        metadata = operator_metadata(options, known=found, algorithms=services.settings.algorithms)
        _refuse_idle_reservation(only_groups or found.only_groups, metadata.grant_types)
        done = services.clients.replace(
            terminal.tx,
            terminal.origin,
            found,
            metadata,
            is_trusted=trusted,
            only_groups=terminal.group_ids(only_groups) if only_groups else None,
            actor=terminal.actor,
        )
        if done is None:
            refuse("Somebody else has changed this application at the same moment. Try again.")
        changed, secret = done
        groups = services.groups.names(terminal.tx, changed.only_groups)
    if as_json or secret is not None:
        _show_made(changed, secret, groups, as_json=as_json)
    else:
        click.echo(f"{quoted(changed.name)} ({client_id}) is updated.")


@client.command("list")
@as_json
def list_clients(*, as_json: bool) -> None:
    """List all applications.

    \b
    Example:   mcp-core client list
    """
    with opened() as terminal:
        groups = terminal.group_names()
        rows = [
            _fields(found, [groups.get(group_id, group_id) for group_id in found.only_groups])
            for found in terminal.services.clients.list(terminal.tx)
            if not found.is_api_key
        ]
    if as_json:
        show_json(rows)
    else:
        show_table(_COLUMNS, rows, nothing=f"There is no client yet. Make one with: {command('client create --help')}")


@client.command()
@click.argument("client_id")
@as_json
def show(*, client_id: str, as_json: bool) -> None:
    """Show one application. Its secret can't be shown again; it can be replaced with rotate-secret.

    \b
    Example:   mcp-core client show app_4fK…
    """
    with opened() as terminal:
        found = terminal.client(client_id)
        fields = _fields(found, terminal.services.groups.names(terminal.tx, found.only_groups))
    if as_json:
        show_json(fields)
    else:
        show_fields(fields)


@client.command()
@click.argument("client_id")
def disable(*, client_id: str) -> None:
    """Stop an application, and end for good all that was granted to it: grants, tokens, requests under way.

    \b
    Example:   mcp-core client disable app_4fK…
    """
    _set_active(client_id, active=False)


@client.command()
@click.argument("client_id")
def enable(*, client_id: str) -> None:
    """Let a disabled application work again. What has ended does not come back: people allow it anew.

    \b
    Example:   mcp-core client enable app_4fK…
    """
    _set_active(client_id, active=True)


@client.command()
@click.argument("client_id")
def delete(*, client_id: str) -> None:
    """Remove an application with all that was granted to it. There is no way back.

    \b
    Example:   mcp-core client delete app_4fK…
    """
    with opened() as terminal:
        found = terminal.client(client_id)
        if not terminal.services.clients.delete(terminal.tx, terminal.origin, client_id, actor=terminal.actor):
            refuse(f"{client_id} is an API key. Revoke it with: {command(f'api-key revoke {client_id}')}")
    click.echo(f"Deleted {quoted(found.name)} ({client_id}).")


@client.command("rotate-secret")
@click.argument("client_id")
@as_json
def rotate_secret(*, client_id: str, as_json: bool) -> None:
    """Replace the secret. The new one is shown once; the old one stops working at once.

    \b
    Example:   mcp-core client rotate-secret app_4fK…
    """
    with opened() as terminal:
        found = terminal.client(client_id)
        secret = terminal.services.clients.rotate_secret(terminal.tx, terminal.origin, client_id, actor=terminal.actor)
        if secret is None:
            refuse(f"{quoted(found.name)} has no secret: it is a public client, or was revoked.")
        groups = terminal.services.groups.names(terminal.tx, found.only_groups)
    _show_made(found, secret, groups, as_json=as_json)


def _refuse_idle_reservation(groups: Sequence[str], grant_types: Sequence[str]) -> None:
    """Raises a refusal where nobody signs in: an application in its own name is in no group."""
    if any(groups) and "authorization_code" not in grant_types:
        refuse("Only an application that people sign in to can be reserved for groups.")


def _refuse_others(found: Client) -> None:
    """Raises a refusal for what is changed elsewhere."""
    from provider.protocol.client import OPERATORS

    if found.is_api_key:
        refuse(f"{found.client_id} is an API key, which is never changed. Make a new one: {command('api-key create')}")
    if found.kind != OPERATORS:
        refuse(f"{quoted(found.name)} registered itself: it changes what it says of itself, and nobody else does.")


def _set_active(client_id: str, *, active: bool) -> None:
    with opened() as terminal:
        found = terminal.client(client_id)
        done = terminal.services.clients.set_active(
            terminal.tx, terminal.origin, client_id, active, actor=terminal.actor
        )
    state = "enabled" if active else "disabled"
    if found.is_active == active or done is None:
        click.echo(f"{quoted(found.name)} ({client_id}) was {state} already.")
    else:
        click.echo(f"{quoted(found.name)} ({client_id}) is {state}.{ended(asdict(done))}")


def _show_made(
    made: Client, secret: str | None, groups: Sequence[str], *, as_json: bool, configuration: str | None = None
) -> None:
    shown = {} if secret is None else {"client_secret": secret}
    if as_json:
        show_json(
            {**_fields(made, groups), **shown, **({} if configuration is None else {"configuration": configuration})}
        )
        return
    show_fields({"client_id": made.client_id, **shown})
    if secret is not None:
        click.echo("Keep the secret now; it is not shown again.")


def _fields(found: Client, groups: Sequence[str]) -> dict[str, Any]:
    names = (
        "client_id", "name", "kind", "application_type", "token_endpoint_auth_method", "redirect_uris",
        "exact_auth_method", "post_logout_redirect_uris", "grant_types", "scope", "resource", "require_pkce", "pkce",
        "claims_in_id_token", "id_token_signed_response_alg", "is_trusted", "is_vouched", "is_active", "created_at",
        "last_used_at",
    )  # fmt: skip
    more = {"scope": " ".join(found.scope), "only_groups": list(groups), **found.details.to_dict()}
    return {name: getattr(found, name) for name in names} | more
