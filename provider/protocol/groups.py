"""Groups: what their names may be, and the groups of one person as tokens rest on them."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

from provider.protocol.text import folded, is_plain, trimmed, written

MAX_NAME_BYTES = 64
# What the names of one person's groups take in a token at most: 50 of the longest, 200 of fifteen letters. A token of
# everything else besides stays below 8,192 characters, which is what verifiers and the headers of servers take.
MAX_CLAIM_BYTES = 3400
_NAME = re.compile(r"[LN](?:LM{0,6}|[LN._:/@-])*")
_RESERVED = "system:"  # Kubernetes: whoever is in system:masters may do everything


class InvalidGroupName(ValueError):
    """A group cannot have this name."""


@dataclass(frozen=True, slots=True)
class Membership:
    """The groups of a person at one moment: their ids, and their names as tokens say them, sorted.

    ``version`` counts the changes. What was decided by this membership holds as long as the count is the same, which the
    statement that mints looks at.
    """

    version: int
    is_admin: bool
    ids: frozenset[str]
    names: tuple[str, ...]

    def is_in_one_of(self, groups: Collection[str]) -> bool:
        """Whether something that is reserved for the groups of these ids is open. For none at all it is to everybody."""
        return not groups or not self.ids.isdisjoint(groups)


NOBODY = Membership(-1, is_admin=False, ids=frozenset(), names=())


def canonical_group_name(text: str) -> str:
    """The one form of a group's name, in which two are compared. Raises ``InvalidGroupName``.

    Letters of any script and digits, and after the first one also ``. _ : / @ -``; at most 64 bytes. No blank and no comma,
    by which headers and flags of others (oauth2-proxy) tell groups apart, and nothing that begins like Kubernetes' own.
    """
    shown = written_group_name(text)
    name = folded(shown)
    kinds = "".join(map(_kind, name))
    if not is_plain(shown) or not _NAME.fullmatch(kinds) or name.startswith(_RESERVED):
        raise InvalidGroupName(text)
    if max(len(name.encode()), len(shown.encode())) > MAX_NAME_BYTES:
        raise InvalidGroupName(text)
    return name


def written_group_name(text: str) -> str:
    """A group's name as tokens say it."""
    return written(trimmed(text))


def claim_bytes(names: Collection[str]) -> int:
    """What these names take in a token."""
    return sum(len(name.encode()) + len('"",') for name in names)


def groups_digest(claim: object) -> str:
    """What is kept of the claim ``groups`` of an access token: enough to tell whether a token says the same."""
    return hashlib.sha256(json.dumps(claim, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


def _kind(letter: str) -> str:
    """``L``, ``M`` or ``N`` for a letter, a mark or a digit, the character itself for any other."""
    category = unicodedata.category(letter)
    if category[0] in "LM":
        return category[0]
    return "N" if category == "Nd" else letter if letter in "._:/@-" else "?"
