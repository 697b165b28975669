"""``doctor``: is everything as it should be?"""

from __future__ import annotations

import datetime
import platform
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provider.cli.terminal import absent_database, as_json, quoted, show_json
from provider.program_name import command
from provider.protocol.text import visible

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from database import Transaction
    from provider.services import Services
    from provider.settings import Settings

MOST_SKEW_SECONDS = 5
LONGEST_WAIT = datetime.timedelta(minutes=10)
CHECK_SECONDS = 15
MOST_OPENED = 1000  # of the sealed values of each column; `vault status` opens all
_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@dataclass(frozen=True)
class Finding:
    """``state``: ok, warn (worth a look) or fail (does not work)."""

    check: str
    state: str
    text: str


@click.command()
@as_json
@click.pass_context
def doctor(context: click.Context, *, as_json: bool) -> None:
    """Check settings, Python, database, keys, clock, mail, and whether the issuer answers as itself.

    Changes nothing. The exit code is 1 when something does not work; warnings leave it at 0.

    \b
    Example:   mcp-core doctor
    In a probe:   mcp-core doctor --json | jq -e 'all(.state != "fail")'
    """
    found = []
    for finding in examine():
        found.append(finding)
        if not as_json:
            click.echo(f"{_MARKS[finding.state]}  {finding.check:9}  {finding.text}")
    if as_json:
        show_json([asdict(finding) for finding in found])
    context.exit(1 if any(finding.state == "fail" for finding in found) else 0)


def examine() -> Iterator[Finding]:
    """All checks that are possible, in an order in which each rests on the ones before it."""
    from provider.settings import SettingsError, load_settings

    try:
        settings = load_settings()
    except SettingsError as error:
        yield from (Finding("settings", "fail", line) for line in str(error).splitlines())
        return
    yield from _settings(settings)
    yield _python()
    yield from _database(settings)
    yield _mail_server(settings)
    yield from _issuer(settings)


def _python() -> Finding:
    from provider.start.interpreter import is_profiled

    version = platform.python_version()
    if is_profiled():
        return Finding("python", "ok", f"{version}, built with a profile of itself")
    text = f"{version} was not built with --enable-optimizations: one that was needs a fifth less processor time"
    return Finding("python", "warn", text)


def _settings(settings: Settings) -> Iterator[Finding]:
    yield Finding("settings", "ok", f"issuer {settings.issuer}")
    if not settings.is_loopback and settings.behind_tls_proxy and settings.trusted_proxy_count == 0:
        text = "MCP_TRUSTED_PROXY_COUNT is 0: every request seems to come from the proxy, and limits count it as one source"
        yield Finding("settings", "warn", text)
    if not settings.rate_limits:
        yield Finding("settings", "warn", "MCP_RATE_LIMITS is off: guesses are not throttled")
    path = Path(".env")
    if path.is_file() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield Finding("settings", "warn", ".env can be read by other users of this machine: chmod 600 .env")


def _database(settings: Settings) -> Iterator[Finding]:
    from sqlalchemy.exc import SQLAlchemyError

    from database import DatabaseConnection
    from database.cluster_checks import check_cluster
    from database.connection import ConfigurationError, check_server
    from database.faults import explain_database_error
    from database.init_db import pending_files
    from database.ledger import MigrationError
    from database.sql_files import SqlFileError

    try:
        absent = absent_database()
        if absent is not None:
            yield Finding("database", "fail", f"there is none at {absent} ({command('serve')} makes it)")
            return
        DatabaseConnection.initialize()
        engine = DatabaseConnection.get_engine()
        problems, remarks, pending = check_server(engine), check_cluster(engine), pending_files(engine)
    except (ConfigurationError, MigrationError, SqlFileError) as error:
        yield Finding("database", "fail", str(error))
        return
    except SQLAlchemyError as error:
        yield Finding("database", "fail", " ".join(explain_database_error(error).split()))
        return
    try:
        yield Finding("database", "ok", engine.url.render_as_string(hide_password=True))
        yield from (Finding("database", "fail", problem) for problem in problems)
        yield from (Finding("database", *remark) for remark in remarks)
        if engine.dialect.name == "sqlite" and not settings.is_loopback:
            yield Finding("database", "warn", "SQLite serves one machine; use MySQL or MariaDB for more (MYSQL_…)")
        if pending:
            yield Finding("schema", "fail", f"to be applied: {', '.join(pending)} ({command('serve')} does so)")
        else:
            yield Finding("schema", "ok", "up to date")
            yield _clock(engine)
            yield from _keys(settings, engine)
    finally:
        DatabaseConnection.dispose()


def _clock(engine: Engine) -> Finding:
    from sqlalchemy import text

    if engine.dialect.name == "sqlite":
        return Finding("clock", "ok", "the database runs on this machine's clock")
    with engine.connect() as connection:
        theirs = connection.execute(text("SELECT UTC_TIMESTAMP(6)")).scalar_one()
    ours = datetime.datetime.now(datetime.UTC)
    skew = abs((ours - theirs.replace(tzinfo=datetime.UTC)).total_seconds())
    if skew > MOST_SKEW_SECONDS:
        return Finding("clock", "fail", f"the database's clock and this one are {skew:.0f} s apart: run NTP on both")
    return Finding("clock", "ok", f"{skew:.1f} s from the database's")


