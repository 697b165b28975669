"""``mail``: does it arrive, what waits, what was given up."""

from __future__ import annotations

import datetime
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from provider.cli.terminal import Group, as_json, opened, refusals, refuse, settings, show_json, show_table
from provider.program_name import command

if TYPE_CHECKING:
    from provider.deliveries.mail_records import MailRecord
    from provider.deliveries.mail_server import MailServer
    from provider.deliveries.smtp import Smtp
    from provider.settings import Settings

_COLUMNS = ("id", "state", "letter", "recipient", "attempts", "created_at", "last_problem")
_SAID = {
    "connect": "connected to {}",
    "tls": "encrypted by {}",
    "login": "logged in as {}",
    "sender": "the sender {} is taken",
    "recipient": "the recipient {} is taken",
    "letter": "the letter is taken: {}",
}
_FAILED = {
    "connect": "there is no connection to {server}: {problem}",
    "tls": "the connection to {server} cannot be encrypted: {problem}",
    "login": "the login at {server} is refused: {problem}",
    "sender": "the server refuses the sender: {problem}. Is MCP_MAIL_FROM an address that this login may use?",
    "recipient": "the server refuses the recipient: {problem}",
    "letter": "the server refuses the letter: {problem}",
}


@dataclass
class Steps:
    """What went well on the way to the mail server, and what did not, each in a sentence."""

    good: list[tuple[str, str]] = field(default_factory=list)
    failure: tuple[str, str] | None = None

    def say(self, step: str, text: str) -> None:
        self.good.append((step, _SAID[step].format(text)))


@click.group(cls=Group)
def mail() -> None:
    """Letters to people: does the mail server take them, which wait, and which were given up."""


@mail.command()
@click.argument("address")
@as_json
@click.pass_context
def test(context: click.Context, *, address: str, as_json: bool) -> None:
    """Send a test letter to ADDRESS now, and say how far it got.

    It goes past the outbox: nothing is tried again. The exit code is 1 when the mail server did not take it.

    \b
    Example:   mcp-core mail test you@example.org
    """
    known = settings()
    if known.mail_server is None:
        refuse("There is no mail server: set MCP_SMTP_URL and MCP_MAIL_FROM (docs/settings.md).")
    steps = _attempt(known, address)
    if as_json:
        show_json(
            {
                "sent": steps.failure is None,
                "server": str(known.mail_server),
                "steps": [{"step": step, "text": text} for step, text in steps.good],
                "problem": steps.failure and {"step": steps.failure[0], "text": steps.failure[1]},
            }
        )
    else:
        for _step, text in steps.good:
            click.echo(f"ok    {text}")
        if steps.failure is not None:
            click.echo(f"FAIL  {steps.failure[1]}")
    context.exit(1 if steps.failure is not None else 0)


def _attempt(known: Settings, address: str) -> Steps:
    from provider.deliveries.letters import Letters
    from provider.deliveries.mail_addresses import BadAddress
    from provider.deliveries.messages import compose
    from provider.deliveries.smtp import NotSent

    assert known.mail_server is not None  # noqa: S101 - the caller looks
    letters = Letters(origin=known.origin, service=known.service_name, default_language=known.default_locale)
    letter, sender, steps = letters.write("test", None, {}), known.mail_sender, Steps()
    now = datetime.datetime.now(datetime.UTC)
    try:
        message = compose(letter, sender, address, identifier=f"test-{secrets.token_hex(8)}", written=now)
    except BadAddress:
        refuse(f"Nothing can be sent to {address}: that is no e-mail address.")
    with refusals():
        smtp = smtp_of(known, known.mail_server)
    try:
        smtp.send(sender.address, address, message, steps.say)
    except NotSent as failure:
        steps.failure = explained(known, failure)
    return steps


def smtp_of(known: Settings, server: MailServer, seconds: float | None = None) -> Smtp:
    """The way to the mail server, without a database: at most ``seconds`` for a letter.

    Master keys are read where the password is sealed. Raises ``KeyFilesError``.
    """
    from provider.deliveries.smtp import SECONDS, Smtp
    from provider.security.sealed_settings import master_key_of
    from provider.start.key_files import load_keyring

    is_sealed = master_key_of(server.password) is not None
    return Smtp(
        server,
        helo=known.mail_sender.domain,
        ca_file=known.outbound_ca_file,
        keyring=load_keyring(known, may_create=False) if is_sealed else None,
        seconds=seconds or SECONDS,
    )


def explained(known: Settings, failure: Any) -> tuple[str, str]:
    """The step of a ``NotSent``, and a sentence about it."""
    return failure.step, _FAILED[failure.step].format(server=known.mail_server, problem=failure)


@mail.command("list")
@click.option("--failed", is_flag=True, help="Those that were given up alone.")
@as_json
def list_letters(*, failed: bool, as_json: bool) -> None:
    """List the letters of the last days, the newest first: sent, waiting, failed, or kept where there is no mail server.

    \b
    Example:   mcp-core mail list --failed
    """
    with opened() as terminal:
        rows = [_fields(record) for record in terminal.services.mail_records.list(terminal.tx, only_failed=failed)]
    if as_json:
        show_json(rows)
    else:
        show_table(_COLUMNS, rows, nothing="No letter was given up." if failed else "There are no letters.")


@mail.command()
@click.argument("letter_id", required=False)
@click.option("--all-failed", is_flag=True, help="Every letter that was given up.")
def retry(*, letter_id: str | None, all_failed: bool) -> None:
    """Send a letter again that was given up, by its id. A running server does so within seconds.

    Links in it are as old as the letter, and may be over.

    \b
    Example:   mcp-core mail retry --all-failed
    """
    if (letter_id is None) is not all_failed:
        raise click.UsageError("Name a letter by its id, or --all-failed.")
    with opened() as terminal:
        if terminal.services.smtp is None:
            refuse("There is no mail server: set MCP_SMTP_URL and MCP_MAIL_FROM (docs/settings.md).")
        count = terminal.services.mail_records.retry(
            terminal.tx, terminal.origin, row_id=letter_id, actor=terminal.actor
        )
        if letter_id is not None and not count:
            refuse(f"There is no letter {letter_id} that was given up. See: {command('mail list --failed')}")
    click.echo(f"{count} {'letter goes' if count == 1 else 'letters go'} out again.")


def _fields(record: MailRecord) -> dict[str, Any]:
    names = ("id", "letter", "recipient", "attempts", "created_at", "next_attempt_at", "delivered_at", "failed_at")
    known = {name: getattr(record, name) for name in names}
    return known | {"state": record.state, "last_problem": record.last_problem}
