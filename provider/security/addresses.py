"""Which network addresses belong to the public internet, in every way of spelling them (RFC 6890)."""

from __future__ import annotations

import ipaddress

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_TUNNELS = (ipaddress.IPv6Network("2001::/23"), ipaddress.IPv6Network("2002::/16"), ipaddress.IPv6Network("3fff::/20"))
_RELAYS = (ipaddress.IPv4Network("192.88.99.0/24"), ipaddress.IPv4Network("192.0.0.0/24"))


def is_public_address(text: str) -> bool:
    """Whether ``text``, as a resolver gives it, is an address that anybody on the internet may reach.

    Of IPv6 only the global unicast block counts, without its tunnels: whatever carries an IPv4 address inside (mapped,
    compatible, translated, 6to4, Teredo, NAT64) could lead into a private network.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:  # a scope id, or no address at all
        return False
    if isinstance(address, ipaddress.IPv6Address):
        return address in _GLOBAL_UNICAST and address.is_global and not any(address in net for net in _TUNNELS)
    return address.is_global and not address.is_multicast and not any(address in net for net in _RELAYS)
