"""Where requests may lead, by who stands behind the address and what operators trust."""

from __future__ import annotations

import pytest

from provider.security.exchange import FetchFailed
from provider.security.targets import Targets
from provider.security.turns import Standing
from tests.waiting import far_deadline

ALLOWED = ["keys.corp", "keys.corp:8443", "App.Example:8443", "[fd00::1]:8443", "docs.corp"]
OPEN = ["Docs.corp"]
ADDRESSES = {"public.example": ["8.8.8.8"], "app.example": ["8.8.8.8"], "mixed.example": ["8.8.8.8", "10.0.0.1"]}
# Whom it is fetched for: vouched clients, strangers.
WAYS = [
    ("https://public.example/", True, True),
    ("https://public.example:443/", True, True),
    ("https://public.example:8443/", False, False),
    ("https://app.example/", True, True),
    ("https://app.example:8443/", True, False),
    ("https://APP.example:8443/", True, False),
    ("https://app.example:8444/", False, False),
    ("https://mixed.example/", False, False),
    ("https://unknown.corp/", False, False),
    ("https://10.0.0.1/", False, False),
    ("https://169.254.169.254/", False, False),
    ("https://keys.corp/any/path?at=all", True, False),
    ("https://keys.corp:443/", True, False),
    ("https://keys.corp:8443/", True, False),
    ("https://keys.corp:9000/", False, False),
    ("https://sub.keys.corp/", False, False),
    ("https://keys.corp.example/", False, False),
    ("https://[fd00::1]:8443/", True, False),
    ("https://[fd00::1]/", False, False),
    ("https://docs.corp/", True, True),
    ("https://DOCS.corp/", True, True),
    ("https://docs.corp:8443/", False, False),
]


@pytest.mark.parametrize("url, for_vouched, for_strangers", WAYS, ids=[row[0] for row in WAYS])
@pytest.mark.parametrize("standing", Standing)
def test_what_operators_trust_is_reached_for_vouched_clients_alone(
    standing: Standing, url: str, for_vouched: bool, for_strangers: bool
) -> None:
    targets = Targets(ALLOWED, OPEN, lambda host, _port: ADDRESSES.get(host, ["10.0.0.1"]))
    try:
        target = targets.parse(url, standing)
        targets.addresses(target, standing, far_deadline())
        is_reached = True
    except FetchFailed:
        is_reached = False
    assert is_reached is (for_vouched if standing is Standing.VOUCHED else for_strangers)


HERE: list[tuple[str, bool]] = [
    ("http://localhost:3000/bye", True),
    ("http://localhost", True),
    ("http://127.0.0.1:3000/bye?a=b", True),
    ("http://[::1]:3000/", True),
    ("https://localhost:3000/", False),
    ("http://localhost:0/", False),
    ("http://localhost:65536/", False),
    ("http://127.0.0.2/", False),
    ("http://localhost.example/", False),
    ("http://user@localhost/", False),
    ("http://localhost@evil.example/", False),
    ("http://localhost:3000\r\nX: y/", False),
    ("http://localhost/a b", False),
    ("http://app.example/", False),
    ("http://10.0.0.1/", False),
    ("http://169.254.169.254/", False),
    ("http://localhost/" + "x" * 2048, False),
]


@pytest.mark.parametrize("url, is_one", HERE, ids=[row[0][:40] for row in HERE])
def test_an_address_of_this_machine_is_one_of_three_hosts_by_plain_http(url: str, is_one: bool) -> None:
    targets = Targets((), (), lambda host, _port: [host.replace("localhost", "127.0.0.1")])
    try:
        target = targets.parse_here(url)
        assert targets.addresses(target, Standing.VOUCHED, far_deadline())
        is_reached = True
    except FetchFailed:
        is_reached = False
    assert is_reached is is_one


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["93.184.215.14"], []])
def test_a_localhost_that_leads_elsewhere_is_not_this_machine(addresses: list[str]) -> None:
    targets = Targets((), (), lambda _host, _port: addresses)
    with pytest.raises(FetchFailed):
        targets.addresses(targets.parse_here("http://localhost:3000/"), Standing.VOUCHED, far_deadline())