def _keys(settings: Settings, engine: Engine) -> Iterator[Finding]:
    from database import Transaction
    from provider.security import sealed_columns
    from provider.security.crypto import DecryptionFailed
    from provider.security.rewrapping import Rewrapping
    from provider.services import Services
    from provider.start import key_files
    from provider.start.key_texts import KeyFilesError
    from provider.start.memory import loaded
    from provider.start.ring_report import ring_remarks, ring_report

    if not key_files.keys_exist(settings) and not key_files.has_stored_secrets(engine):
        yield Finding("keys", "warn", "not made yet: the first start of the server makes them")
        return
    try:
        keyring = key_files.load_keyring(settings, may_create=False)
    except KeyFilesError as error:
        yield Finding("keys", "fail", str(error))
        return
    services = Services(settings, engine, keyring)
    loaded()
    now = datetime.datetime.now(datetime.UTC)
    with Transaction(engine) as tx:
        try:
            found, unreadable = services.signing_keys.list(tx, now), services.signing_keys.unreadable(tx, now)
        except DecryptionFailed:
            yield Finding("keys", "fail", "the stored signing keys do not open with these key files")
            return
        for kid in unreadable:
            text = f"the signing key {kid} does not open: it signs nothing, and what it has signed is refused"
            yield Finding("keys", "fail", f"{text} ({command('keys rotate')})")
        active = {key.algorithm for key in found if key.activates_at <= now}
        missing = [name for name in settings.algorithms if name not in active]
        if missing:
            yield Finding("keys", "warn", f"no signing key yet for {', '.join(missing)}: the next start makes it")
        else:
            yield Finding("keys", "ok", f"{len(found)} signing keys, key files closed to others")
        report = ring_report(tx, services, Rewrapping(keyring, sealed_columns.ALL), most_opened=MOST_OPENED)
        yield from (Finding("vault", *remark) for remark in ring_remarks(report))
        yield from _clients(services, tx)
        yield from _people(services, tx)
        yield from _letters(services, tx, now)


def _clients(services: Services, tx: Transaction) -> Iterator[Finding]:
    found = services.clients.list(tx)
    for client in found:
        if not client.require_pkce and "authorization_code" in client.grant_types:
            text = f"{quoted(client.name)} ({client.client_id}) may sign people in without PKCE and without a nonce"
            yield Finding("clients", "warn", text)
    yield Finding("clients", "ok", f"{sum(not client.is_api_key for client in found)} registered")


def _people(services: Services, tx: Transaction) -> Iterator[Finding]:
    from provider.sign_in.second_factors import has_second_factor

    users = services.users.list(tx)
    if not users:
        yield Finding("people", "warn", f"there is no account yet: {command('setup-link')}")
        return
    for way_in in services.consecutive_failures.closed(tx):
        name = next((user.username for user in users if user.id == way_in.user_id), way_in.user_id)
        text = f"{name}: {way_in} is closed after wrong guesses ({command(f'user unlock {name}')})"
        yield Finding("people", "warn", text)
    administrators = [user for user in users if user.is_admin and user.is_active]
    bare = [user.username for user in administrators if not has_second_factor(tx, user)]
    if bare:
        yield Finding("people", "warn", f"administrators without a second factor: {', '.join(bare)}")
    else:
        yield Finding("people", "ok", f"{len(users)} accounts, every administrator with a second factor")


def _letters(services: Services, tx: Transaction, now: datetime.datetime) -> Iterator[Finding]:
    state = services.mail_records.state(tx)
    if state.failed:
        text = f"{state.failed} given up ({command('mail list --failed')}, {command('mail retry --all-failed')})"
        yield Finding("mail", "warn", text)
    if state.oldest is not None and now - state.oldest > LONGEST_WAIT:
        problem = f": {visible(state.problem)}" if state.problem else ""
        yield Finding(
            "mail", "warn", f"{state.waiting} waiting, the oldest since {state.oldest:%Y-%m-%d %H:%M} UTC{problem}"
        )


def _mail_server(settings: Settings) -> Finding:
    from provider.cli.mail import explained, smtp_of
    from provider.deliveries.smtp import NotSent
    from provider.start.key_texts import KeyFilesError

    server = settings.mail_server
    if server is None and settings.is_loopback:
        return Finding("mail", "ok", f"no server: letters can be read at {settings.origin}/mailbox")
    if server is None:
        return Finding(
            "mail", "warn", "no server (MCP_SMTP_URL): what needs mail, such as a forgotten password, is not offered"
        )
    try:
        smtp_of(settings, server, CHECK_SECONDS).check()
    except KeyFilesError as error:
        return Finding("mail", "fail", f"the sealed password of {server} cannot be opened: {error}")
    except NotSent as failure:
        return Finding("mail", "fail", explained(settings, failure)[1])
    return Finding("mail", "ok", f"{server} answers ({command('mail test ADDRESS')} sends a letter)")


def _issuer(settings: Settings) -> Iterator[Finding]:
    from provider.security.exchange import FetchFailed
    from provider.security.own_origin import fetch_json

    for name, url in (
        ("OpenID Connect Discovery", f"{settings.issuer}/.well-known/openid-configuration"),
        ("RFC 8414", f"{settings.origin}/.well-known/oauth-authorization-server{settings.issuer_path}"),
    ):
        try:
            document = fetch_json(url, origin=settings.origin)
        except FetchFailed as error:
            yield Finding(
                "issuer", "fail", f"{url}: {error}. Is the server running, and does the proxy pass this path on?"
            )
            continue
        stated = document.get("issuer") if isinstance(document, dict) else None
        if stated != settings.issuer:
            yield Finding("issuer", "fail", f"{url} names another issuer than MCP_ISSUER")
        else:
            yield Finding("issuer", "ok", f"answers as itself ({name})")
