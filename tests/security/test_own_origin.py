"""What doctor asks of this server, against one that misbehaves in every way it can."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provider.security.exchange import FetchFailed
from provider.security.own_origin import fetch_json
from tests.database_servers import free_port, make_certificates
from tests.waiting import HANG_SECONDS

GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
Answer = Callable[[socket.socket], None]


class Peer:
    """Answers each connection by one function, and keeps what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        self.asked: list[bytes] = []
        self.finished = 0  # answers that nobody cut off
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(HANG_SECONDS)
                asked = connection.recv(65536)
                if not asked:
                    continue
                self.asked.append(asked)
                self._answer(connection)
                self.finished += 1

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(HANG_SECONDS)


@pytest.fixture
def peers() -> Iterator[Callable[[Answer], Peer]]:
    started: list[Peer] = []

    def start(answer: Answer) -> Peer:
        started.append(Peer(answer))
        return started[-1]

    yield start
    for peer in started:
        peer.close()


def saying(text: bytes) -> Answer:
    return lambda connection: connection.sendall(text)


def http(body: bytes, *, status: str = "200 OK", kind: str = "application/json", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    "answer",
    [
        http(b"{}"),
        http(b"{}", more="Connection: close\r\n"),
        http(b"{}", kind="application/json; charset=utf-8"),
        b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_json_is_read(peers: Callable[[Answer], Peer], answer: bytes) -> None:
    peer = peers(saying(answer))
    assert fetch_json(f"{peer.origin}/oauth/.well-known/x", origin=peer.origin) == {}


def test_nothing_is_sent_but_the_question(peers: Callable[[Answer], Peer], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    peer = peers(saying(http(b"{}")))
    fetch_json(f"{peer.origin}/path?x=1#fragment", origin=peer.origin)
    lines = peer.asked[0].decode().split("\r\n")
    assert lines[0].startswith("GET /path")
    assert "fragment" not in lines[0]
    names = {line.partition(":")[0].lower() for line in lines[1:] if line}
    assert names == {"host", "accept", "accept-encoding", "user-agent"}


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{other}/x",
        "http://localhost:{port}/x",
        "https://127.0.0.1:{port}/x",
        "http://127.0.0.1:{port}@127.0.0.1:{other}/x",
        "http://user@127.0.0.1:{port}/x",
        "http://127.0.0.1:{port}.example/x",
        "//127.0.0.1:{port}/x",
        "/x",
        "file:///etc/hostname",
        "gopher://127.0.0.1:{port}/x",
        "",
    ],
)
def test_only_our_own_address_is_asked(peers: Callable[[Answer], Peer], url: str) -> None:
    peer, other = peers(saying(http(b"{}"))), peers(saying(http(b"{}")))
    with pytest.raises(FetchFailed, match="not one of ours"):
        fetch_json(url.format(port=peer.port, other=other.port), origin=peer.origin)
    assert peer.asked == other.asked == []


def test_a_file_is_no_address_even_if_it_is_called_our_own() -> None:
    with pytest.raises(FetchFailed, match="not one of ours"):
        fetch_json("file:///etc/hostname", origin="file://")


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed(peers: Callable[[Answer], Peer], status: str) -> None:
    elsewhere = peers(saying(http(b"{}")))
    peer = peers(saying(http(b"{}", status=status, more=f"Location: {elsewhere.origin}/x\r\n")))
    with pytest.raises(FetchFailed, match=f"status {status[:3]}"):
        fetch_json(f"{peer.origin}/x", origin=peer.origin)
    assert elsewhere.asked == []


@pytest.mark.parametrize(
    "answer, reason",
    [
        (http(b"{}", status="404 Not Found"), "status 404"),
        (http(b"{}", status="500 Oops"), "status 500"),
        (http(b"{}", status="204 No Content"), "status 204"),
        (http(b"{}", kind="text/html"), "not application/json"),
        (http(b"{}", kind="application/json-seq"), "not application/json"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "not application/json"),
        (http(b""), "not JSON"),
        (http(b"secret words"), "not JSON"),
        (http(b'{"secret": '), "not JSON"),
        (http(b"\xff\xfe\xfd"), "not JSON"),
        (http(b"[" * 60_000), "not JSON"),
        (http(b" " * 65_537), "longer than 65536 bytes"),
        (b"", "no connection"),
        (b"SSH-2.0-secret\r\n", "no connection"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 500 + b"\r\n", "no connection"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", "no connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{}x", "not JSON"),
    ],
)
def test_a_bad_answer_is_named_without_its_words(peers: Callable[[Answer], Peer], answer: bytes, reason: str) -> None:
    peer = peers(saying(answer))
    with pytest.raises(FetchFailed, match=reason) as failure:
        fetch_json(f"{peer.origin}/x", origin=peer.origin)
    assert "secret words" not in str(failure.value)
    assert failure.value.__suppress_context__ or failure.value.__context__ is None


def test_a_body_of_the_greatest_size_is_read(peers: Callable[[Answer], Peer]) -> None:
    peer = peers(saying(http(b"1".rjust(65_536))))
    assert fetch_json(f"{peer.origin}/x", origin=peer.origin) == 1
    with pytest.raises(FetchFailed, match="longer than 100 bytes"):
        fetch_json(f"{peer.origin}/x", origin=peer.origin, max_bytes=100)


def stay(connection: socket.socket) -> None:
    """Says nothing more until the other side leaves."""
    if not connection.recv(1):
        raise ConnectionAbortedError


def begin_and_stay(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n1")
    stay(connection)


def drip(text: bytes) -> Answer:
    def answer(connection: socket.socket) -> None:
        for position in range(len(text)):
            connection.sendall(text[position : position + 1])
            time.sleep(0.1)

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        stay,
        drip(GOOD),
        lambda connection: (connection.sendall(http(b"1" * 30)[:-30]), drip(b"1" * 30)(connection)),
        lambda connection: (
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"),
            drip(b"1" * 30)(connection),
        ),
        begin_and_stay,
    ],
    ids=["silent", "slow head", "slow body", "slow body until the end", "stops in the body"],
)
def test_a_slow_server_is_left_in_time(peers: Callable[[Answer], Peer], answer: Answer) -> None:
    peer = peers(answer)
    with pytest.raises(FetchFailed, match="no answer within"):
        fetch_json(f"{peer.origin}/x", origin=peer.origin, timeout_seconds=0.5)
    assert peer.finished == 0


def test_nobody_at_the_address() -> None:
    origin = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(FetchFailed, match="no connection"):
        fetch_json(f"{origin}/x", origin=origin)


def test_an_unknown_host_is_named() -> None:
    with pytest.raises(FetchFailed, match="no connection"):
        fetch_json("http://nowhere.invalid/x", origin="http://nowhere.invalid")


def test_a_certificate_by_nobody_known_is_refused(peers: Callable[[Answer], Peer], tmp_path: Path) -> None:
    make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def serve() -> None:
        connection, _address = listener.accept()
        with connection, contextlib.suppress(OSError):
            context.wrap_socket(connection, server_side=True).close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with pytest.raises(FetchFailed, match="TLS failed"):
            fetch_json(f"https://127.0.0.1:{port}/x", origin=f"https://127.0.0.1:{port}")
    finally:
        thread.join(HANG_SECONDS)
        listener.close()
