"""``user``: people who sign in."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from provider.cli.invitations import invited, tell
from provider.cli.leaving import close, erase, lock_down, reopen
from provider.cli.recovering import reset_password, reset_second_factor
from provider.cli.terminal import Group, as_json, ended, opened, refuse, settings, show_fields, show_json, show_table
from provider.program_name import command

if TYPE_CHECKING:
    from provider.accounts.users import User

_WEAK = {
    "too_short": "The password is too short: {least} characters are needed.",
    "too_long": "The password is too long: 256 characters at most.",
    "common": "The password is easy to guess. Use several unrelated words.",
    "personal": "The password contains the user's own name or address.",
}
_TAKEN = {
    "username": "This user name is taken, or looks like one that is.",
    "email": "This e-mail address belongs to another user.",
}
_WRONG = {
    "username": "A user name has 2 to 64 letters, digits, '.', '_' or '-'.",
    "email": "This is not an e-mail address.",
}
_COLUMNS = ("username", "email", "is_admin", "is_active", "two_factor_enabled", "last_login_at", "id")


@click.group(cls=Group)
def user() -> None:
    """People who sign in.

    USER is a user name, an e-mail address or an id.
    """


for command_of_its_own in (reset_password, reset_second_factor, lock_down, close, reopen, erase):
    user.add_command(command_of_its_own)


@user.command()
@click.option("--username", required=True, metavar="U", help="2 to 64 letters, digits, '.', '_' or '-'.")
@click.option("--email", required=True, metavar="E", help="The address is unique as well.")
@click.option("--admin", is_flag=True, help="May administer this server.")
@click.option("--verified", is_flag=True, help="The address is known to be the user's.")
@click.option(
    "--password-stdin",
    is_flag=True,
    help="Read the password from standard input, one line.",
)
@click.option("--invite", is_flag=True, help="Ask for no password: send an invitation, which proposes the user name.")
@as_json
def create(
    *, username: str, email: str, admin: bool, verified: bool, password_stdin: bool, invite: bool, as_json: bool
) -> None:
    """Make a user. The password never stands in the command line, where other users of the machine could read it.

    Or, with --invite, let them choose it: the user is made when the invitation is accepted.

    \b
    Example:   pass show mcp/ana | mcp-core user create --username ana --email ana@example.org --password-stdin
    """
    from provider.accounts.login_names import InvalidName
    from provider.accounts.users import NameTaken
    from provider.sign_in.passwords import MIN_WITH_SECOND_FACTOR, WeakPassword

    if invite == password_stdin:
        raise click.UsageError("Give either --password-stdin or --invite.")
    if invite:
        with opened() as terminal:
            fields = invited(terminal, email=email, username=username, admin=admin)
        tell(fields, as_json=as_json)
        return
    try:
        password = sys.stdin.readline().rstrip("\r\n")
        password.encode()  # in the locale C, bytes that are no text are let through by the line before
    except UnicodeError:
        refuse("The password is not text in UTF-8.")
    chosen = settings()
    needs_second = chosen.second_factor_at_once(is_admin=admin)
    with opened() as terminal:
        passwords = terminal.services.passwords
        try:
            passwords.check_strength(password, username=username, email=email, second_factor_required=needs_second)
            made = terminal.services.users.create(
                terminal.tx,
                terminal.origin,
                username=username,
                email=email,
                password_hash=passwords.hash(password),
                is_admin=admin,
                is_verified=verified,
                actor=terminal.actor,
            )
        except WeakPassword as error:
            least = MIN_WITH_SECOND_FACTOR if needs_second else chosen.password_min_length
            refuse(_WEAK.get(error.reason, "The password is too weak.").format(least=least))
        except InvalidName as error:
            refuse(_WRONG[error.field])
        except NameTaken as error:
            refuse(_TAKEN[error.field])
    if as_json:
        show_json(_fields(made))
    else:
        click.echo(f"Made the user {made.username} ({made.id}).")


@user.command("list")
@as_json
def list_users(*, as_json: bool) -> None:
    """List all users.

    \b
    Example:   mcp-core user list --json | jq '.[] | select(.is_admin) | .email'
    """
    with opened() as terminal:
        rows = [_fields(found) for found in terminal.services.users.list(terminal.tx)]
    if as_json:
        show_json(rows)
    else:
        show_table(_COLUMNS, rows, nothing=f"There is no user yet. Make the first one with: {command('setup-link')}")


@user.command()
@click.argument("user_name", metavar="USER")
@as_json
def show(*, user_name: str, as_json: bool) -> None:
    """Show one user, with sessions, passkeys, recovery codes and API keys counted.

    \b
    Example:   mcp-core user show ana@example.org
    """
    with opened() as terminal:
        services, tx, now = terminal.services, terminal.tx, terminal.origin.now
        found = terminal.user(user_name)
        fields = {
            **_fields(found),
            "closed_at": found.closed_at,
            "sessions": len(services.sessions.list(tx, now, found.id)),
            "passkeys": services.passkeys.count(tx, found.id),
            "recovery_codes": services.recovery_codes.count(tx, found.id),
            "groups": services.groups.membership(tx, found.id).names,
            "api_keys": sum(key.is_usable(now) for key in services.api_keys.list(tx, found.id)),
            "closed": [str(way_in) for way_in in services.consecutive_failures.closed(tx, found.id)],
        }
    if as_json:
        show_json(fields)
    else:
        show_fields(fields)


@user.command()
@click.argument("user_name", metavar="USER")
def disable(*, user_name: str) -> None:
    """Keep a user out, and end for good what they were given: sessions, grants, tokens and API keys.

    \b
    Example:   mcp-core user disable ana
    """
    _set_active(user_name, active=False)


@user.command()
@click.argument("user_name", metavar="USER")
def enable(*, user_name: str) -> None:
    """Let a disabled user in again. What has ended does not come back: they sign in, allow and make keys anew.

    \b
    Example:   mcp-core user enable ana
    """
    _set_active(user_name, active=True)


@user.command()
@click.argument("user_name", metavar="USER")
@as_json
def unlock(*, user_name: str, as_json: bool) -> None:
    """Open what wrong guesses have closed, and forget how many there were.

    A hundred wrong passwords or codes in a row close sign-in on devices where the user has not signed in before.

    \b
    Example:   mcp-core user unlock ana
    """
    with opened() as terminal:
        found = terminal.user(user_name)
        ways = terminal.services.attempts.unlock(terminal.tx, terminal.origin, found.id, actor=terminal.actor)
    shown = [str(way_in) for way_in in ways]
    if as_json:
        show_json({"id": found.id, "username": found.username, "opened": shown})
    elif shown:
        click.echo(f"Opened for {found.username}: {', '.join(shown)}.")
    else:
        click.echo(f"Nothing was closed for {found.username}. Wrong guesses are counted from zero again.")


@user.command()
@click.argument("user_name", metavar="USER")
@as_json
def verify(*, user_name: str, as_json: bool) -> None:
    """Say that the e-mail address is the user's: applications are told so, and some let nobody in without.

    \b
    Example:   mcp-core user verify ana
    """
    from provider.accounts.users import NameTaken

    with opened() as terminal:
        found = terminal.user(user_name)
        try:
            is_new = terminal.services.users.verify(terminal.tx, terminal.origin, found.id, terminal.actor)
        except NameTaken:
            refuse(f"The address {found.email} belongs to another user by now.")
        changed = terminal.user(found.id)
    if as_json:
        show_json(_fields(changed))
    else:
        state = "is verified" if is_new else "was verified already"
        click.echo(f"The address {found.email} of {found.username} {state}.")


def _set_active(user_name: str, *, active: bool) -> None:
    from provider.accounts.administrators import LastAdministrator

    with opened() as terminal:
        found = terminal.user(user_name)
        try:
            done = terminal.services.user_ends.set_active(
                terminal.tx, terminal.origin, found.id, active, actor=terminal.actor
            )
        except LastAdministrator:
            refuse(f"{found.username} is the last active administrator.")
    state = "enabled" if active else "disabled"
    if done is None:
        click.echo(f"{found.username} was {state} already.")
    else:
        click.echo(f"{found.username} is {state}.{ended(asdict(done))}")


def _fields(found: User) -> dict[str, Any]:
    names = (
        "id", "username", "email", "display_name", "locale", "is_active", "is_verified", "is_admin",
        "two_factor_enabled", "last_login_at", "created_at", "updated_at", "confirm_by",
    )  # fmt: skip
    return {name: getattr(found, name) for name in names}
