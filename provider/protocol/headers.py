"""What stands in header fields, read as RFC 9110 writes it: case is that of ASCII, blanks are a blank and a tab.

``str.strip`` and ``str.split`` know more blanks, of which browsers know nothing: a cookie whose name begins with a no-break
space is not under the rules of ``__Host-`` names, and must not become one here.
"""

from __future__ import annotations

BLANKS = " \t"


def media_type(content_type: str) -> str:
    """``application/json`` of ``Application/JSON; charset=utf-8`` (RFC 9110 §8.3.1)."""
    return _lower(content_type.partition(";")[0].strip(BLANKS))


def credentials(authorization: str) -> tuple[str, str]:
    """The scheme in lower case, and what follows it (RFC 9110 §11.4). Both may be empty."""
    scheme, _, rest = authorization.strip(BLANKS).partition(" ")
    return _lower(scheme), rest.strip(BLANKS)


def cookies(header: str) -> dict[str, str]:
    """The first of each name: browsers send the one of the longest path first (RFC 6265 §5.4).

    A pair that is no cookie is skipped, so that another application's on this host can't hide ours.
    """
    found: dict[str, str] = {}
    for pair in header.split(";"):
        name, equals, value = pair.partition("=")
        name = name.strip(BLANKS)
        if equals and name:
            found.setdefault(name, value.strip(BLANKS).strip('"'))
    return found


def cookie_line(name: str, value: str, *, is_secure: bool, seconds: int | None = None) -> str:
    """``Set-Cookie`` for a cookie of the whole host that no script reads. Without ``seconds`` it goes with the browser."""
    age = "" if seconds is None else f"; Max-Age={seconds}"
    return f"{name}={value}; Path=/{age}; HttpOnly; SameSite=Lax{'; Secure' if is_secure else ''}"


def _lower(text: str) -> str:
    """Some letters outside of ASCII have a lower case inside of it."""
    return text.lower() if text.isascii() else text
