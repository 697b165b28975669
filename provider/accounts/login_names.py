"""What people sign in with: user names of any script, and e-mail addresses, in the one form that is compared."""

from __future__ import annotations

import re
import unicodedata

from provider.protocol.text import characters, folded, is_plain, trimmed, written

MAX_USERNAME = 64  # code points, the width of the column
MAX_ADDRESS = 254  # bytes (RFC 5321 §4.5.3.1.3)
MAX_LOCAL_PART = 64  # bytes (RFC 5321 §4.5.3.1.1)
_SHORTEST_USERNAME = 2
# Letters with their marks, as many as a Burmese syllable has; L, N and M are the categories of Unicode.
_USERNAME = re.compile(r"(?:LM{0,6}|[N_])(?:(?:LM{0,6}|[N_.-])*(?:LM{0,6}|[N_]))?")
_KINDS = {"Mn": "M", "Mc": "M", "Nd": "N", "Nl": "N", "No": "N"}
_SYLLABLES = ("CJK UNIFIED IDEOGRAPH", "HANGUL SYLLABLE")
_LOCAL_PART = re.compile(r"[^@ \"(),:;<>\[\\\]]+")
_DOMAIN = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z0-9_-]{1,63}")
_IDEOGRAPHIC_FULL_STOP = "\u3002"


class InvalidName(ValueError):
    """A name or address of a person has a form that is not allowed. ``field`` is the column: ``username``, ``email``…"""

    def __init__(self, field_name: str) -> None:
        super().__init__(field_name)
        self.field = field_name


def canonical_username(text: str) -> str:
    """The one form of a user name: compatibility and case folded. Raises ``InvalidName``.

    Letters of any script with their marks (RFC 8265's idea), digits, ``.``, ``_`` and ``-``, so never an e-mail address;
    neither ``.`` nor ``-`` at an end. At most 64 code points, and at least two characters as people count them (Bo, 지훈),
    one where that is an ideograph or a syllable of Hangul, which are whole names (李, 솔).
    """
    shown = written(trimmed(text))
    name = trimmed(folded(shown))
    if not is_plain(shown) or len(name) > MAX_USERNAME or not _USERNAME.fullmatch("".join(map(_kind, name))):
        raise InvalidName("username")
    if len(characters(name)) < _SHORTEST_USERNAME and not unicodedata.name(name[0], "").startswith(_SYLLABLES):
        raise InvalidName("username")
    return name


def written_username(text: str) -> str:
    """A user name as its owner wrote it: ㅋㅋㅋ stays what it is, where its canonical form has other letters."""
    shown = written(trimmed(text))
    return shown if len(shown) <= MAX_USERNAME else canonical_username(text)


def canonical_email(text: str) -> str:
    """The one form of an address: compatibility and case folded in both parts, the domain in its own script (UTS #46).

    Raises ``InvalidName``, also for a domain that names cannot have (IDNA 2008).
    """
    local_part, domain, ascii_domain = _address(text)
    address = f"{folded(local_part)}@{domain}"
    if max(_bytes(address), _bytes(f"{local_part}@{ascii_domain}")) > MAX_ADDRESS:
        raise InvalidName("email")
    return address


def written_email(text: str) -> str:
    """An address as its owner wrote it, its domain with ordinary dots between and none at the end."""
    local_part, at, domain = written(trimmed(text)).rpartition("@")
    return f"{local_part}{at}{domain.replace(_IDEOGRAPHIC_FULL_STOP, '.').removesuffix('.')}"


def is_address(text: str) -> bool:
    """Whether an address is meant and no user name: a full-width ``＠`` is one as well."""
    return "@" in unicodedata.normalize("NFKC", text)


def login_forms(text: str) -> tuple[str, ...]:
    """The forms in the table under which somebody may be known who signs in as ``text``, the canonical one first.

    Empty for what can be nobody's name. More than one for some addresses, since the first accounts were kept under
    the domain as it was typed, in ASCII or not, and without the rules of IDNA.
    """
    try:
        if not is_address(text):
            return (canonical_username(text),)
        canonical = canonical_email(text)
        local_part, _domain_in_its_script, ascii_domain = _address(text)
        forms = [canonical, f"{folded(local_part)}@{ascii_domain}"]
    except InvalidName:
        forms = []
    earliest = unicodedata.normalize("NFKC", text).strip().casefold()
    if "@" in earliest and len(earliest) <= MAX_ADDRESS and is_plain(earliest):
        forms.append(earliest)
    return tuple(dict.fromkeys(forms))


def _address(text: str) -> tuple[str, str, str]:
    """Local part as written, domain in its own script, domain in ASCII. Raises ``InvalidName``."""
    shown = written_email(text)
    local_part, _, domain = shown.rpartition("@")
    is_local_part = _LOCAL_PART.fullmatch(folded(local_part)) and ".." not in local_part
    if len(shown) > MAX_ADDRESS or not is_plain(shown) or not is_local_part or _bytes(local_part) > MAX_LOCAL_PART:
        raise InvalidName("email")
    in_its_script = in_ascii = domain.lower()
    if not domain.isascii() or "xn--" in in_ascii:
        import idna  # its tables are large, and most addresses need none of them

        try:
            in_ascii = idna.encode(domain, uts46=True).decode()
            in_its_script = idna.decode(in_ascii)
        except UnicodeError:
            raise InvalidName("email") from None
    if not _DOMAIN.fullmatch(in_ascii):
        raise InvalidName("email")
    return local_part, in_its_script, in_ascii


def _kind(letter: str) -> str:
    """``L``, ``M`` or ``N`` for a letter, a mark or a number, the character itself for any other."""
    category = unicodedata.category(letter)
    return "L" if category[0] == "L" else _KINDS.get(category, letter if letter in "._-" else "?")


def _bytes(text: str) -> int:
    return len(text.encode())
