"""The networks of an address: what many addresses of one stranger have in common."""

from __future__ import annotations

import pytest

from provider.protocol.networks import networks_and_provider, networks_of


@pytest.mark.parametrize(
    "source, networks",
    [
        ("192.0.2.7", [("192.0.2.7", 1), ("192.0.2.0/24", 16)]),
        ("::ffff:192.0.2.7", [("192.0.2.7", 1), ("192.0.2.0/24", 16)]),
        (
            "2001:db8:1:2345:6:7:8:9",
            [("2001:db8:1:2345::/64", 1), ("2001:db8:1:2300::/56", 4), ("2001:db8:1::/48", 16)],
        ),
        ("::1", [("::/64", 1), ("::/56", 4), ("::/48", 16)]),
        ("fe80::1%eth0", [("fe80::/64", 1), ("fe80::/56", 4), ("fe80::/48", 16)]),
        ("fe80::1%x", [("fe80::/64", 1), ("fe80::/56", 4), ("fe80::/48", 16)]),
        ("", [("", 1)]),
        ("no address", [("no address", 1)]),
        ("192.0.2", [("192.0.2", 1)]),
    ],
)
def test_an_address_is_in_these_networks(source: str, networks: list[tuple[str, int]]) -> None:
    assert list(networks_of(source)) == networks


@pytest.mark.parametrize(
    "source, widest",
    [
        ("192.0.2.7", ("192.0.0.0/16", 64)),
        ("::ffff:192.0.2.7", ("192.0.0.0/16", 64)),
        ("2001:db8:1:2345:6:7:8:9", ("2001:db8::/32", 64)),
        ("fe80::1%eth0", ("fe80::/32", 64)),
    ],
)
def test_a_part_of_the_provider_is_the_widest(source: str, widest: tuple[str, int]) -> None:
    assert networks_and_provider(source) == (*networks_of(source), widest)


@pytest.mark.parametrize("source", ["", "no address", "192.0.2"])
def test_what_is_no_address_has_no_provider(source: str) -> None:
    assert networks_and_provider(source) == networks_of(source)
