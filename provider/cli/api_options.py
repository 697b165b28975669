"""Options that say the same of an API in every command that takes them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import click

from provider.cli.terminal import near, refuse

ALGORITHMS = click.Choice(("RS256", "ES256", "EdDSA"))
TYPES = click.Choice(("at+jwt", "JWT"))
TOKEN_ALG_HELP = "Signature of its access tokens. ES256 costs a sixth of RS256."  # noqa: S105 - a text
TOKEN_TYP_HELP = "Type in their header. JWT is for verifiers that refuse RFC 9068's, such as Spring's."  # noqa: S105 - a text

_describe = click.option(
    "--describe", "english", multiple=True, metavar="SCOPE=WORDS",
    help='What a scope allows, as people read it: "files.read=Read your files". May repeat.',
)  # fmt: skip
_describe_ko = click.option(
    "--describe-ko", "korean", multiple=True, metavar="SCOPE=WORDS",
    help="The same in Korean. Where it is absent, Korean pages show the English words.",
)  # fmt: skip


def describing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--describe`` and ``--describe-ko``, which ``described`` reads as ``english`` and ``korean``."""
    return _describe(_describe_ko(command))


def described(
    scope: Collection[str],
    english: Sequence[str],
    korean: Sequence[str],
    before: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, dict[str, str]]:
    """``before`` with what the options say of ``scope``. ``SCOPE=`` takes a description away."""
    said = {name: dict(words) for name, words in (before or {}).items()}
    for language, texts in (("en", english), ("ko", korean)):
        for text in texts:
            name = next((name for name in sorted(scope, key=len, reverse=True) if text.startswith(f"{name}=")), None)
            if name is None:
                meant = near(text.partition("=")[0], scope)
                refuse(f"{text!r} describes none of its scopes ({' '.join(scope)}).{meant} Write: SCOPE=WORDS")
            words = said.setdefault(name, {})
            words[language] = text[len(name) + 1 :].strip()
            if not words[language]:
                del words[language]
    return said
