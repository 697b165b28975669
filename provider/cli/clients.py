"""``client``: applications that get tokens."""

from __future__ import annotations

from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

import click

from provider.cli.terminal import Group, as_json, ended, opened, quoted, refuse, show_fields, show_json, show_table
from provider.program_name import command

if TYPE_CHECKING:
    from provider.protocol.client import Client, ClientDetails

_METHODS = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
_GRANTS = ("authorization_code", "refresh_token", "client_credentials")
_COLUMNS = ("client_id", "name", "token_endpoint_auth_method", "grant_types", "is_active", "last_used_at")


@click.group(cls=Group)
def client() -> None:
    """Applications that get tokens.

    API keys are clients as well and have their own command: mcp-core api-key.
    """


@client.command()
@click.option("--name", required=True, metavar="N", help="What people read on the consent page.")
@click.option(
    "--public", is_flag=True, help="Keeps no secret: an app on a device or in a browser. Same as --auth-method none."
)
@click.option("--native", is_flag=True, help="Runs on a device: loopback redirects on any port, private-use schemes.")
@click.option(
    "--redirect-uri", "redirect_uris", multiple=True, metavar="URI", help="Where answers may go, exactly. May repeat."
)
@click.option(
    "--post-logout-redirect-uri",
    "post_logout_redirect_uris",
    multiple=True,
    metavar="URI",
    help="Where people may land after signing out. May repeat.",
)
@click.option(
    "--grant",
    "grants",
    multiple=True,
    type=click.Choice(_GRANTS),
    help="May repeat. Default: what fits the redirect URIs.",
)
@click.option(
    "--scope",
    metavar='"a b"',
    default="",
    help="Scopes when the application asks for none; the most it gets by client_credentials.",
)
@click.option("--auth-method", type=click.Choice(_METHODS), help="How it proves itself. Default: client_secret_basic.")
@click.option("--resource", metavar="URI", help="The API its tokens are for when it names none.")
@click.option("--jwks-uri", metavar="URL", help="Where its public keys are, for private_key_jwt and signed requests.")
@click.option(
    "--metadata",
    "metadata_file",
    type=click.File("r", encoding="utf-8"),
    metavar="FILE",
    help="More metadata as JSON, with the names of RFC 7591 and OpenID Connect (jwks, backchannel_logout_uri, …).",
)
@click.option(
    "--no-pkce", is_flag=True, help="Do not require PKCE. For one confidential client that can't; doctor marks it."
)
@click.option("--trusted", is_flag=True, help="Ours: no consent page.")
@as_json
def create(
    *,
    name: str,
    public: bool,
    native: bool,
    redirect_uris: tuple[str, ...],
    post_logout_redirect_uris: tuple[str, ...],
    grants: tuple[str, ...],
    scope: str,
    auth_method: str | None,
    resource: str | None,
    jwks_uri: str | None,
    metadata_file: IO[str] | None,
    no_pkce: bool,
    trusted: bool,
    as_json: bool,
) -> None:
    """Register an application. A secret is shown once.

    \b
    A web application:    mcp-core client create --name Files \\
                            --redirect-uri https://files.example/callback
    A desktop program:    mcp-core client create --name Editor --public --native \\
                            --redirect-uri http://127.0.0.1/callback
    A service by itself:  mcp-core client create --name Backup --grant client_credentials \\
                            --resource https://api.example/ --scope "files.read"
    """
    if public and auth_method not in (None, "none"):
        raise click.UsageError("--public and --auth-method contradict each other.")
    from provider.clients.metadata import ClientMetadata
    from provider.protocol.scopes import parse_scope

    with opened() as terminal:
        services, tx = terminal.services, terminal.tx
        checked = ClientMetadata(
            name=name,
            application_type="native" if native else "web",
            token_endpoint_auth_method="none" if public else auth_method,
            redirect_uris=redirect_uris,
            post_logout_redirect_uris=post_logout_redirect_uris,
            grant_types=grants,
            scope=parse_scope(scope),
            resource=services.resources.get(tx, resource).uri if resource else None,
            require_pkce=not no_pkce,
            details=_details(metadata_file, jwks_uri),
        ).checked()
        made, secret = services.clients.register(
            tx, terminal.origin, kind="application", is_trusted=trusted, actor=terminal.actor, **checked.to_values()
        )
    _show_made(made, secret, as_json=as_json)


@client.command("list")
@as_json
def list_clients(*, as_json: bool) -> None:
    """List all applications.

    \b
    Example:   mcp-core client list
    """
    with opened() as terminal:
        rows = [_fields(found) for found in terminal.services.clients.list(terminal.tx) if not found.is_api_key]
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
        fields = _fields(terminal.client(client_id))
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
    _show_made(found, secret, as_json=as_json)


def _details(metadata_file: IO[str] | None, jwks_uri: str | None) -> ClientDetails:
    """The metadata that has no option of its own. What the file says beyond that is refused, so that no word is lost."""
    from provider.clients.metadata_json import FREE_DETAILS, metadata_from_json
    from provider.protocol.errors import OAuthError
    from provider.protocol.json_body import parse_json

    try:
        said = parse_json(metadata_file.read()) if metadata_file is not None else {}
    except (OAuthError, UnicodeDecodeError):
        said = None
    if not isinstance(said, dict):
        refuse("The metadata file must hold a JSON object.")
    surplus = sorted(set(said) - FREE_DETAILS)
    if surplus:
        refuse(f"Not for the metadata file, or unknown: {' '.join(surplus)}. See: {command('client create --help')}")
    if jwks_uri:
        said["jwks_uri"] = jwks_uri
    return metadata_from_json(said).details


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


def _show_made(made: Client, secret: str | None, *, as_json: bool) -> None:
    shown = {} if secret is None else {"client_secret": secret}
    if as_json:
        show_json({**_fields(made), **shown})
        return
    show_fields({"client_id": made.client_id, **shown})
    if secret is not None:
        click.echo("Keep the secret now; it is not shown again.")


def _fields(found: Client) -> dict[str, Any]:
    names = (
        "client_id", "name", "kind", "application_type", "token_endpoint_auth_method", "redirect_uris",
        "post_logout_redirect_uris", "grant_types", "scope", "resource", "require_pkce", "is_trusted", "is_vouched",
        "is_active", "created_at", "last_used_at",
    )  # fmt: skip
    return {name: getattr(found, name) for name in names} | {"scope": " ".join(found.scope), **found.details.to_dict()}
