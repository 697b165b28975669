"""How sure a session is of who somebody is: levels (``acr``) and the methods that lead to each (``amr``).

The levels are a ladder: each includes those below it. ``phr`` is the name of the OpenID Connect Extended Authentication
Profile (ACR Values 1.0 §2) for what no look-alike page can get hold of. Its ``phrh`` says that a key is in protected
hardware: without attestation nobody knows that, so it is said of nobody.

A session has the methods of its sign-in, and those of every proof that came after it. A device that is remembered is no
method: who gave the password alone is at the lowest level there as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

PASSWORD = "urn:mcp-core:password"  # noqa: S105 - the name of a level
TWO_FACTOR = "urn:mcp-core:two-factor"
PHISHING_RESISTANT = "phr"
LEVELS = (PASSWORD, TWO_FACTOR, PHISHING_RESISTANT)
_OF_PASSKEYS = frozenset({"hwk", "swk"})


def acr_of(amr: Iterable[str]) -> str:
    """The highest level that these methods (RFC 8176) reach.

    A passkey counts for ``phr`` as one of two factors (``mfa``): because it verified its user, or after a password.
    """
    methods = set(amr)
    if "mfa" not in methods:
        return PASSWORD
    return PHISHING_RESISTANT if methods & _OF_PASSKEYS else TWO_FACTOR


def reaches(acr: str, level: str) -> bool:
    """Whether ``acr`` is ``level`` or above it. Nothing reaches a level that is not ours."""
    return acr in LEVELS and level in LEVELS and LEVELS.index(acr) >= LEVELS.index(level)


def answered(acr: str, wanted: Sequence[str]) -> str:
    """What a token says of a session at level ``acr``: of the ``wanted`` levels the first that it reaches, else its own.

    Applications compare strings: one that has asked for two factors must find just that (OpenID Connect Core §5.5.1.1),
    also where a passkey was used.
    """
    return next((level for level in wanted if reaches(acr, level)), acr)


def together(before: Sequence[str], now: Sequence[str]) -> tuple[str, ...]:
    """The methods of a session after another proof, in the order of their first use.

    A code after a password makes two factors, also when it comes later.
    """
    return tuple(dict.fromkeys((*before, *now)))
