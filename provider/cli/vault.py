"""``vault``: the master keys, a new one in their place, and sealed secrets of the settings."""

from __future__ import annotations

import dataclasses
import datetime
import sys
import time
from typing import TYPE_CHECKING

import click

from provider.cli.terminal import Group, Terminal, as_json, opened, refusals, refuse, show_json, show_table
from provider.program_name import command

if TYPE_CHECKING:
    from provider.security.rewrapping import Rewrapping
    from provider.start.rotation import Outcome

_BAR_COLUMNS = 40
MOST_SECRET = 4096


@click.group(cls=Group)
def vault() -> None:
    """Master keys: what is sealed in the database (second factors, signing keys, letters) is under them.

    Each value has a data key of its own, and the first master key of the ring wraps those. Signing keys are another
    matter: `mcp-core keys`.
    """


@vault.command()
@as_json
@click.pass_context
def status(context: click.Context, *, as_json: bool) -> None:
    """Show the master keys, where they come from, how much is under each, and what does not open. Never shows a key.

    Every value is opened for that: with many it takes a while. The exit code is 1 when one does not open.

    \b
    Example:   mcp-core vault status
    """
    from provider.start.ring_report import ring_report

    with opened() as terminal:
        report = ring_report(terminal.tx, terminal.services, _rewrapping(terminal), most_opened=sys.maxsize)
    if as_json:
        show_json(report)
    else:
        click.echo(f"Master keys from {report['source']}; they are {report['kept']} there.\n")
        show_table(("id", "use", "made", "values"), report["keys"], nothing="There is no key.")
        click.echo()
        show_table(("column", "key", "values"), report["columns"], nothing="Nothing is sealed.")
        for setting in report["settings"]:
            click.echo(f"\n{setting['setting']} is sealed under {setting['key']}: {setting['state']}")
        if report["unreadable"]:
            click.echo(f"\n{report['unreadable']} values do not open, and count as not there:")
            for value in report["named"]:
                click.echo(f"  {value['column']} of {value['row_id']}")
        if report["older"]:
            click.echo(f"\n{report['older']} values are not under the first key. See: {command('vault rotate --help')}")
    context.exit(1 if report["unreadable"] else 0)


@vault.command()
@click.option("--keep-old", is_flag=True, help="Leave old keys in the ring, also where nothing is under them any more.")
@as_json
@click.pass_context
def rotate(context: click.Context, *, keep_old: bool, as_json: bool) -> None:
    """Make a new master key, bring everything under it, and let the old ones go. Servers may run meanwhile.

    It takes a minute more than the rewrapping itself: each step waits until every server knows of the one before. Stop
    it whenever you like: begun again, it goes on. The exit code is 1 when a value does not open; it stays as it is.

    Where the keys are in MCP_ENCRYPTION_KEYS, it says what to put there, and the next time brings everything under the
    first key.

    \b
    Every year, and when a key is known to others:   mcp-core vault rotate
    Servers on several machines:                     docs/operations.md#master-keys
    """
    with opened() as terminal, refusals():
        outcome, lines = _rotated(terminal, keep_old=keep_old, is_quiet=as_json)
    if as_json:
        show_json(
            {
                **{name: getattr(outcome, name) for name in ("first", "rewrapped", "unreadable", "unused", "dropped")},
                "named": [dataclasses.asdict(_Place(*place)) for place in _places(outcome)],
            }
        )
    else:
        for line in lines:
            click.echo(line)
    context.exit(1 if outcome.unreadable else 0)


@vault.command()
def seal() -> None:
    """Seal the password of the mail server: read it from standard input, or ask, and print what MCP_SMTP_PASSWORD_FILE
    may hold in its place (or MCP_SMTP_URL, as the password).

    It opens with the master keys of this server alone, and as nothing else.

    \b
    Example:   mcp-core vault seal < smtp-password > smtp-password.sealed
    """
    from provider.security.sealed_settings import SMTP_PASSWORD, seal_setting

    if sys.stdin.isatty():
        secret = click.prompt("Password of the mail server", hide_input=True, err=True)
    else:
        lines = sys.stdin.buffer.read(MOST_SECRET + 1).decode("ascii", "replace").splitlines()
        secret = lines[0] if len(lines) == 1 else ""
    if not 0 < len(secret) < MOST_SECRET or not all(c.isascii() and c.isprintable() for c in secret):
        refuse("A password is one line of printable ASCII.")
    with opened() as terminal:
        click.echo(seal_setting(terminal.services.keyring, SMTP_PASSWORD, secret))


