"""Whose request it is, as an address that limits can be counted by."""

from __future__ import annotations

import functools
import ipaddress
import re

# What proxies write behind an address: Azure's and others' "192.0.2.1:49152" and "[2001:db8::1]:49152".
_WITH_PORT = re.compile(r"\[(?P<bracketed>[^\]]*)\](?::[0-9]{1,5})?|(?P<plain>[0-9.]+):[0-9]{1,5}", re.ASCII)
_REMEMBERED = 1024
_MOST_CHARACTERS = 64  # of what is remembered: whoever asks writes what stands behind a proxy's header


def source_address(socket_address: str, forwarded_for: str, proxies: int) -> str:
    """The address that the outermost of ``proxies`` trusted proxies saw: the nth from the end of ``X-Forwarded-For``.

    Always the one spelling of an address, without a port, so that nobody has more than one. What is no address there
    counts as the socket's: it was not written by a proxy that was set up for this.
    """
    if proxies:
        seen = [part.strip(" \t") for part in forwarded_for.split(",") if part.strip(" \t")]
        if len(seen) >= proxies:
            forwarded = _address(seen[-proxies])
            if forwarded:
                return forwarded
    return _address(socket_address) or (socket_address[:45] if socket_address.isascii() else "")


def _address(text: str) -> str:
    """The canonical form of an address that may have a port, empty for anything else."""
    return _remembered(text) if len(text) <= _MOST_CHARACTERS else _parsed(text)


def _parsed(text: str) -> str:
    text = text.strip('"')
    found = _WITH_PORT.fullmatch(text)
    if found is not None:
        text = found["bracketed"] or found["plain"] or ""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


_remembered = functools.lru_cache(_REMEMBERED)(_parsed)
