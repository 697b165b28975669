"""The networks that an address belongs to: what guesses from one customer have in common."""

from __future__ import annotations

import ipaddress

IPV6_PREFIXES = (64, 56, 48)  # a household's network, and what one customer is given of them (RFC 6177)


def networks_of(source: str) -> tuple[str, ...]:
    """The networks of an address, the narrowest first: an IPv4 address by itself, an IPv6 one with 64, 56 and 48 bits.

    What is no address, such as the terminal's empty source, stands for itself.
    """
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return (source,)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        unzoned = ipaddress.IPv6Address(address.packed)
        return tuple(str(ipaddress.ip_network((unzoned, prefix), strict=False)) for prefix in IPV6_PREFIXES)
    return (str(getattr(address, "ipv4_mapped", None) or address),)
