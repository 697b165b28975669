"""What commands share: the opened services, refusals, and output for people and for programs."""

from __future__ import annotations

import contextlib
import datetime
import difflib
import getpass
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from provider.program_name import command

if TYPE_CHECKING:
    from database import Transaction
    from provider.accounts.groups import Group as GroupOfPeople
    from provider.accounts.users import User
    from provider.protocol.client import Client
    from provider.protocol.messages import Origin
    from provider.services import Services
    from provider.settings import Settings

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


class Refused(click.ClickException):
    """The command did not do what was asked. One line on standard error, exit code 1."""

    exit_code = 1

    def show(self, file: Any = None) -> None:  # noqa: ARG002 - click's signature
        click.echo(f"mcp-core: {self.message}", err=True)


def refuse(reason: str) -> NoReturn:
    raise Refused(reason)


def near(word: str, known: Iterable[str]) -> str:
    """`` Did you mean …?`` where one of ``known`` is like ``word``, to be put behind a sentence. Otherwise nothing."""
    by_folded = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word.casefold(), by_folded, n=1)
    return f" Did you mean {by_folded[found[0]]}?" if found else ""


class Group(click.Group):
    """Commands of which a near miss is told."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            ctx.fail(f"There is no command {args[0]!r}.{near(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


@dataclass(frozen=True)
class Terminal:
    """The services and one transaction, for as long as a command runs."""

    services: Services
    tx: Transaction
    origin: Origin
    actor: str

    def user(self, text: str) -> User:
        """The user that a user name, e-mail address or id means, or a refusal."""
        user = self.services.users.find(self.tx, text) or self.services.users.find_by_login(self.tx, text)
        return user or refuse(f"There is no user {text}.{near(text, self._logins())}")

    def _logins(self) -> Iterator[str]:
        for user in self.services.users.list(self.tx):
            yield from (user.username, user.email)

    def group(self, text: str) -> GroupOfPeople:
        """The group that a name or an id means, or a refusal."""
        return self.services.groups.find(self.tx, text) or self.unknown_group(text)

    def group_names(self) -> dict[str, str]:
        """The names of all groups by their ids."""
        return {group.id: group.name for group in self.services.groups.list(self.tx)}

    def group_id(self, text: str) -> str:
        return self.group(text).id

    def group_ids(self, names: Iterable[str]) -> tuple[str, ...]:
        """The ids of named groups, each once. Empty text is no group."""
        return tuple(dict.fromkeys(self.group(name).id for name in names if name))

    def unknown_group(self, text: str) -> NoReturn:
        """A refusal, with the name that it is like."""
        known = near(text, (group.name for group in self.services.groups.list(self.tx)))
        refuse(f"There is no group {text}.{known} See: {command('group list')}")

    def client(self, client_id: str) -> Client:
        """The client of this client_id, or a refusal."""
        client = self.services.clients.find(self.tx, client_id, fresh=True)
        return client or refuse(f"There is no client {client_id}.{self._meant_client(client_id)}")

    def _meant_client(self, text: str) -> str:
        """By its id, or by its name, which many try."""
        clients = self.services.clients.list(self.tx)
        named = [client.client_id for client in clients if client.name.casefold() == text.casefold()]
        return f" Did you mean {named[0]}?" if named else near(text, (client.client_id for client in clients))

    def unknown_resource(self, uri: str) -> NoReturn:
        """A refusal, with the registered address that it is like."""
        known = near(uri, (resource.uri for resource in self.services.resources.list(self.tx)))
        refuse(f"{uri} is not registered.{known} See: {command('resource list')}")

    def scope(self, text: str) -> tuple[str, ...]:
        """The scopes of a list with blanks between, or a refusal of the first that neither this server nor an API has."""
        from provider.protocol.scopes import ACCOUNT_SCOPES, IDENTITY_SCOPES, parse_scope

        apis = self.services.resources.list(self.tx)
        known = dict.fromkeys((*IDENTITY_SCOPES, *(name for api in apis for name in api.scope)))
        for name in (wanted := parse_scope(text)):
            if name not in known and name not in ACCOUNT_SCOPES:
                refuse(f"No API has the scope {name}.{near(name, known)} There are: {' '.join(known)}")
        return wanted


def settings() -> Settings:
    """The settings, or a refusal with one line for each thing to change."""
    from provider.settings import SettingsError, load_settings

    try:
        return load_settings()
    except SettingsError as error:
        refuse(str(error))


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Turns what services raise into refusals: names, limits, missing files, a database that does not answer."""
    from database.connection import ConfigurationError
    from database.faults import DATABASE_ERRORS, explain_database_error
    from database.ledger import MigrationError
    from database.sql_files import SqlFileError
    from provider.protocol.errors import OAuthError
    from provider.security.crypto import DecryptionFailed
    from provider.start.key_texts import KeyFilesError

    try:
        yield
    except OAuthError as error:
        refuse(error.description or error.error)
    except (ConfigurationError, KeyFilesError, MigrationError, SqlFileError) as error:
        refuse(str(error))
    except DecryptionFailed:
        refuse(
            "The stored keys do not open with these key files. Restore the folder of keys that belongs to the database."
        )
    except DATABASE_ERRORS as error:
        refuse(f"The database failed: {explain_database_error(error)}")


