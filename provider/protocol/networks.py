"""The networks that an address is in. Attempts are counted under them: one stranger can have more addresses than rows fit
into a database, but has them from few providers."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

# Prefix lengths from a household outwards, each with how many times a household's limits hold for all of it.
_IPV4 = ((32, 1), (24, 16))
_IPV6 = ((64, 1), (56, 4), (48, 16))


class Network(NamedTuple):
    """``looser`` is how many times the limit of a household holds for all of this network."""

    name: str
    looser: int


def networks_of(source: str) -> tuple[Network, ...]:
    """From the household, which is an IPv4 address or 64 bits of an IPv6 address, to the widest.

    What is no address is a household of its own.
    """
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return (Network(source, 1),)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return tuple(Network(_name(address, bits), looser) for bits, looser in _IPV6)
        address = address.ipv4_mapped
    return tuple(Network(_name(address, bits), looser) for bits, looser in _IPV4)


def _name(address: ipaddress.IPv4Address | ipaddress.IPv6Address, bits: int) -> str:
    if bits == address.max_prefixlen:
        return str(address)
    # The packed form has no scope id, which would be another network for each interface that a sender claims.
    return str(ipaddress.ip_network((address.packed, bits), strict=False))
