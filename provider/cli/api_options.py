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


groups_claim = click.option(
    "--groups-claim",
    type=click.Choice(("on", "off")),
    help="Whether its access tokens name the person's groups, where the scope groups was granted. Default: off.",
)
scope_groups = click.option(
    "--scope-group", "reserved", multiple=True, metavar="SCOPE=GROUP",
    help="A scope that only members of a group get. May repeat: of any of them. SCOPE= opens it to everybody.",
)  # fmt: skip


def reserved_scopes(
    scope: Collection[str], said: Sequence[str], find: Callable[[str], str], before: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """``before`` with what ``--scope-group`` says: a scope that it names is for those groups alone from now on.

    ``find`` gives the id of a named group, or refuses.
    """
    named: dict[str, list[str]] = {}
    for text in said:
        name, value = _of_scope(scope, text, "reserves", "SCOPE=GROUP")
        named.setdefault(name, []).extend([find(value)] if value else [])
    return {name: groups for name, groups in {**before, **{k: tuple(v) for k, v in named.items()}}.items() if groups}


def _of_scope(scope: Collection[str], text: str, does: str, form: str) -> tuple[str, str]:
    """``SCOPE=…`` as one of the scopes and the rest: a scope may have an equals sign itself. Or a refusal."""
    name = next((name for name in sorted(scope, key=len, reverse=True) if text.startswith(f"{name}=")), None)
    if name is None:
        meant = near(text.partition("=")[0], scope)
        refuse(f"{text!r} {does} none of its scopes ({' '.join(scope)}).{meant} Write: {form}")
    return name, text[len(name) + 1 :].strip()


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
            name, sentence = _of_scope(scope, text, "describes", "SCOPE=WORDS")
            words = said.setdefault(name, {})
            words[language] = sentence
            if not words[language]:
                del words[language]
    return said
