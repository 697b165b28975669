"""What people may say of themselves: the fields of the standard claims, and the form in which each is kept.

OpenID Connect Core §5.1 and §5.1.1. Applications show these to other people and make links of them: nothing is kept that is
not drawn, and no address but of a web page.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import quote, urlsplit, urlunsplit

from provider.protocol.text import is_name, is_plain, one_line, trimmed

LONGEST_NAME = 100
LONGEST_URL = 512
LONGEST_STREET = 255
MOST_LINES = 4
GENDERS = ("female", "male", "non-binary")
FIRST_YEAR = 1850
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]", re.IGNORECASE)
_KEPT_IN_URLS = "%/:=&?~#+!$,;'@()*[]"
_BETWEEN_DIGITS = re.compile(r"\(0\)|[\s().\-/\u2010-\u2015\u2212]")
_PHONE_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_YEAR = re.compile(r"[0-9]{4}")


class InvalidFields(ValueError):
    """Some fields cannot be kept. ``names`` are theirs."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


def checked(values: Mapping[str, str], today: datetime.date) -> dict[str, str | None]:
    """Every field of ``FIELDS`` as it is kept, None for one that is empty or missing. Raises ``InvalidFields``."""
    kept: dict[str, str | None] = {}
    wrong = []
    for name, rule in FIELDS.items():
        text = trimmed(values.get(name, ""))
        try:
            kept[name] = rule(text, today) if text else None
        except ValueError:
            wrong.append(name)
    if wrong:
        raise InvalidFields(wrong)
    return kept


def _name(text: str, _today: datetime.date, *, most: int = LONGEST_NAME) -> str:
    if not is_name(line := one_line(text), most):
        raise ValueError("no name")
    return line


def _in_ascii(host: str) -> str:
    import idna  # its tables are large, and most hosts need none of them

    return idna.encode(host, uts46=True).decode()


def _web_page(text: str, _today: datetime.date) -> str:
    """The address of a page on the web, in ASCII. Nothing that a browser would run, and no name or password in it."""
    if len(text) > LONGEST_URL or not is_plain(text) or " " in text:
        raise ValueError("no address")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("no address of a web page")
    host = parts.hostname if parts.hostname.isascii() else _in_ascii(parts.hostname)
    host = f"[{host}]" if ":" in host else host
    if not _HOST.fullmatch(host):
        raise ValueError("no host")
    netloc = host if parts.port is None else f"{host}:{parts.port}"
    rest = (quote(part, safe=_KEPT_IN_URLS) for part in (parts.path, parts.query, parts.fragment))
    if len(address := urlunsplit((parts.scheme, netloc, *rest))) > LONGEST_URL:
        raise ValueError("too long an address")
    return address


def _gender(text: str, _today: datetime.date) -> str:
    if text not in GENDERS:
        raise ValueError("none of these")
    return text


def _birthdate(text: str, today: datetime.date) -> str:
    """A day (``1990-03-01``), a year, or a day of a year that is not told (``0000-03-01``)."""
    if _YEAR.fullmatch(text):
        if not FIRST_YEAR <= int(text) <= today.year:
            raise ValueError("no year of birth")
        return text
    if (parts := _DATE.fullmatch(text)) is None:
        raise ValueError("no date")
    year, month, day = map(int, parts.groups())
    born = datetime.date(year or 2000, month, day)  # a leap year stands for one that is not told
    if year and not datetime.date(FIRST_YEAR, 1, 1) <= born <= today:
        raise ValueError("no day of birth")
    return text


def _phone_number(text: str, _today: datetime.date) -> str:
    """As E.164 writes it, whatever stands between the digits."""
    number = _BETWEEN_DIGITS.sub("", unicodedata.normalize("NFKC", text))
    if len(text) > LONGEST_NAME or not _PHONE_NUMBER.fullmatch(number):
        raise ValueError("no phone number")
    return number


def _street(text: str, today: datetime.date) -> str:
    """Up to four lines."""
    lines = [_name(line, today) for line in map(trimmed, text.splitlines()) if line]
    if not 1 <= len(lines) <= MOST_LINES or len(kept := "\n".join(lines)) > LONGEST_STREET:
        raise ValueError("no street address")
    return kept


# The one list of them, in the order of the page: the page, the API and the claims go by it.
FIELDS: Mapping[str, Callable[[str, datetime.date], str]] = {
    "given_name": _name,
    "middle_name": _name,
    "family_name": _name,
    "nickname": _name,
    "birthdate": _birthdate,
    "gender": _gender,
    "profile": _web_page,
    "website": _web_page,
    "phone_number": _phone_number,
    "street_address": _street,
    "postal_code": partial(_name, most=32),
    "locality": _name,
    "region": _name,
    "country": _name,
}
ADDRESS_FIELDS = ("street_address", "locality", "region", "postal_code", "country")


def formatted_address(kept: Mapping[str, str | None]) -> str:
    """The whole of an address in lines, as it is read: street, postal code and place, region, country."""
    place = " ".join(filter(None, (kept["postal_code"], kept["locality"])))
    return "\n".join(filter(None, (kept["street_address"], place, kept["region"], kept["country"])))
