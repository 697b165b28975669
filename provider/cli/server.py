"""``serve`` and ``setup-link``."""

from __future__ import annotations

import datetime

import click

from provider.cli.terminal import as_json, opened, refusals, refuse, settings, show_json
from provider.program_name import command


@click.command()
@click.option("--host", metavar="H", help="Address to listen on. Default: 127.0.0.1.")
@click.option(
    "--port", metavar="N", type=click.IntRange(1, 65535), help="Port. Default: the issuer's on this machine, or 8000."
)
@click.option("--workers", metavar="N", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@click.option(
    "--threads",
    metavar="N",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Machine calls at once in a process.",
)
def serve(host: str | None, port: int | None, workers: int, threads: int) -> None:
    """Start the server.

    The first start makes the folder MCP_HOME (default ./instance) with a SQLite database and key files, and prints a
    link for making the first account. Every start brings the database up to date. SIGTERM finishes the requests in
    hand, for 30 seconds at most.

    \b
    On this machine:      mcp-core serve
    Behind a TLS proxy:   MCP_ISSUER=https://id.example/oauth MCP_BEHIND_TLS_PROXY=true \\
                          mcp-core serve --host 0.0.0.0 --workers 2
    """
    from provider.start import serve as server

    chosen = settings()
    with refusals():
        try:
            where = server.listening(chosen, host, port, workers, threads)
            server.check_port(where)
            server.prepare(chosen, datetime.datetime.now(datetime.UTC), _say, workers=workers)
            warning = server.missed_issuer(chosen, where)
            if warning is not None:
                click.echo(f"mcp-core: {warning}", err=True)
            server.run(chosen, where)
        except server.StartRefused as error:
            refuse(str(error))


@click.command("setup-link")
@as_json
def setup_link(*, as_json: bool) -> None:
    """Print a one-time link for making the first account.

    It works once, for an hour, and only while there is no user. Links from before stop working.

    \b
    Example:   mcp-core setup-link
    """
    from provider.sign_in.setup_links import AlreadySetUp

    with opened() as terminal:
        try:
            token, until = terminal.services.setup_links.create(terminal.tx, terminal.origin.now)
        except AlreadySetUp:
            refuse(f"There is a user already. More are made with: {command('user create --help')}")
        url = f"{terminal.services.settings.origin}/setup/{token}"
    if as_json:
        show_json({"url": url, "expires_at": until})
    else:
        click.echo(f"Works once, until {until.astimezone():%H:%M %Z}:\n{url}")


def _say(line: str) -> None:
    click.echo(line)
