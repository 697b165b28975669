"""Text of people: which characters are drawn as what they are, what is compared, and how many characters people count.

Decided by Unicode's general categories and by what stands beside a character, never by Python's own classes:
``isprintable`` and ``\\w`` refuse the vowel signs of Thai and Hindi, and what joins an emoji. The categories are those of
``unicodedata``, so letters that a Python version does not know yet are refused by it; what was accepted once stays so, in
the same form, by Unicode's stability policies.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

ZERO_WIDTH_JOINER = "\u200d"
_JOINERS = ("\u200c", ZERO_WIDTH_JOINER)
_BLANKS = " \u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u202f\u205f\u3000"
_RUN_OF_BLANKS = re.compile(f"[{_BLANKS}]+")
# What comes along when text is copied: ends of lines, soft hyphens, marks of the direction and of the byte order.
_COPIED = (
    f"{_BLANKS}\t\n\v\f\r\u0085\u00ad\u061c\u180e\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e"
    "\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufeff"
)
# Letters, marks and symbols to Unicode that are drawn as nothing.
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\U00016fe4\U0001d159")
# They choose between drawings of the letter before them: of Mongolian, of a symbol or emoji, of an ideograph in a name.
_VARIATIONS = "\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
_VARIATION = re.compile(f"[{_VARIATIONS}]")
_ONLY_DRAWN = re.compile(f"[{_VARIATIONS}{''.join(_JOINERS)}]")
_SKIN_TONES = "\U0001f3fb-\U0001f3ff"
_FLAG_LETTER = re.compile("[\U0001f1e6-\U0001f1ff]")
# The flags of England and the like: a black flag and the region in tags.
_TAGGED_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
_DRAWN_WITH_WHAT_IS_BEFORE = re.compile(f"[{_SKIN_TONES}{''.join(_JOINERS)}\U000e0020-\U000e007f]")
_LONGEST_EMOJI = 12  # code points: a couple that kisses, each with a tone of skin, has ten
_DASHES = frozenset(
    "\u2212\u2043\u30fc\u2500"
)  # besides those of the category: a minus, and what keyboards give for one
_NO_PART_OF_A_CODE = ("Zs", "Zl", "Zp", "Cc", "Cf", "Pd")


def is_plain(text: str) -> bool:
    """Whether ``text`` is one line of which every character is drawn, and where it stands.

    No control characters, no marks that turn the direction round, no fillers, nothing for private use, no halves of
    surrogate pairs, no blank but the ordinary one. A joiner only where a script or an emoji needs it.
    """
    return not _hidden(text)


def visible(text: str, stand_in: Callable[[str], str] = lambda _: "?") -> str:
    """``text`` with a stand-in for each character that ``is_plain`` does not allow."""
    hidden = _hidden(text)
    return "".join(stand_in(letter) if at in hidden else letter for at, letter in enumerate(text)) if hidden else text


def trimmed(text: str) -> str:
    """``text`` without what is around it and not seen: blanks, and what comes along when it is copied."""
    return text.strip(_COPIED)


def one_line(text: str) -> str:
    """A name as it is kept: composed (NFC), one ordinary blank for blanks of every kind, none around it."""
    return _RUN_OF_BLANKS.sub(" ", trimmed(unicodedata.normalize("NFC", text)))


def is_name(text: str, most: int) -> bool:
    """Whether ``text`` can name something: plain, of 1 to ``most`` code points, with something to be seen in it."""
    return len(text) <= most and is_plain(text) and any(unicodedata.category(c)[0] not in "MZ" for c in text)


def written(text: str) -> str:
    """An identifier as it is kept and shown: letters of one width, composed (the first rules of RFC 8265 §3.3.2)."""
    return unicodedata.normalize("NFC", "".join(map(_of_usual_width, text)))


def folded(text: str) -> str:
    """An identifier as it is compared: compatibility and case folded away, and what only changes how letters are drawn.

    Unicode's compatibility caseless match (D146), for text that has passed ``is_plain``.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFD", as_written(text)).casefold())


def as_written(text: str) -> str:
    """An identifier with compatibility folded away, and what only changes how letters are drawn. Its case stays."""
    return unicodedata.normalize("NFKC", _ONLY_DRAWN.sub("", text))


