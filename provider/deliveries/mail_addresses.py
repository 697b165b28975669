"""Addresses as mail has them: whom letters come from and go to, in the form that SMTP and headers take."""

from __future__ import annotations

import re
from dataclasses import dataclass

from provider.protocol.text import is_plain, one_line

MOST_ADDRESS = 320
_ADDRESS = re.compile(r"[^\s@\"(),:;<>\[\\\]]{1,128}@(?P<domain>[^\s@\"(),:;<>\[\\\]/]{1,255})")
_SENDER = re.compile(r"(?:(?P<name>[^<>\"]{1,128}?)\s*<(?P<named>[^<>]+)>|(?P<bare>[^<>]+))")


class BadAddress(ValueError):
    """An address to which, or from which, nothing can be sent."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Whom letters come from: ``MCP Core <id@example.org>``, or the address alone."""

    name: str
    address: str

    @classmethod
    def parse(cls, text: str, name: str) -> Sender:
        """``name`` stands before an address alone. Raises ``BadAddress``."""
        match = _SENDER.fullmatch(text.strip())
        if match is None or not is_plain(text.strip()):
            raise BadAddress(text)
        address = envelope_address(match["named"] or match["bare"])
        if not address.isascii():
            raise BadAddress(text)
        return cls(one_line(match["name"] or name), address)

    @property
    def domain(self) -> str:
        return parts_of(self.address)[1]


def envelope_address(address: str) -> str:
    """An address as SMTP has it: its domain in ASCII, its local part as it is. Raises ``BadAddress``."""
    match = _ADDRESS.fullmatch(address)
    if match is None or not is_plain(address) or len(address.encode()) > MOST_ADDRESS:
        raise BadAddress(address)
    domain = match["domain"]
    if not domain.isascii():
        import idna  # its tables are large

        try:
            domain = idna.encode(domain, uts46=True).decode()
        except UnicodeError:
            raise BadAddress(address) from None
    return f"{address.rpartition('@')[0]}@{domain}"


def parts_of(address: str) -> tuple[str, str]:
    """What stands before the ``@``, and the domain."""
    local_part, _, domain = address.rpartition("@")
    return local_part, domain
