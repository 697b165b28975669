"""The door to other servers: where it leads, and what it does with servers that misbehave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from provider.security.addresses import is_public_address
from provider.security.exchange import FetchFailed
from provider.security.outbound import Outbound
from provider.security.turns import Requester, Standing
from tests.https_server import HttpsServer
from tests.waiting import HANG_SECONDS

JSON = {"Content-Type": "application/json"}
OURS = Requester(Standing.VOUCHED, "192.0.2.1")
CUT = "no answer|TLS failed|broke off|took too long"  # before, in the head, in the body, at its end


@pytest.fixture
def server() -> Iterator[HttpsServer]:
    made = HttpsServer()
    yield made
    made.close()


@pytest.fixture
def door(server: HttpsServer) -> Outbound:
    return Outbound(allowed_hosts=[server.host], ca_file=server.authority, timeout_seconds=HANG_SECONDS)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "192.0.0.8", "192.0.0.9", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
        "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "100::1",
        "2001::1", "2001:0:7f00:1::", "2001:10::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "fc00::1", "fd00::1",
        "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "4000::1", "", "localhost", "0x7f.1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_known_as_such(address: str) -> None:
    assert not is_public_address(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:80b::200e"])
def test_a_public_address_is_public(address: str) -> None:
    assert is_public_address(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://app.example/", "ftp://app.example/", "//app.example/", "https://", "https:///path", "https://ana@app.example/",
        "https://ana:pw@app.example/", "https://app.example:8443/", "https://app.example:99999/", "https://app.example:x/",
        "https://app.example/\r\nHost: other", "https://app.example/ b", "https://앱.example/", "https://a_b c/",
        "https://[::1", "https://app..example/", "https://app.example\\@127.0.0.1/", "https://" + "a" * 2048 + ".example/",
    ],
)  # fmt: skip
def test_an_address_of_another_form_is_never_resolved(url: str) -> None:
    asked: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["8.8.8.8"]

    door = Outbound(resolver=resolve)
    with pytest.raises(FetchFailed):
        door.get_json(url, OURS, max_bytes=100)
    assert asked == []


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_no_spelling_of_this_machine_is_reached(host: str) -> None:
    with pytest.raises(FetchFailed, match=r"not public|cannot be resolved"):
        Outbound().get_json(f"https://{host}/", OURS, max_bytes=100)


def test_one_private_address_among_public_ones_spoils_the_name() -> None:
    door = Outbound(resolver=lambda _host, _port: ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(FetchFailed, match="not public"):
        door.get_json("https://app.example/", OURS, max_bytes=100)


def test_a_name_is_resolved_once_and_the_connection_goes_to_what_was_checked(server: HttpsServer) -> None:
    """A name that leads elsewhere at a second look gains nothing: there is no second look."""
    asked: list[str] = []

    def resolver(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    server.say_json("/", {"fine": True})
    door = Outbound(allowed_hosts=[server.host], ca_file=server.authority, resolver=resolver)
    assert door.get_json(f"{server.url}/", OURS, max_bytes=100) == {"fine": True}
    assert asked == ["localhost"]


def test_an_allowed_host_is_allowed_with_its_port_only(server: HttpsServer, door: Outbound) -> None:
    server.say_json("/keys", {"keys": []}, cache_control="max-age=60")
    fetched = door.get(f"{server.url}/keys?x=1", OURS, ["application/json"], max_bytes=100)
    assert (fetched.json(), fetched.max_age_seconds) == ({"keys": []}, 60)
    assert server.received[0].path == "/keys?x=1"
    assert not {"Authorization", "Cookie"} & set(server.received[0].headers)
    with pytest.raises(FetchFailed, match="MCP_OUTBOUND_ALLOWED_HOSTS"):
        door.get_json(f"https://localhost:{server.port + 1}/", OURS, max_bytes=100)


def test_a_certificate_that_nobody_vouches_for_is_refused(server: HttpsServer) -> None:
    server.say_json("/", {})
    with pytest.raises(FetchFailed, match="TLS failed"):
        Outbound(allowed_hosts=[server.host]).get_json(f"{server.url}/", OURS, max_bytes=100)
    assert server.received == []


def slow_head(handler: BaseHTTPRequestHandler) -> None:
    for _ in range(100):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" if not _ else b"X-Slow: 1\r\n")
        handler.wfile.flush()
        time.sleep(0.1)


def slow_body(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    for _ in range(100):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)


def endless_body(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        handler.wfile.write(b"[" * 65536)


@pytest.mark.parametrize(
    "misbehave, seconds, reason",
    [
        (slow_head, 0.6, CUT),
        (slow_body, 0.6, CUT),
        (endless_body, HANG_SECONDS, "longer than 5120 bytes"),
    ],
)
def test_a_slow_or_endless_answer_is_cut(
    server: HttpsServer, misbehave: Callable[[BaseHTTPRequestHandler], None], seconds: float, reason: str
) -> None:
    finished = []

    def quietly(handler: BaseHTTPRequestHandler) -> None:
        try:
            misbehave(handler)
            finished.append(misbehave)
        except OSError:
            handler.close_connection = True

    server.answers["/"] = quietly
    door = Outbound(allowed_hosts=[server.host], ca_file=server.authority, timeout_seconds=seconds)
    with pytest.raises(FetchFailed, match=reason):
        door.get_json(f"{server.url}/", OURS, max_bytes=5120)
    assert finished == []


@pytest.mark.parametrize(
    "answer",
    [
        (302, {"Location": "https://127.0.0.1/"}, b""),
        (304, JSON, b""),
        (404, JSON, b"{}"),
        (500, JSON, b"{}"),
        (201, JSON, b"{}"),
        (200, {"Content-Type": "text/html"}, b"{}"),
        (200, {}, b"{}"),
        (200, {**JSON, "Content-Encoding": "gzip"}, b"{}"),
        (200, JSON, b"{" * 5121),
        (200, JSON, b"no json"),
        (200, JSON, b"[" * 5000),
        (200, JSON, b"\xff"),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_is_none(
    server: HttpsServer, door: Outbound, answer: tuple[int, dict[str, str], bytes]
) -> None:
    server.answers["/"] = answer
    with pytest.raises(FetchFailed):
        door.get_json(f"{server.url}/", OURS, max_bytes=5120)
    assert len(server.received) == 1, "no redirect is followed and nothing is tried again"


def test_a_form_is_posted_and_only_the_status_is_looked_at(server: HttpsServer, door: Outbound) -> None:
    server.answers["/logout"] = (204, {}, b"")
    assert door.post_form(f"{server.url}/logout", {"logout_token": "a b&c"}, Standing.VOUCHED) == 204
    assert (server.received[0].method, server.received[0].body) == ("POST", b"logout_token=a+b%26c")


class EndsAtOnce(threading.Timer):
    def start(self) -> None:
        self.function()


def test_a_deadline_before_the_handshake_is_a_refusal_like_any_other(
    server: HttpsServer, door: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.say_json("/", {})
    monkeypatch.setattr("provider.security.exchange.threading.Timer", EndsAtOnce)
    with pytest.raises(FetchFailed, match=r"no answer|TLS failed"):
        door.get_json(f"{server.url}/", OURS, max_bytes=100)


def test_a_host_that_does_not_answer_is_given_up_in_time() -> None:
    given_up = threading.Event()

    def resolver(_host: str, _port: int) -> list[str]:
        given_up.wait(HANG_SECONDS)
        return ["8.8.8.8"]

    with pytest.raises(FetchFailed, match="in time"):
        Outbound(timeout_seconds=0.3, resolver=resolver).get_json("https://app.example/", OURS, max_bytes=100)
    given_up.set()
