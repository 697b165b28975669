"""The program ``mcp-core``: its commands by name, and what every failure looks like."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator

import click

from provider.cli.terminal import Group
from provider.program_name import command as as_started

# command: (module, what it is for)
COMMANDS = {
    "serve": ("server", "Start the server."),
    "setup-link": ("server", "Print a one-time link for making the first account."),
    "user": ("users", "People who sign in."),
    "group": ("groups", "Groups of people."),
    "invite": ("invitations", "Invite somebody by mail to make an account."),
    "invitation": ("invitations", "Invitations, listed and withdrawn."),
    "client": ("clients", "Applications that get tokens."),
    "api-key": ("api_keys", "Keys with which scripts get tokens."),
    "cloud": ("clouds", "Cloud accounts of people."),
    "resource": ("resources", "APIs that tokens are for."),
    "protect": ("protect", "Put an MCP server or API under this server's tokens."),
    "registration-token": ("registration_tokens", "Let others register applications that are vouched for."),
    "keys": ("keys", "Keys that sign tokens."),
    "vault": ("vault", "Master keys, which everything that is sealed is under."),
    "mail": ("mail", "Letters to people."),
    "cleanup": ("upkeep", "Delete what has expired."),
    "doctor": ("doctor", "Check settings, database, keys, clock and mail."),
}


_EXAMPLE = re.compile(r"(?<![\w./-])mcp-core (?=[a-z])")


class Program(Group):
    """Knows every command's name and purpose, and imports a command when it is called: a quick ``--help``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuses bytes that are no text: no database takes them, and no name has them."""
        try:
            "".join(args).encode()
        except UnicodeEncodeError:
            raise click.UsageError("An argument is not text in UTF-8.", ctx) from None
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"provider.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        for found in _with_commands(command):
            found.help = _EXAMPLE.sub(lambda _: as_started() + " ", found.help or "")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, purpose) for name, (_, purpose) in COMMANDS.items()])


@click.command(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="mcp-core", prog_name="mcp-core", message="%(prog)s %(version)s")
def program() -> None:
    """MCP Core: sign-in for people, tokens for applications, keys for scripts.

    Settings come from MCP_… and MYSQL_… variables and from .env (docs/settings.md).

    \b
    The first minutes:
      mcp-core serve                        start, and follow the link it prints
      mcp-core client create --name Files --redirect-uri https://files.example/callback
      mcp-core doctor                       is everything as it should be?

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage.
    """


def _with_commands(command: click.Command) -> Iterator[click.Command]:
    yield command
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        yield from _with_commands(below)


def run() -> None:
    """Runs the command that the arguments name."""
    os.umask(0o077)  # a database file or key that is made here is its owner's alone
    try:
        program.help = _EXAMPLE.sub(lambda _: as_started() + " ", program.help or "")
        program(prog_name=as_started())
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
