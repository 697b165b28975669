"""Starting the server: what has to be in place first, and what is said about it.

One worker runs inside this process: measured, that is 70 MB less than a process that only watches another, and nothing is
gained by watching, since what starts services restarts them. More workers are processes, forked once everything is loaded.
"""

from __future__ import annotations

import datetime
import functools
import importlib
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from provider.program_name import command
from provider.settings import Settings
from provider.start.connections import Door
from provider.start.logs import configure_logs
from provider.start.memory import give_large_blocks_back, loaded
from provider.start.server import bind, listen, raise_open_files, serve, serve_in_workers

MODULE = "provider.application"


class StartRefused(Exception):
    """The server must not or cannot start. The text says what to change."""


@dataclass(frozen=True)
class Listening:
    host: str
    port: int
    workers: int
    threads: int


def listening(settings: Settings, host: str | None, port: int | None, workers: int, threads: int) -> Listening:
    """Where and how to listen. Raises ``StartRefused`` for plain HTTP beyond this machine.

    Without ``port`` it is the issuer's, when the issuer is on this machine, or 8000.
    """
    if host is None:
        host = "::1" if urlsplit(settings.issuer).hostname == "::1" else "127.0.0.1"
    host = "127.0.0.1" if host == "localhost" else host.strip("[]")
    if not _is_loopback(host) and not settings.behind_tls_proxy:
        raise StartRefused(
            f"Refusing to speak plain HTTP on {host}, which other machines can reach. Put a proxy that speaks TLS in "
            "front and set MCP_BEHIND_TLS_PROXY=true, or listen on 127.0.0.1."
        )
    if port is None:
        port = (urlsplit(settings.issuer).port or 80) if settings.is_loopback and not settings.is_https else 8000
    return Listening(host, port, workers, threads)


def missed_issuer(settings: Settings, where: Listening) -> str | None:
    """What to say when nothing would listen where the issuer and every link lead. A proxy may be in between."""
    if settings.is_https or where.port == (urlsplit(settings.issuer).port or 80):
        return None
    return f"Listening on port {where.port}, but MCP_ISSUER is {settings.issuer}: links lead there."


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_port(where: Listening) -> None:
    """Raises ``StartRefused`` when something else listens there already, before anything is changed."""
    try:
        bind(where.host, where.port).close()
    except OSError as error:
        raise StartRefused(f"Cannot listen on {where.host}:{where.port}: {error.strerror}.") from None


def prepare(settings: Settings, now: datetime.datetime, say: Callable[[str], None], *, workers: int = 1) -> None:
    """Migrates the database, makes keys and, while there is no user, a setup link; says so.

    Raises ``ConfigurationError``, ``KeyFilesError``, ``MigrationError`` and what the database raises.
    """
    from database import DatabaseConnection, Transaction
    from database.connection import check_server
    from database.init_db import migrate
    from provider.security.sealed_settings import SMTP_PASSWORD, opens
    from provider.services import Services
    from provider.start import key_files

    DatabaseConnection.initialize()
    engine = DatabaseConnection.get_engine()
    has_keys = key_files.keys_exist(settings)
    keyring = key_files.load_keyring(settings, may_create=not key_files.has_stored_secrets(engine))
    problems = check_server(engine)
    if problems:
        raise StartRefused("\n".join(problems))
    report = migrate(engine)
    state = "new" if not report.current else "upgraded" if report.applied else "up to date"
    services = Services(settings, engine, keyring)
    link = None
    with Transaction(engine) as tx:
        if workers > 1:  # otherwise the application does so a moment later
            services.signing_keys.ensure(tx, now)
        if services.users.is_empty(tx):
            link = services.setup_links.create(tx, now)
    if workers > 1:
        DatabaseConnection.dispose()  # connections must not be shared with forked workers
    shown = engine.url.render_as_string(hide_password=True)
    say(f"{settings.service_name}   issuer {settings.issuer}   database {shown}   ({state})")
    folder = key_files.keys_folder(settings)
    if settings.hashing_key is None or settings.encryption_keys is None:
        say(f"keys in {folder}" if has_keys else f"keys written to {folder} (mode 0600). Back this folder up.")
    if link is not None:
        token, until = link
        say("")
        say(f"  Make the first account (the link works once, until {until.astimezone():%H:%M %Z}):")
        say(f"  {settings.origin}/setup/{token}")
        say("")
        say(f"  Lost it?   {command('setup-link')}")
    else:
        say("")
        say(f"  Open {settings.origin}/")
    if settings.mail_way == "mailbox":
        say(f"  Mail goes to {settings.origin}/mailbox until MCP_SMTP_URL is set")
    if settings.mail_server is not None and not opens(keyring, SMTP_PASSWORD, settings.mail_server.password):
        say("  No letter goes out: the sealed password of the mail server does not open with the master keys.")
        say(f"  Seal it again:   {command('vault seal')}")
    say("")


def run(settings: Settings, where: Listening) -> None:
    """Serves until SIGTERM or SIGINT. Requests in hand are finished, for 30 seconds at most."""
    configure_logs(settings.log_level, settings.log_format)
    give_large_blocks_back()
    raise_open_files()
    load = functools.partial(load_door, where.threads)
    if where.workers == 1:
        serve(listen(where.host, where.port), load())
    else:
        importlib.import_module(MODULE)
        loaded()
        serve_in_workers(listen(where.host, where.port), load, where.workers)


def load_door(threads: int) -> Door:
    """The front door."""
    door: Door = importlib.import_module(MODULE).create_door(threads)
    loaded()
    return door
