"""User names that look alike to a person: one key for all of them, and which mixtures of scripts a name may have.

What is compared is the skeleton of Unicode's UTS #39 §4, with three differences. Case does not count, since names are shown
as their owner wrote them and typed as anybody likes; so i, whose capital looks like l, is l. A syllable of Hangul stays
whole: taken apart, 각가 would be 가까. And compatibility is folded away first, as for the canonical form.
"""

from __future__ import annotations

import hashlib
import unicodedata
from functools import cache
from pathlib import Path

from provider.protocol.text import as_written

_DATA = Path(__file__).parent / "look_alikes.txt"
_MOST_ROUNDS = 4  # three letters of all need a second one
# Scripts that people write together in one word (UTS #39 §5.2, "highly restrictive").
_WRITTEN_TOGETHER = (
    frozenset({"LATIN", "CJK", "HANGUL"}),
    frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "CJK", "BOPOMOFO"}),
)
# Where the name of a letter begins with another word than its script.
_SCRIPTS = {"IDEOGRAPHIC": "CJK", "KATAKANA-HIRAGANA": "KATAKANA"}
_OF_ANY_SCRIPT = ("MODIFIER",)


def look_alike_key(username: str) -> str:
    """The same for all user names that look alike, whoever has them. 64 hexadecimal digits, as the column is wide."""
    return hashlib.sha256(skeleton(username).encode()).hexdigest()


def skeleton(text: str) -> str:
    """``text`` with the most usual one of all letters that look alike in the place of each. No name to show to anybody."""
    drawn = as_written(text)
    for _ in range(_MOST_ROUNDS):
        simpler = unicodedata.normalize("NFC", "".join(map(_usual, drawn)).casefold())
        if simpler == drawn:
            break
        drawn = simpler
    return drawn


def mixes_scripts(username: str) -> bool:
    """Whether letters stand side by side that no language writes in one word, or digits of two scripts."""
    username = as_written(username)
    letters = {_script(letter) for letter in username if unicodedata.category(letter)[0] == "L"} - {""}
    zeros = {ord(digit) - unicodedata.decimal(digit) for digit in username if unicodedata.category(digit) == "Nd"}
    return len(zeros) > 1 or (len(letters) > 1 and not any(letters <= together for together in _WRITTEN_TOGETHER))


def _usual(letter: str) -> str:
    if "\uac00" <= letter <= "\ud7a3":
        return letter
    usual = _usual_letters()
    return "".join(usual.get(part, part) for part in unicodedata.normalize("NFD", letter))


def _script(letter: str) -> str:
    """By the first word of the letter's name; empty where it may stand in any."""
    word = unicodedata.name(letter, "").partition(" ")[0]
    return "" if word in _OF_ANY_SCRIPT else _SCRIPTS.get(word, word)


@cache
def _usual_letters() -> dict[str, str]:
    """What each letter looks like. Read when the first name is made: signing in needs none of it."""
    found = {"i": "l"}
    for line in _DATA.read_text(encoding="utf-8").split("\n"):
        usual, tab, letters = line.partition("\t")
        if tab and not line.startswith("#"):
            found.update(dict.fromkeys(letters, usual))
    return found