@contextlib.contextmanager
def opened() -> Iterator[Terminal]:
    """Services on the migrated database; the transaction is committed when the command ends well."""
    from database import DatabaseConnection, Transaction
    from database.init_db import pending_files
    from provider.protocol.messages import Origin
    from provider.services import Services
    from provider.start import key_files
    from provider.start.logs import configure_logs
    from provider.start.memory import loaded

    with refusals():
        chosen = settings()
        configure_logs("warning", chosen.log_format)
        absent = absent_database()
        if absent is not None:
            refuse(f"There is no database at {absent}. Make it with: {command('serve')} (or name the right MCP_HOME).")
        DatabaseConnection.initialize()
        engine = DatabaseConnection.get_engine()
        try:
            if pending_files(engine):
                refuse(f"The database is not up to date. Bring it there with: {command('serve')}")
            keyring = key_files.load_keyring(chosen, may_create=not key_files.has_stored_secrets(engine))
            actor = f"cli:{_account()}"
            origin = Origin("", f"mcp-core ({actor})", secrets.token_hex(8), datetime.datetime.now(datetime.UTC))
            loaded()
            with Transaction(engine) as tx:
                yield Terminal(Services(chosen, engine, keyring), tx, origin, actor)
        finally:
            DatabaseConnection.dispose()


def absent_database() -> Path | None:
    """Where the SQLite database is not made yet. Looks only. Raises ``ConfigurationError``."""
    from database.connection import database_url_from_environment, environment

    url = database_url_from_environment(environment())
    path = Path(str(url.database))
    return path if url.get_backend_name() == "sqlite" and not path.exists() else None


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def show_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def _plain(value: object) -> object:
    if isinstance(value, datetime.datetime):
        return when(value)
    if isinstance(value, tuple | frozenset | set):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def when(value: datetime.datetime | None) -> str | None:
    """A time as in JSON: UTC, to the second."""
    return None if value is None else value.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def quoted(name: str) -> str:
    """A name that somebody else has chosen, in a sentence of ours."""
    from provider.protocol.names import shown_name

    return f'"{shown_name(name)}"'


def ended(counts: Mapping[str, int]) -> str:
    """What a change has ended, as the end of a line. Empty when there was nothing."""
    words = [f"{name.replace('_', ' ')} {count}" for name, count in counts.items() if count]
    return f" Ended for good: {', '.join(words)}." if words else ""


def show_fields(fields: Mapping[str, Any]) -> None:
    """One thing for people: a name and a value on each line, values cleaned of control characters."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        click.echo(f"{name:{width}}  {_cell(value)}")


def show_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], *, nothing: str) -> None:
    """Several things for people, or the sentence ``nothing``. Names are cut: they are others' words."""
    from provider.protocol.names import shown_name
    from provider.protocol.text import columns_of

    if not rows:
        click.echo(nothing)
        return
    rows = [{**row, "name": shown_name(row["name"])} if "name" in row else row for row in rows]
    cells = [[column.upper().replace("_", " ") for column in columns]]
    cells += [[_cell(row[column]) for column in columns] for row in rows]
    widths = [max(columns_of(row[index]) for row in cells) for index in range(len(columns))]
    for row in cells:
        padded = (cell + " " * (width - columns_of(cell)) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _cell(value: object) -> str:
    from provider.protocol.text import visible

    if value is None or value == "" or (isinstance(value, list | tuple) and not value):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime.datetime):
        return f"{value.astimezone():%Y-%m-%d %H:%M %Z}"
    text = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return visible(text)
