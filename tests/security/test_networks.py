"""The networks under which attempts from one address are counted."""

from __future__ import annotations

import pytest

from provider.security.networks import networks_of


@pytest.mark.parametrize(
    "source, networks",
    [
        ("192.0.2.10", ("192.0.2.10",)),
        ("::ffff:192.0.2.10", ("192.0.2.10",)),
        ("2001:db8:1:2345::1", ("2001:db8:1:2345::/64", "2001:db8:1:2300::/56", "2001:db8:1::/48")),
        ("2001:DB8:1:2345:FFFF::", ("2001:db8:1:2345::/64", "2001:db8:1:2300::/56", "2001:db8:1::/48")),
        ("::1", ("::/64", "::/56", "::/48")),
        ("fe80::1%eth0", ("fe80::/64", "fe80::/56", "fe80::/48")),
        ("", ("",)),
        ("unknown", ("unknown",)),
        ("192.0.2.10:443", ("192.0.2.10:443",)),
    ],
)
def test_an_ipv4_address_stands_alone_and_an_ipv6_one_for_the_networks_around_it(
    source: str, networks: tuple[str, ...]
) -> None:
    assert networks_of(source) == networks
