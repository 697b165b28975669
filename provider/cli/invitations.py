"""``invite`` and ``invitation``: letting people make an account of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from provider.cli.terminal import Group, Terminal, as_json, opened, refuse, show_fields, show_json, show_table
from provider.program_name import command

if TYPE_CHECKING:
    import datetime

    from provider.accounts.invitations import Invitation

DAYS = 7
_COLUMNS = ("id", "email", "state", "is_admin", "created_at", "expires_at", "invited_by")
_WRONG = {
    "email": "This is not an e-mail address.",
    "username": "A user name has 2 to 64 letters, digits, '.', '_' or '-'.",
}
_TAKEN = {
    "email": "Somebody with this address has an account.",
    "username": "This user name is taken, or looks like one that is.",
}
_expires = click.option(
    "--expires-in-days",
    metavar="N",
    type=click.IntRange(1, 60),
    default=DAYS,
    show_default=True,
    help="When it ends by itself.",
)


@click.command()
@click.argument("address")
@click.option("--admin", is_flag=True, help="The account may administer this server.")
@click.option("--username", metavar="U", help="The user name to propose. It may be one that nobody can choose.")
@_expires
@click.option("--language", type=click.Choice(("en", "ko")), help="Of the letter. Default: MCP_DEFAULT_LOCALE.")
@as_json
def invite(
    *, address: str, admin: bool, username: str | None, expires_in_days: int, language: str | None, as_json: bool
) -> None:
    """Invite somebody by mail to make an account. The address counts as confirmed, since the letter reached it.

    An earlier invitation of the same address ends. Where no mail can be sent, the link is printed.

    \b
    Example:   mcp-core invite bob@example.org --language ko
    """
    with opened() as terminal:
        fields = invited(
            terminal, email=address, username=username, admin=admin, days=expires_in_days, language=language
        )
    tell(fields, as_json=as_json)


def invited(
    terminal: Terminal, *, email: str, username: str | None, admin: bool, days: int = DAYS, language: str | None = None
) -> dict[str, Any]:
    """Makes an invitation: what is shown of it. ``link`` is None where a letter takes it there. Refuses what cannot be."""
    from provider.accounts.login_names import InvalidName
    from provider.accounts.users import NameTaken

    chosen = terminal.services.settings
    if chosen.sign_up == "off":
        refuse("MCP_SIGN_UP is off: nobody can be invited.")
    try:
        made, link = terminal.services.invitations.create(
            terminal.tx,
            terminal.origin,
            email=email,
            username=username,
            is_admin=admin,
            expires_in_days=days,
            locale=language or chosen.default_locale,
            actor=terminal.actor,
        )
    except InvalidName as error:
        refuse(_WRONG[error.field])
    except NameTaken as error:
        refuse(_TAKEN[error.field])
    return {**_fields(made, terminal.origin.now), "link": None if chosen.mail_way == "server" else link}


def tell(fields: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(fields)
        return
    click.echo(f"Invited {fields['email']}. The invitation works once.")
    show_fields({name: fields[name] for name in ("id", "is_admin", "expires_at")})
    if fields["link"]:
        click.echo("There is no mail server (MCP_SMTP_URL). Give them the link yourself; it is not shown again:")
        click.echo(f"  {fields['link']}")


@click.group(cls=Group)
def invitation() -> None:
    """Invitations: listed, and withdrawn."""


@invitation.command("list")
@click.option("--search", metavar="TEXT", default="", help="Those with this in address, user name or who invited.")
@click.option("--page", metavar="N", type=click.IntRange(1, 1_000_000), default=1, help="A hundred are on a page.")
@as_json
def list_invitations(*, search: str, page: int, as_json: bool) -> None:
    """List invitations, the newest first. Those that are over are kept for a month.

    \b
    Example:   mcp-core invitation list --search example.org
    """
    with opened() as terminal:
        found, pages = terminal.services.invitations.page(terminal.tx, page, search=search)
        rows = [_fields(it, terminal.origin.now) for it in found]
    if as_json:
        show_json(rows)
        return
    none = f"Nobody is invited. Invite somebody with: {command('invite')} ADDRESS"
    show_table(_COLUMNS, rows, nothing="No invitation is like that." if search or page > 1 else none)
    if pages > 1:
        click.echo(f"Page {page} of {pages}. Another with: --page N")


@invitation.command()
@click.argument("which", metavar="ADDRESS")
@as_json
def withdraw(*, which: str, as_json: bool) -> None:
    """End an invitation at once. ADDRESS is that of the invited person, or the id of the invitation.

    \b
    Example:   mcp-core invitation withdraw bob@example.org
    """
    with opened() as terminal:
        found = _open_one(terminal, which)
        if not terminal.services.invitations.withdraw(terminal.tx, terminal.origin, found.id, terminal.actor):
            refuse(f"The invitation of {found.email} is over already.")
        fields = {**_fields(found, terminal.origin.now), "state": "withdrawn"}
    if as_json:
        show_json(fields)
    else:
        click.echo(f"Withdrew the invitation of {found.email}.")


def _open_one(terminal: Terminal, which: str) -> Invitation:
    """The open invitation that an address or an id means, or a refusal."""
    from provider.accounts.login_names import InvalidName, canonical_email

    try:
        address = canonical_email(which)
    except InvalidName:
        address = ""
    now = terminal.origin.now
    everything = terminal.services.invitations.list(terminal.tx)
    meant = [it for it in everything if it.id == which or canonical_email(it.email) == address]
    found = next((it for it in meant if it.state(now) == "open"), None)
    return found or refuse(f"There is no open invitation of {which}. See: {command('invitation list')}")


def _fields(found: Invitation, now: datetime.datetime) -> dict[str, Any]:
    names = ("id", "email", "username", "locale", "is_admin", "invited_by", "created_at", "expires_at", "user_id")
    return {name: getattr(found, name) for name in names} | {"state": found.state(now)}
