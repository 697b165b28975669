"""Names that applications give themselves, in a form in which they can stand among words of ours."""

from __future__ import annotations

import unicodedata

LONGEST = 40
_MARKS_PER_LETTER = 4
# A name stands between double quotation marks: it must not close them.
_DOUBLE_MARKS = (
    '"\u201c\u201d\u201e\u201f\u00ab\u00bb\u300c\u300d\u300e\u300f\u301d\u301e\u301f\uff02\u2033\u275d\u275e'
)
_TO_SINGLE_ONES = str.maketrans(dict.fromkeys(_DOUBLE_MARKS, "'"))


def shown_name(name: str) -> str:
    """``name`` on one line, of at most 40 characters as people count them, each with no more marks than a script has.

    What is cut off is marked by an ellipsis. Letters that are not printable, such as those that turn the direction of
    text round, become a blank.
    """
    letters: list[str] = []
    for letter in unicodedata.normalize("NFC", name.translate(_TO_SINGLE_ONES)):
        if unicodedata.category(letter).startswith("M"):
            if letters and len(letters[-1]) <= _MARKS_PER_LETTER:
                letters[-1] += letter
        else:
            letters.append(letter if letter.isprintable() else " ")
    letters = [
        letter for letter, before in zip(letters, [" ", *letters], strict=False) if (letter, before) != (" ", " ")
    ]
    whole = len(letters) <= LONGEST
    return "".join(letters if whole else [*letters[: LONGEST - 1], "\u2026"]).strip()