def _rotated(terminal: Terminal, *, keep_old: bool, is_quiet: bool) -> tuple[Outcome, list[str]]:
    from provider.start.key_files import new_text, ring_path
    from provider.start.ring_file import RingFile
    from provider.start.ring_report import sealed_settings
    from provider.start.rotation import Rotation
    from provider.start.transit import transit_of

    services, settings = terminal.services, terminal.services.settings
    needed = frozenset(str(setting["key"]) for setting in sealed_settings(services))
    rotation = Rotation(
        services,
        _rewrapping(terminal),
        _Voice(is_quiet=is_quiet),
        lambda: dataclasses.replace(terminal.origin, now=datetime.datetime.now(datetime.UTC)),
        actor=terminal.actor,
        needed_elsewhere=needed,
    )
    transit = transit_of(settings)
    if settings.encryption_keys is None:
        ring = RingFile(ring_path(settings))
        outcome = rotation.rotate(ring, lambda: new_text(transit), keep_old=keep_old)
        return outcome, [*_said(outcome), *_about_files(outcome, needed)]
    outcome = rotation.rewrap()
    if outcome.rewrapped or outcome.unused:
        about = (
            [f"Take out of MCP_ENCRYPTION_KEYS, and restart: {', '.join(outcome.unused)}."] if outcome.unused else []
        )
        return outcome, [*_said(outcome), *about]
    key_id = f"k{terminal.origin.now:%Y%m%d}"
    return outcome, [
        *_said(outcome),
        "For a new master key put this before the others in MCP_ENCRYPTION_KEYS, with a comma, wherever a server runs:",
        f"  {key_id}:{new_text(transit)}",
        f"Restart the servers, and run {command('vault rotate')} again: it brings everything under that key.",
    ]


def _said(outcome: Outcome) -> list[str]:
    lines = [f"Everything that opens is under {outcome.first} now: {outcome.rewrapped} values were rewrapped."]
    if outcome.unreadable:
        lines.append(f"{outcome.unreadable} values do not open with any key of the ring, and stay as they are:")
        lines += [f"  {value}" for value in outcome.named]
    return lines


def _about_files(outcome: Outcome, needed: frozenset[str]) -> list[str]:
    lines = []
    if outcome.dropped:
        lines.append(f"Nothing is under {', '.join(outcome.dropped)} any more: taken out of the file.")
    elif outcome.unused:
        lines.append(f"Nothing is under {', '.join(outcome.unused)} any more.")
    if needed - {outcome.first}:
        lines.append(f"MCP_SMTP_PASSWORD is sealed under an older key: seal it again with {command('vault seal')}.")
    lines.append(
        "Back up the folder of the keys now. Backups of the database made before need the keys of their time: keep the "
        "backup of the keys that belongs to them."
    )
    return lines


@dataclasses.dataclass
class _Place:
    column: str
    row_id: str


def _places(outcome: Outcome) -> list[tuple[str, str]]:
    return [(str(value.column), value.row_id) for value in outcome.named]


def _rewrapping(terminal: Terminal) -> Rewrapping:
    from provider.security import sealed_columns
    from provider.security.rewrapping import Rewrapping

    return Rewrapping(terminal.services.keyring, sealed_columns.ALL)


class _Voice:
    """On a terminal a bar, elsewhere a line for each tenth. On standard error: the answer alone is on standard output."""

    def __init__(self, *, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._is_terminal = sys.stderr.isatty()
        self._tenth = -1

    def say(self, text: str) -> None:
        if not self._is_quiet:
            click.echo(text, err=True)

    def progress(self, done: int, total: int) -> None:
        tenth = 10 * done // total
        if self._is_quiet or (not self._is_terminal and tenth == self._tenth):
            return
        self._tenth = tenth
        if self._is_terminal:
            filled = _BAR_COLUMNS * done // total
            click.echo(f"\r[{'#' * filled:{_BAR_COLUMNS}}] {done} of {total}", err=True, nl=done == total)
        else:
            click.echo(f"{done} of {total} values", err=True)

    def wait(self, seconds: float, reason: str) -> None:
        self.say(f"Waiting {seconds:g} seconds {reason}.")
        time.sleep(seconds)
