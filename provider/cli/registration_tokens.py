"""``registration-token``: letting others register applications that are vouched for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from provider.cli.terminal import Group, as_json, opened, refuse, show_fields, show_json, show_table
from provider.program_name import command

if TYPE_CHECKING:
    import datetime

    from provider.clients.registration_tokens import RegistrationToken

_COLUMNS = ("id", "name", "state", "uses_left", "created_at", "expires_at")


@click.group("registration-token", cls=Group)
def registration_token() -> None:
    """Tokens with which applications register themselves and are vouched for (RFC 7591: initial access tokens).

    Without one an application can register too, unless MCP_DYNAMIC_REGISTRATION forbids it. Then it can only sign people
    in, and they are warned of it.
    """


@registration_token.command()
@click.option("--name", required=True, metavar="N", help="Whom the token is for.")
@click.option(
    "--expires-in-days",
    metavar="N",
    type=click.IntRange(1, 366),
    default=30,
    show_default=True,
    help="When it ends by itself.",
)
@click.option(
    "--uses", metavar="N", type=click.IntRange(1, 1_000_000), help="How many registrations. Default: any number."
)
@click.option(
    "--no-pkce", is_flag=True, help="Its confidential clients may go without PKCE, as older OpenID software does."
)
@click.option(
    "--claims-in-id-token",
    "claims",
    type=click.Choice(("on", "off")),
    default="on",
    show_default=True,
    help="Whether the claims of their scopes are in the ID tokens of its clients.",
)
@as_json
def create(*, name: str, expires_in_days: int, uses: int | None, no_pkce: bool, claims: str, as_json: bool) -> None:
    """Make a token. It is shown once.

    \b
    Example:   mcp-core registration-token create --name "build team" --uses 5
    Use it:    curl -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\
                 -d '{"client_name": "Files", "redirect_uris": ["https://files.example/callback"]}' $ISSUER/register
    """
    with opened() as terminal:
        try:
            made, value = terminal.services.registration_tokens.create(
                terminal.tx,
                terminal.origin,
                name=name,
                expires_in_days=expires_in_days,
                uses=uses,
                require_pkce=not no_pkce,
                claims_in_id_token=claims == "on",
                actor=terminal.actor,
            )
        except ValueError as error:
            refuse(f"{error}.".capitalize())
        fields = _fields(made, terminal.origin.now)
    if as_json:
        show_json({**fields, "token": value})
        return
    show_fields({"id": made.id, "token": value, "expires_at": made.expires_at})
    click.echo("Keep the token now; it is not shown again.")


@registration_token.command("list")
@as_json
def list_tokens(*, as_json: bool) -> None:
    """List all tokens, ended ones included.

    \b
    Example:   mcp-core registration-token list
    """
    with opened() as terminal:
        rows = [_fields(it, terminal.origin.now) for it in terminal.services.registration_tokens.list(terminal.tx)]
    if as_json:
        show_json(rows)
    else:
        show_table(
            _COLUMNS, rows, nothing=f"There is no token. Make one with: {command('registration-token create --help')}"
        )


@registration_token.command()
@click.argument("token_id")
def revoke(*, token_id: str) -> None:
    """End a token at once. Applications that registered with it stay.

    \b
    Example:   mcp-core registration-token revoke 019…
    """
    with opened() as terminal:
        if not terminal.services.registration_tokens.revoke(
            terminal.tx, terminal.origin, token_id, actor=terminal.actor
        ):
            refuse(f"There is no registration token {token_id}, or it had ended.")
    click.echo(f"Revoked {token_id}.")


def _fields(token: RegistrationToken, now: datetime.datetime) -> dict[str, Any]:
    names = ("id", "name", "require_pkce", "claims_in_id_token", "uses_left", "created_at", "expires_at", "revoked_at")
    ended = "revoked" if token.revoked_at else "used up" if token.uses_left == 0 else "expired"
    return {name: getattr(token, name) for name in names} | {"state": "live" if token.is_usable(now) else ended}