def is_found(word: str, *texts: str | None) -> bool:
    """Whether ``word`` stands in one of ``texts``, in either case. An empty one does in any."""
    return not word or any(folded(word) in folded(text) for text in texts if text)


def typed_code(text: str) -> str:
    """A code as it is compared: its letters and digits, whatever blanks, dashes, width and digits it is written with."""
    kept = []
    for letter in unicodedata.normalize("NFKC", text):
        category = unicodedata.category(letter)
        if category == "Nd":
            kept.append(str(unicodedata.decimal(letter)))
        elif category not in _NO_PART_OF_A_CODE and letter not in _DASHES:
            kept.append(letter)
    return "".join(kept)


def characters(text: str) -> list[str]:
    """The characters of ``text`` as people count them: a letter with its marks, a flag, an emoji with all that joins it.

    What Unicode calls grapheme clusters (UAX #29), but that letters never join each other: Indic conjuncts and Hangul
    that cannot be composed count for their letters.
    """
    found: list[str] = []
    for letter in text:
        if found and _belongs_to(found[-1], letter):
            found[-1] += letter
        else:
            found.append(letter)
    return found


def columns_of(text: str) -> int:
    """How many columns of a terminal ``text`` takes: Hangul, ideographs and full-width letters two (UAX #11)."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in unicodedata.normalize("NFC", text))
    return sum(unicodedata.category(letter) != "Mn" for letter in unicodedata.normalize("NFC", text)) + wide


def _belongs_to(before: str, letter: str) -> bool:
    if unicodedata.category(letter)[0] == "M" or _DRAWN_WITH_WHAT_IS_BEFORE.match(letter):
        return True
    if _FLAG_LETTER.match(letter):
        return _FLAG_LETTER.fullmatch(before) is not None
    return before.endswith(ZERO_WIDTH_JOINER) and _is_pictograph(letter) and len(before) < _LONGEST_EMOJI


def _hidden(text: str) -> set[int]:
    """Where the characters are that are not drawn."""
    if text.isascii() and text.isprintable():
        return set()
    of_flags = {at for flag in _TAGGED_FLAG.finditer(text) for at in range(*flag.span())}
    return {at for at, letter in enumerate(text) if at not in of_flags and not _is_drawn(text, at, letter)}


def _is_drawn(text: str, at: int, letter: str) -> bool:
    if letter in _JOINERS:
        return _joins(text, at)
    if _VARIATION.match(letter):
        return at > 0 and unicodedata.category(text[at - 1])[0] in "LNPS"
    category = unicodedata.category(letter)
    if category == "Cn":
        return _is_pictograph(letter)
    return letter == " " or (category[0] in "LMNPS" and letter not in _FILLERS)


def _joins(text: str, at: int) -> bool:
    """Whether a joiner has something to join or to hold apart: beside a virama, in Arabic script, between pictographs.

    RFC 5892 A.1 and A.2, with the joiner before a virama that Bengali and Kannada write, and UTS #51 for emoji.
    """
    before, after = text[at - 1 : at] if at else "", text[at + 1 : at + 2]
    if before in _FILLERS:
        return False
    if _is_virama(before) or (_is_virama(after) and unicodedata.category(before or " ")[0] in "LM"):
        return True
    base = at - 1
    while base >= 0 and unicodedata.category(text[base])[0] == "M":
        base -= 1
    if base < 0 or not after:
        return False
    if unicodedata.bidirectional(text[base]) == unicodedata.bidirectional(after) == "AL":
        return True
    return text[at] == ZERO_WIDTH_JOINER and _is_pictograph(text[base]) and _is_pictograph(after)


def _is_virama(letter: str) -> bool:
    return letter != "" and unicodedata.combining(letter) == 9


def _is_pictograph(letter: str) -> bool:
    """A symbol as emoji are made of, also one that is not assigned yet: Unicode keeps this block for them."""
    return "\U0001f000" <= letter <= "\U0001faff" or (
        letter >= "\u2190" and letter not in _FILLERS and unicodedata.category(letter) in ("So", "Sm")
    )


def _of_usual_width(letter: str) -> str:
    kind, _, code_points = unicodedata.decomposition(letter).partition(" ")
    return "".join(chr(int(code, 16)) for code in code_points.split()) if kind in ("<wide>", "<narrow>") else letter
