"""Whose address a request comes from: headers count only as far as proxies are known to have written them."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from tests.endpoints.provider import ProviderFactory
from tests.endpoints.wsgi import FORM, basic

SOCKET = "192.0.2.10"


@pytest.mark.parametrize("proxies, header, recorded", [
    (0, None, SOCKET),
    (0, "203.0.113.7", SOCKET),
    (1, None, SOCKET),
    (1, "203.0.113.7", "203.0.113.7"),
    (1, "198.51.100.1, 203.0.113.7", "203.0.113.7"),  # the first was written by the client
    (1, "198.51.100.1,203.0.113.7,", "203.0.113.7"),
    (2, "198.51.100.1, 203.0.113.7, 192.0.2.20", "203.0.113.7"),
    (2, "203.0.113.7", SOCKET),  # came past a proxy
    (1, "", SOCKET),
    (1, ", ,", SOCKET),
    (1, "\u00ff\u00fe", SOCKET),
    (1, "\u00ff\u00fe, 203.0.113.7", "203.0.113.7"),  # what a client puts in front hides nothing
    (1, "x" * 500, SOCKET),
    (1, "unknown", SOCKET),
    (1, "203.0.113.7:49152", "203.0.113.7"),
    (1, '"203.0.113.7:49152"', "203.0.113.7"),
    (1, "2001:db8::1", "2001:db8::1"),
    (1, "2001:DB8:0:0::1", "2001:db8::1"),
    (1, "[2001:db8::1]", "2001:db8::1"),
    (1, "[2001:db8::1]:49152", "2001:db8::1"),
    (1, "fe80::1%eth0", "fe80::1"),
    (1, "::ffff:203.0.113.7", "203.0.113.7"),
    (1, "203.0.113.7:", SOCKET),
    (1, "203.0.113.7:port", SOCKET),
    (1, "203.0.113.256", SOCKET),
    (1, "\u06f2\u06f0\u06f3.0.113.7", SOCKET),
    (1, "\xa0203.0.113.7\xa0", SOCKET),
])  # fmt: skip
def test_the_address_is_the_one_that_the_outermost_trusted_proxy_saw(
    sqlite_engine: Engine,
    door: str,
    make_provider: ProviderFactory,
    proxies: int,
    header: str | None,
    recorded: str,
) -> None:
    provider = make_provider(sqlite_engine, door=door, trusted_proxy_count=proxies)
    headers = {"Content-Type": FORM, "Authorization": basic("app_unknown", "x"), "X-Real-IP": "198.51.100.9",
               "Forwarded": "for=198.51.100.8", "Client-IP": "198.51.100.7"}  # fmt: skip
    if header is not None:
        headers["X-Forwarded-For"] = header
    answer = provider.send(
        "POST", f"{provider.path}/token", body=b"grant_type=client_credentials", headers=headers, source=SOCKET
    )
    assert answer.status == 401
    assert [event["ip_address"] for event in provider.events("client.authentication_failed")] == [recorded]


def test_a_throttle_cannot_be_escaped_by_inventing_addresses(
    sqlite_engine: Engine, door: str, make_provider: ProviderFactory
) -> None:
    provider = make_provider(sqlite_engine, door=door, trusted_proxy_count=1)
    statuses = []
    for number in range(61):
        headers = {"Content-Type": FORM, "Authorization": basic(f"app_{number}", "x"),
                   "X-Forwarded-For": f"198.51.100.{number}, 203.0.113.7"}  # fmt: skip
        statuses.append(
            provider.send(
                "POST", f"{provider.path}/token", body=b"grant_type=client_credentials", headers=headers
            ).status
        )
    assert statuses == [401] * 60 + [429]


def test_links_and_redirects_do_not_follow_forwarded_hosts(
    sqlite_engine: Engine, door: str, make_provider: ProviderFactory
) -> None:
    provider = make_provider(sqlite_engine, door=door, trusted_proxy_count=1)
    hostile = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/evil",
               "Forwarded": "host=evil.example;proto=https", "X-Original-URL": "/evil"}  # fmt: skip
    for path in ("/", "/account", "/login", "/oauth/authorize", "/unknown", "/.well-known/openid-configuration"):
        answer = provider.get(path, hostile, host="evil.example")
        assert b"evil" not in answer.body
        assert all("evil" not in value for _, value in answer.headers)
