"""What a stranger can do to a running server with a socket alone, and what others notice of it: nothing.

How little is measured by ``bench/starve.py``; here it is only told apart whether others are answered at all.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.browser import Browser
from tests.journeys.person import Person
from tests.serving import Server, serving

HANG_SECONDS = 60
SLOW = 120
HEAD = (
    "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    "Content-Length: 500\r\n\r\n"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("home"), settings={"MCP_RATE_LIMITS": "false"}) as running:
        yield running


@pytest.fixture(scope="module")
def ana(server: Server) -> Person:
    person = Person("ana")
    server.user(person.username, person.password)
    return person


@pytest.fixture(scope="module")
def machine(server: Server) -> tuple[str, str]:
    server.mcp_core("resource", "add", "https://api.example/", "--name", "API", "--scope", "api:read")
    made = server.mcp_core_json(
        *("client", "create", "--name", "Machine", "--grant", "client_credentials"),
        *("--resource", "https://api.example/", "--scope", "api:read"),
    )
    return made["client_id"], made["client_secret"]


def connect(server: Server, source: str = "127.0.0.2") -> socket.socket:
    """From an address of its own: what one source may have at once is bounded, and others ask from 127.0.0.1."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=HANG_SECONDS, source_address=(source, 0))


def answer_on(connection: socket.socket) -> bytes:
    """All that comes until the other side closes, or until there is a whole head."""
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while b"\r\n\r\n" not in said and (piece := connection.recv(65_536)):
            said += piece
    return said


def ask(server: Server, request: bytes) -> bytes:
    with connect(server, "127.0.0.3") as connection:
        connection.sendall(request)
        return answer_on(connection)


def everybody_is_served(server: Server, ana: Person, machine: tuple[str, str]) -> None:
    assert requests.get(f"{server.origin}/health", timeout=HANG_SECONDS).text == "up\n"
    assert requests.get(f"{server.issuer}/jwks", timeout=HANG_SECONDS).status_code == 200
    form = {"grant_type": "client_credentials"}
    assert requests.post(f"{server.issuer}/token", form, auth=machine, timeout=HANG_SECONDS).status_code == 200
    browser = Browser()
    browser.get(f"{server.origin}/login")
    assert ana.sign_in(browser).path == "/account"


@pytest.mark.slow
def test_slow_bodies_keep_nobody_waiting_and_are_told_in_the_end(
    server: Server, ana: Person, machine: tuple[str, str]
) -> None:
    with contextlib.ExitStack() as stack:
        senders = []
        for number in range(SLOW):
            sender = stack.enter_context(connect(server))
            sender.sendall(HEAD.format((f"{server.path}/token", "/login")[number % 2]).encode() + b"x")
            senders.append(sender)
        everybody_is_served(server, ana, machine)
        answers = {answer_on(sender).partition(b"\r\n")[0] for sender in senders}
    assert answers == {b"HTTP/1.1 408 Request Timeout"}


@pytest.mark.slow
def test_heads_that_do_not_end_and_connections_that_ask_nothing_are_closed(
    server: Server, ana: Person, machine: tuple[str, str]
) -> None:
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(connect(server)) for _ in range(SLOW)]
        for connection in waiting[::2]:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: local")
        everybody_is_served(server, ana, machine)
        assert {answer_on(connection) for connection in waiting} == {b""}


@pytest.mark.slow
def test_who_reads_no_answer_keeps_nobody_waiting(server: Server, ana: Person, machine: tuple[str, str]) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(SLOW):
            reader = stack.enter_context(connect(server))
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            reader.sendall(b"GET /static/site.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
        everybody_is_served(server, ana, machine)


@pytest.mark.parametrize("head, status", [
    (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 33_000 + b"\r\n\r\n", b"431"),
    (b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 150 + b"\r\n", b"431"),
    (b"GET /oauth/jwks?" + b"x" * 16_385 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"414"),
    (b"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\n\r\n", b"413"),
    (b"POST /login HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 99999999\r\n\r\n", b"413"),
    (b"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
      b"10000\r\n" + b"x" * 65_536 + b"\r\n1\r\nx\r\n0\r\n\r\n", b"413"),
    (b"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", b"400"),
])  # fmt: skip
def test_what_is_too_much_is_refused_with_the_documented_status(server: Server, head: bytes, status: bytes) -> None:
    assert ask(server, head).split(b" ")[1] == status


@pytest.mark.parametrize("neighbour", ["city=\uc11c\uc6b8", "a=\u00e9", "\ud55c\uae00=1"])
def test_a_neighbours_cookie_of_any_letters_hides_no_session(server: Server, ana: Person, neighbour: str) -> None:
    browser = Browser()
    browser.get(f"{server.origin}/login")
    assert ana.sign_in(browser).path == "/account"
    ours = "; ".join(f"{name}={value}" for name, value in browser.session.cookies.items())
    for cookies in (f"{neighbour}; {ours}", f"{ours}; {neighbour}"):
        request = f"GET /account HTTP/1.1\r\nHost: localhost:{server.port}\r\nCookie: {cookies}\r\n\r\n"
        assert ask(server, request.encode()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
def test_a_server_that_is_told_to_stop_answers_what_it_has_accepted(tmp_path: Path) -> None:
    """Connections that come later are refused; none is closed without an answer."""
    running = Server(tmp_path)
    cut: list[bytes] = []
    answered: list[bytes] = []

    def ask_again_and_again(path: str) -> None:
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        while True:
            try:
                connection = connect(running)
            except OSError:  # nobody listens any more
                return
            with connection:
                try:
                    connection.sendall(request)
                    said = answer_on(connection)
                except OSError as error:
                    said = repr(error).encode()
                (answered if said.startswith(b"HTTP/1.1 200") else cut).append(said[:80])

    running.start()
    threads = [threading.Thread(target=ask_again_and_again, args=(path,)) for path in ("/login", "/oauth/jwks") * 5]
    try:
        with connect(running) as slow:  # its body is still on its way
            slow.sendall(HEAD.format("/oauth/token").replace("500", "29").encode())
            for thread in threads:
                thread.start()
            while len(answered) < 100:
                threading.Event().wait(0.01)
            assert running._process is not None
            running._process.send_signal(signal.SIGTERM)
            for thread in threads:
                thread.join(HANG_SECONDS)
            slow.sendall(b"grant_type=client_credentials")
            assert answer_on(slow).startswith(b"HTTP/1.1 401 ")
        assert running._process.wait(HANG_SECONDS) == 0
    finally:
        running.kill()
    assert cut == []
