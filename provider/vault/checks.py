"""The forms that fields of clouds have. A check returns the normal form, or raises ``ValueError`` with a reason."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from provider.protocol.errors import OAuthError
from provider.protocol.json_body import parse_json
from provider.protocol.text import trimmed

Check = Callable[[str], str]
MAX_URL_CHARACTERS = 2048
_QUOTES = ("''", '""', "``", "\u2018\u2019", "\u201c\u201d")
_HOST_NAME = re.compile(
    r"(?=.{1,253}\.?\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})?)*\.?"
)
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def pasted(text: str) -> str:
    """``text`` without what comes along when a value is copied: blanks and invisible marks around it, one pair of quotes."""
    value = trimmed(text)
    return trimmed(value[1:-1]) if value[:1] + value[-1:] in _QUOTES and len(value) > 1 else value


def matching(pattern: str, *, reason: str = "form") -> Check:
    """What was pasted, if it matches ``pattern`` as a whole."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        value = pasted(text)
        if not compiled.fullmatch(value):
            raise ValueError(reason)
        return value

    return check


def lower(check: Check) -> Check:
    """The same for what is written in small letters and is often pasted in large ones."""
    return lambda text: check(pasted(text).lower())


def uuid() -> Check:
    """A UUID in the usual form (RFC 9562 §4), in small letters, with or without braces."""
    check = lower(matching(_UUID))
    return lambda text: check(pasted(text).removeprefix("{").removesuffix("}"))


def one_of(*choices: str) -> Check:
    def check(text: str) -> str:
        value = pasted(text).lower()
        found = {choice.lower(): choice for choice in choices}.get(value)
        if found is None:
            raise ValueError("choice")
        return found

    return check


def number(least: int, most: int) -> Check:
    """A whole number in ASCII digits, both bounds included."""

    def check(text: str) -> str:
        value = pasted(text)
        if not re.fullmatch("[0-9]{1,9}", value) or not least <= int(value) <= most:
            raise ValueError("form")
        return str(int(value))

    return check


def word(most: int) -> Check:
    """Printable ASCII without a blank."""
    return matching(rf"[!-~]{{1,{most}}}")


def words(most: int) -> Check:
    """Printable ASCII, one blank between words: a scope (RFC 6749 §3.3)."""
    check = matching(rf"[!-~]+( [!-~]+){{0,{most}}}")

    def bounded(text: str) -> str:
        value = check(" ".join(text.split()))
        if len(value) > most:
            raise ValueError("too_long")
        return value

    return bounded


def secret_text(text: str) -> str:
    """A secret of which no form is known: all of it counts but blanks around it. Lines may be several."""
    value = text.strip()
    if any(ord(character) < ord(" ") and character not in "\t\r\n" for character in value) or "\x7f" in value:
        raise ValueError("form")
    return value


def https_url(text: str) -> str:
    """An address of a server: https, a host, no user, no query and no fragment (decision 35).

    Which hosts are asked is for the outbound guard to say when they are. Here is refused what no cloud has.
    """
    value = pasted(text)
    if not re.fullmatch(r"[!-~]+", value) or len(value) > MAX_URL_CHARACTERS or "\\" in value:
        raise ValueError("form")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("form") from None
    if parts.scheme != "https":
        raise ValueError("not_https")
    if "@" in parts.netloc or "?" in value or "#" in value or port == 0 or not _is_host(parts.netloc, host):
        raise ValueError("form")
    return value.rstrip("/")


def _is_host(written: str, host: str) -> bool:
    if "[" not in written:
        return bool(_HOST_NAME.fullmatch(host))
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return "%" not in host


def json_object(text: str) -> dict[str, Any]:
    """A JSON object that every reader understands alike, nested no deeper than 20. Raises ``ValueError("not_json")``."""
    try:
        value = parse_json(trimmed(text))
    except OAuthError:
        value = None
    if isinstance(value, dict):
        return value
    raise ValueError("not_json")


def json_text(value: dict[str, Any]) -> str:
    """What is kept of it: one line, each member once, so that no two programs read two things in it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def json_document(text: str) -> str:
    return json_text(json_object(text))
