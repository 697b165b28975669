"""The command line of ``mcp-core-cloud``. Exit codes: 0 done, 1 no credentials (one line says why), 2 wrong usage."""

from __future__ import annotations

import argparse
import getpass
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mcp_core_cloud import formats, settings
from mcp_core_cloud.api import Account, CloudApi
from mcp_core_cloud.errors import CloudError
from mcp_core_cloud.examples import EXAMPLES
from mcp_core_cloud.oci_profile import write_profile
from mcp_core_cloud.private_files import MAX_BYTES, write_private

FORMATS = ("aws", "gcp", "azure", "alibaba", "oci", "kubernetes", "token", "env", "json")
_OF_OURS = ("gcp", "azure", "kubernetes", "token")  # who exchanges our token, or takes it
_PRINTED: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "aws": formats.for_aws,
    "azure": formats.token_alone,
    "alibaba": formats.for_alibaba,
    "kubernetes": formats.for_kubectl,
    "token": formats.token_alone,
    "env": formats.for_shell,
    "json": formats.whole,
}
_OF_GOOGLE = "GOOGLE_EXTERNAL_ACCOUNT_"


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Runs one command and returns the exit code. ``environ`` takes the place of the process's own variables."""
    known = settings.environment() if environ is None else environ
    asked = _parser().parse_args(arguments)
    try:
        asked.run(asked, known)
    except CloudError as error:
        if getattr(asked, "format", "") == "gcp":
            _say(formats.failed_for_google(error))
            if f"{_OF_GOOGLE}AUDIENCE" in known:
                return 0  # SDKs show the message of an answer, and nothing of a program that failed
        sys.stderr.write(f"mcp-core-cloud: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    shape: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    parser = argparse.ArgumentParser(
        "mcp-core-cloud",
        description="Credentials of your clouds from MCP Core, by an API key.",
        epilog=EXAMPLES,
        **shape,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--issuer", metavar="URL", help="the server; otherwise $MCP_CORE_ISSUER or the file says it")
    shared.add_argument(
        "--key-file", type=Path, metavar="FILE", help="another file of the form that `configure` writes, mode 0600"
    )
    give = commands.add_parser("credentials", parents=[shared], help="print credentials", epilog=EXAMPLES, **shape)
    give.add_argument("label", metavar="LABEL", help="what the account is called on your account page")
    give.add_argument("--format", choices=FORMATS, default="json", help="whom they are printed for (default: json)")
    give.add_argument("--purpose", metavar="TEXT", help="what they are for; you read it in your activity")
    give.add_argument(
        "--output", type=Path, metavar="FILE", help="write them to a file of mode 0600 instead, for OCI into a folder"
    )
    give.set_defaults(run=_credentials)
    listed = commands.add_parser("list", parents=[shared], help="list your cloud accounts", **shape)
    listed.set_defaults(run=_list)
    made = commands.add_parser(
        "configure", help="ask for server and key, and keep them in a file of mode 0600", **shape
    )
    made.add_argument("--key-file", type=Path, metavar="FILE", help="the file; default ~/.config/mcp-core/cloud.toml")
    made.set_defaults(run=_configure)
    return parser


def _credentials(asked: argparse.Namespace, environ: Mapping[str, str]) -> None:
    if asked.format == "oci" and asked.output is None:
        raise CloudError("--format oci writes a folder. Name it: --output FOLDER", "configuration")
    api = CloudApi(settings.load(environ, issuer=asked.issuer, file=asked.key_file))
    account = api.account(asked.label)
    purpose = asked.purpose or f"mcp-core-cloud on {platform.node() or 'a machine'}: {asked.format}"
    if asked.format == "gcp":
        _check_audience(account, environ)
    answer = api.give(account, purpose, "assertion" if asked.format in _OF_OURS else "credentials")
    if asked.format == "oci":
        _keep_for_oci(asked.output, answer)
        return
    text = _formatted(asked.format, answer, environ)
    if asked.output is not None:
        write_private(asked.output, text)
        return
    if asked.format == "gcp" and environ.get(f"{_OF_GOOGLE}OUTPUT_FILE"):
        write_private(Path(environ[f"{_OF_GOOGLE}OUTPUT_FILE"]), text)
    _say(text)


def _keep_for_oci(folder: Path, answer: Mapping[str, Any]) -> None:
    try:
        write_profile(folder, answer)
    except (KeyError, TypeError, AttributeError):
        raise CloudError("The server did not answer as MCP Core does.", "unreachable") from None


def _formatted(name: str, answer: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    try:
        if name == "gcp":
            return formats.for_google(answer, environ.get(f"{_OF_GOOGLE}TOKEN_TYPE", ""))
        return _PRINTED[name](answer)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise CloudError("The server did not answer as MCP Core does.", "unreachable") from None


def _check_audience(account: Account, environ: Mapping[str, str]) -> None:
    """What Google's SDK is configured for and the account on the server must be the same provider."""
    wanted = environ.get(f"{_OF_GOOGLE}AUDIENCE")
    provider = account.fields.get("provider")
    if wanted and provider and wanted.removeprefix("https:") != provider.removeprefix("https:"):
        raise CloudError(f"The account {account.label!r} is for {provider}, not for {wanted}.", "audience")


def _list(asked: argparse.Namespace, environ: Mapping[str, str]) -> None:
    found = CloudApi(settings.load(environ, issuer=asked.issuer, file=asked.key_file)).accounts()
    rows = [("label", "provider", "mode")] + [(it.label, it.provider, it.mode) for it in found]
    widths = [max(len(row[at]) for row in rows) for at in range(3)]
    _say(
        "".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n"
            for row in rows
        )
    )


def _configure(asked: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """Tries the key before it is kept."""
    made = settings.checked(
        _answer("Issuer (https://…): "), _answer("Key id (key_…): "), _answer("Key secret: ", hidden=True)
    )
    count = len(CloudApi(made).accounts())
    path = asked.key_file or settings.usual_file(environ)
    settings.save(path, made)
    _say(f"The key works: {count} cloud account{'' if count == 1 else 's'}. Kept in {path}\n")


def _answer(question: str, *, hidden: bool = False) -> str:
    if sys.stdin.isatty():
        return (getpass.getpass(question) if hidden else input(question)).strip()
    line = sys.stdin.readline(MAX_BYTES)
    if not line:
        raise CloudError("There was no answer to: " + question.strip(), "configuration")
    return line.strip()


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
