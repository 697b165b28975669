"""The networks that an address is in. Attempts are counted under them: one stranger can have more addresses than rows fit
into a database, but has them from few providers."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

# Prefix lengths from a household outwards, each with how many times a household's limits hold for all of it.
_IPV4 = ((32, 1), (24, 16))
_IPV6 = ((64, 1), (56, 4), (48, 16))
# A part of a provider. Many strangers share one, so that it counts only where each of them leaves much.
_PART_OF_PROVIDER = {4: (16, 64), 6: (32, 64)}


class Network(NamedTuple):
    """``looser`` is how many times the limit of a household holds for all of this network."""

    name: str
    looser: int


def networks_of(source: str) -> tuple[Network, ...]:
    """From the household, which is an IPv4 address or 64 bits of an IPv6 address, to the widest.

    What is no address is a household of its own.
    """
    address = _address(source)
    if address is None:
        return (Network(source, 1),)
    return tuple(Network(_name(address, bits), looser) for bits, looser in (_IPV4 if address.version == 4 else _IPV6))


def networks_and_provider(source: str) -> tuple[Network, ...]:
    """The same, and as the widest the part of the provider: 16 bits of IPv4, 32 of IPv6."""
    address = _address(source)
    if address is None:
        return networks_of(source)
    bits, looser = _PART_OF_PROVIDER[address.version]
    return (*networks_of(source), Network(_name(address, bits), looser))


def _address(source: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _name(address: ipaddress.IPv4Address | ipaddress.IPv6Address, bits: int) -> str:
    if bits == address.max_prefixlen:
        return str(address)
    # The packed form has no scope id, which would be another network for each interface that a sender claims.
    return str(ipaddress.ip_network((address.packed, bits), strict=False))
