"""``user lock-down``, ``close``, ``reopen`` and ``erase``: who may be in an account, and whether there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from provider.cli.terminal import as_json, ended, opened, refuse, show_json

if TYPE_CHECKING:
    from provider.accounts.users import User
    from provider.cli.terminal import Terminal

yes = click.option("--yes", is_flag=True, help="Do not ask whether it is meant.")


@click.command("lock-down")
@click.argument("user_name", metavar="USER")
@yes
@as_json
def lock_down(*, user_name: str, yes: bool, as_json: bool) -> None:
    """End whatever has access to an account, and have its owner choose a new password.

    Sessions, grants, tokens, consents and API keys end for good, and the password works no more. The owner gets a letter.

    \b
    Example:   mcp-core user lock-down ana --yes
    """

    def act(terminal: Terminal, found: User) -> Mapping[str, int]:
        return asdict(terminal.services.lock_down.lock_down(terminal.tx, terminal.origin, found, actor=terminal.actor))

    _done(user_name, "Lock down", "is locked down", act, yes=yes, as_json=as_json)


@click.command()
@click.argument("user_name", metavar="USER")
@yes
@as_json
def close(*, user_name: str, yes: bool, as_json: bool) -> None:
    """Close an account as its owner would: everything ends, and after 14 days it is erased.

    \b
    Example:   mcp-core user close ana --yes
    """
    from provider.accounts.administrators import LastAdministrator
    from provider.sign_in.closing import AlreadyClosed

    def act(terminal: Terminal, found: User) -> Mapping[str, int]:
        try:
            return asdict(terminal.services.closing.close(terminal.tx, terminal.origin, found, actor=terminal.actor))
        except LastAdministrator:
            refuse(f"{found.username} is the last active administrator.")
        except AlreadyClosed:
            refuse(f"{found.username} is {'closed' if found.closed_at else 'disabled'} already.")

    _done(user_name, "Close", "is closed, and will be erased in 14 days", act, yes=yes, as_json=as_json)


@click.command()
@click.argument("user_name", metavar="USER")
@as_json
def reopen(*, user_name: str, as_json: bool) -> None:
    """Open an account again that was closed in the last 14 days. What has ended does not come back.

    \b
    Example:   mcp-core user reopen ana
    """

    def act(terminal: Terminal, found: User) -> Mapping[str, int]:
        if not terminal.services.closing.reopen(terminal.tx, terminal.origin, found.id, actor=terminal.actor):
            refuse(f"{found.username} has not closed the account, or is erased.")
        return {}

    _done(user_name, "Reopen", "is open again", act, yes=True, as_json=as_json)


@click.command()
@click.argument("user_name", metavar="USER")
@yes
@as_json
def erase(*, user_name: str, yes: bool, as_json: bool) -> None:
    """Erase an account now. Nobody can bring it back.

    Everything personal goes. Records of the audit stay, under an id that leads to nobody, without address and browser.

    \b
    Example:   mcp-core user erase ana --yes
    """
    from provider.accounts.administrators import LastAdministrator

    def act(terminal: Terminal, found: User) -> Mapping[str, int]:
        try:
            terminal.services.closing.erase_now(terminal.tx, terminal.origin, found, actor=terminal.actor)
        except LastAdministrator:
            refuse(f"{found.username} is the last active administrator.")
        return {}

    _done(user_name, "Erase", "is erased", act, yes=yes, as_json=as_json)


def _done(
    user_name: str,
    verb: str,
    state: str,
    act: Callable[[Terminal, User], Mapping[str, int]],
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Finds the user, asks whether it is meant, does it and says so."""
    with opened() as terminal:
        found = terminal.user(user_name)
        if not yes:
            click.confirm(f"{verb} the account of {found.username} ({found.email})?", abort=True, err=True)
        counts = act(terminal, found)
    if as_json:
        shown: dict[str, Any] = {"id": found.id, "username": found.username, **({"ended": counts} if counts else {})}
        show_json(shown)
    else:
        click.echo(f"{found.username} {state}.{ended(counts)}")
