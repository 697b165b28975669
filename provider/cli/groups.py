"""``group``: groups of people, which applications read and things can be reserved for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from provider.cli.terminal import Group, as_json, opened, refuse, show_fields, show_json, show_table
from provider.program_name import command

if TYPE_CHECKING:
    from provider.accounts.groups import Group as GroupOfPeople

_COLUMNS = ("name", "members", "description", "id")
_WRONG = (
    "A group's name has 1 to 64 bytes: letters and digits, and after the first one also '.', '_', ':', '/', '@' and '-'. "
    "It does not begin with 'system:'."
)


@click.group(cls=Group)
def group() -> None:
    """Groups of people.

    Applications read them in the claim `groups`, where they ask for the scope `groups`. Applications and scopes can be
    reserved for groups: client create --only-group, resource update --scope-group. Whoever is in the group
    `administrators` administers this server.

    GROUP is a name or an id, USER a user name, an e-mail address or an id.
    """


@group.command()
@click.argument("name")
@click.option("--description", metavar="WORDS", default="", help="What the group is for.")
@as_json
def create(*, name: str, description: str, as_json: bool) -> None:
    """Make a group. Its name is what applications read.

    \b
    Example:   mcp-core group create developers --description "May deploy"
    """
    from provider.accounts.groups import GroupExists
    from provider.protocol.groups import InvalidGroupName

    with opened() as terminal:
        try:
            made = terminal.services.groups.create(
                terminal.tx, terminal.origin, name=name, description=description, actor=terminal.actor
            )
        except InvalidGroupName:
            refuse(_WRONG)
        except GroupExists as known:
            refuse(f"There is a group {known} already.")
        except ValueError as error:
            refuse(_sentence(error))
    if as_json:
        show_json(_fields(made))
    else:
        click.echo(f"Made the group {made.name} ({made.id}).")


@group.command("list")
@as_json
def list_groups(*, as_json: bool) -> None:
    """List all groups, with how many people are in each.

    \b
    Example:   mcp-core group list
    """
    with opened() as terminal:
        rows = [_fields(found) for found in terminal.services.groups.list(terminal.tx)]
    if as_json:
        show_json(rows)
    else:
        show_table(_COLUMNS, rows, nothing=f"There is no group yet. Make one with: {command('group create --help')}")


@group.command()
@click.argument("name", metavar="GROUP")
@as_json
def show(*, name: str, as_json: bool) -> None:
    """Show one group and who is in it.

    \b
    Example:   mcp-core group show developers
    """
    with opened() as terminal:
        found = terminal.group(name)
        people = terminal.services.groups.members(terminal.tx, found)
    if as_json:
        shown = [{"id": user.id, "username": user.username, "is_active": user.is_active} for user in people]
        show_json({**_fields(found), "users": shown})
    else:
        show_fields({**_fields(found), "users": [user.username for user in people]})


@group.command()
@click.argument("name", metavar="GROUP")
@click.argument("new_name", metavar="NAME")
@as_json
def rename(*, name: str, new_name: str, as_json: bool) -> None:
    """Give a group another name. What is reserved for it here stays so.

    Tokens say the new name from now on: rules of other programs that name the old one let nobody in any more.

    \b
    Example:   mcp-core group rename developers engineers
    """
    from provider.accounts.groups import GroupExists, GroupGone, GroupInUse, TooManyGroups
    from provider.protocol.groups import InvalidGroupName

    with opened() as terminal:
        found = terminal.group(name)
        try:
            renamed = terminal.services.groups.rename(
                terminal.tx, terminal.origin, found, new_name, actor=terminal.actor
            )
        except InvalidGroupName:
            refuse(_WRONG)
        except GroupExists as known:
            refuse(f"There is a group {known} already.")
        except GroupInUse as reason:
            refuse(f"The group {found.name} can't be renamed: {reason}.")
        except TooManyGroups as error:
            refuse(_sentence(error))
        except GroupGone:
            terminal.unknown_group(name)
    if as_json:
        show_json(_fields(renamed))
    else:
        click.echo(f"Renamed the group {found.name} to {renamed.name}. Other programs' rules have to name it so too.")


@group.command()
@click.argument("name", metavar="GROUP")
@as_json
def delete(*, name: str, as_json: bool) -> None:
    """Remove a group: nobody is in it any more. Refused while something is reserved for it.

    \b
    Example:   mcp-core group delete developers
    """
    from provider.accounts.groups import GroupGone, GroupInUse

    with opened() as terminal:
        found = terminal.group(name)
        try:
            terminal.services.groups.delete(terminal.tx, terminal.origin, found, actor=terminal.actor)
        except GroupInUse as reason:
            refuse(f"The group {found.name} can't be deleted: {reason}.")
        except GroupGone:
            terminal.unknown_group(name)
    if as_json:
        show_json(_fields(found))
    else:
        click.echo(f"Deleted the group {found.name}. Members it had: {found.members}.")


@group.command()
@click.argument("name", metavar="GROUP")
@click.argument("user_names", metavar="USER...", nargs=-1, required=True)
@as_json
def add(*, name: str, user_names: tuple[str, ...], as_json: bool) -> None:
    """Put people into a group. All of them, or none when one is refused.

    \b
    Example:   mcp-core group add developers ana bora@example.org
    """
    _change(name, user_names, is_added=True, as_json=as_json)


@group.command()
@click.argument("name", metavar="GROUP")
@click.argument("user_names", metavar="USER...", nargs=-1, required=True)
@as_json
def remove(*, name: str, user_names: tuple[str, ...], as_json: bool) -> None:
    """Take people out of a group. The next token that they get says so; those that are out live some minutes.

    \b
    Example:   mcp-core group remove developers ana
    """
    _change(name, user_names, is_added=False, as_json=as_json)


def _change(name: str, user_names: tuple[str, ...], *, is_added: bool, as_json: bool) -> None:
    from provider.accounts.administrators import LastAdministrator
    from provider.accounts.groups import GroupGone, TooManyGroups

    with opened() as terminal:
        groups, found = terminal.services.groups, terminal.group(name)
        people = {user.id: user for user in map(terminal.user, user_names)}
        changed = []
        for user in people.values():
            change = groups.add if is_added else groups.remove
            try:
                if change(terminal.tx, terminal.origin, found, user, actor=terminal.actor):
                    changed.append(user.username)
            except TooManyGroups as error:
                refuse(_sentence(error))
            except LastAdministrator:
                refuse(f"{user.username} is the last active administrator.")
            except GroupGone:
                terminal.unknown_group(name)
        now = terminal.group(found.id)
    if as_json:
        show_json({**_fields(now), "changed": changed})
        return
    done, state = ("Added", "in it already") if is_added else ("Removed", "not in it")
    if changed:
        click.echo(f"{done}: {', '.join(changed)}. {now.name} has {now.members} members.")
    else:
        click.echo(f"Nothing to do: {', '.join(user.username for user in people.values())} is {state}.")


def _sentence(error: ValueError) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def _fields(found: GroupOfPeople) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "description": found.description,
        "members": found.members,
        "created_at": found.created_at,
    }
