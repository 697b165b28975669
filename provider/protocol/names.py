"""Names that applications give themselves, in a form in which they can stand among words of ours."""

from __future__ import annotations

import itertools
import unicodedata

from provider.protocol.text import characters, visible

LONGEST = 40
_MARKS_PER_LETTER = 6  # of a syllable in Burmese
# A name stands between double quotation marks: it must not close them.
_DOUBLE_MARKS = (
    '"\u201c\u201d\u201e\u201f\u00ab\u00bb\u300c\u300d\u300e\u300f\u301d\u301e\u301f\uff02\u2033\u275d\u275e'
)
_TO_SINGLE_ONES = str.maketrans(dict.fromkeys(_DOUBLE_MARKS, "'"))


def shown_name(name: str, longest: int = LONGEST) -> str:
    """``name`` on one line, at most ``longest`` characters as people count them, each with no more marks than a script has.

    What is cut off is marked by an ellipsis. Letters that are not drawn, such as those that turn the direction of text
    round, become a blank, and several blanks become one.
    """
    text = visible(unicodedata.normalize("NFC", name.translate(_TO_SINGLE_ONES)), lambda _: " ")
    letters = list(filter(None, map(_with_few_marks, characters(text))))
    letters = [
        letter for letter, before in zip(letters, [" ", *letters], strict=False) if (letter, before) != (" ", " ")
    ]
    whole = len(letters) <= longest
    return "".join(letters if whole else [*letters[: longest - 1], "\u2026"]).strip()


def _with_few_marks(character: str) -> str:
    """One character without the marks beyond its sixth; nothing where it has no letter to carry them."""
    if _is_mark(character[0]):
        return ""
    marks = itertools.count(1)
    return "".join(letter for letter in character if not _is_mark(letter) or next(marks) <= _MARKS_PER_LETTER)


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter).startswith("M")
