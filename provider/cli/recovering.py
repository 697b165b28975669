"""``user reset-password`` and ``reset-second-factor``: for people who have lost what they sign in with."""

from __future__ import annotations

import click

from provider.cli.terminal import as_json, ended, opened, refuse, show_json
from provider.program_name import command


@click.command("reset-password")
@click.argument("user_name", metavar="USER")
@click.option("--print-link", is_flag=True, help="Print the link as well, to hand it over where mail does not reach.")
@as_json
def reset_password(*, user_name: str, print_link: bool, as_json: bool) -> None:
    """Have a user choose another password: the present one is not taken any more, and a link to a new one is mailed.

    Ends their sessions and grants. The link works once, for 30 minutes, and asks for the second factor where there is
    one; signing in with the old password mails another.

    \b
    Example:   mcp-core user reset-password ana
    """
    with opened() as terminal:
        services, tx, origin = terminal.services, terminal.tx, terminal.origin
        found = terminal.user(user_name)
        if not found.is_active:
            refuse(f"{found.username} is disabled.")
        address = services.new_passwords.oldest_address(tx, origin.now, found)
        link = services.new_passwords.require(tx, origin, found, actor=terminal.actor)
        counts = {
            "grants": services.grants.revoke_for_user(tx, origin, found.id, "password_required"),
            "sessions": services.session_ends.end_all(
                tx, origin, found.id, reason="password_required", actor=terminal.actor
            ),
        }
    if as_json:
        show_json(
            {
                "id": found.id,
                "username": found.username,
                "mailed_to": address,
                **counts,
                "link": link if print_link else None,
            }
        )
        return
    click.echo(f"{found.username} needs a new password. The link to it goes to {address}.{ended(counts)}")
    if print_link:
        click.echo(link)


@click.command("reset-second-factor")
@click.argument("user_name", metavar="USER")
def reset_second_factor(*, user_name: str) -> None:
    """Take away a lost second factor, passkeys included, with its recovery codes, and end all sessions.

    Make sure that it is the user who asks: from now on the password alone is enough. Without you, they can wait for it
    (MCP_SECOND_FACTOR_WAIT_DAYS), with the password and the mailbox.

    \b
    Example:   mcp-core user reset-second-factor ana
    """
    from provider.sign_in.consecutive_failures import Way

    with opened() as terminal:
        services, tx, origin = terminal.services, terminal.tx, terminal.origin
        found = terminal.user(user_name)
        had_codes = services.totp.disable(tx, origin, found.id, terminal.actor)
        if not services.passkeys.remove_all(tx, origin, found.id, terminal.actor) and not had_codes:
            refuse(f"{found.username} has no second factor.")
        services.recovery_codes.forget(tx, found.id)
        services.attempts.unlock(tx, origin, found.id, (Way.CODE,), actor=terminal.actor)
        ended = services.sessions.end_all(tx, origin, found.id, reason="second_factor_reset")
    click.echo(f"{found.username} has no second factor any more. Sessions ended: {ended}.")
    if found.password_hash is None:
        click.echo(f"There is no password either. Send a link to one: {command(f'user reset-password {user_name}')}")
