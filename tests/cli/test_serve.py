"""``mcp-core serve`` and ``setup-link``: where it listens, what it prints, how it stops. ``wsgi.py`` under gunicorn."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from provider.settings import load_settings
from provider.start.serve import StartRefused, listening, missed_issuer
from tests.browser import Browser, Page
from tests.cli.conftest import PASSWORD, Terminal
from tests.database_servers import free_port
from tests.serving import ROOT, CommandFailed, Server, answers, serving
from tests.waiting import HANG_SECONDS, eventually

HTTPS = {"MCP_ISSUER": "https://id.example/oauth"}
PROXY = {**HTTPS, "MCP_BEHIND_TLS_PROXY": "true"}


@pytest.mark.parametrize(
    "environment, host, port, expected",
    [
        ({}, None, None, ("127.0.0.1", 8000)),
        ({}, "localhost", 9000, ("127.0.0.1", 9000)),
        ({}, "127.0.0.2", None, ("127.0.0.2", 8000)),
        ({}, "[::1]", None, ("::1", 8000)),
        ({"MCP_ISSUER": "http://localhost:8400/oauth"}, None, None, ("127.0.0.1", 8400)),
        ({"MCP_ISSUER": "http://localhost/oauth"}, None, None, ("127.0.0.1", 80)),
        ({"MCP_ISSUER": "http://[::1]:8400/oauth"}, None, None, ("::1", 8400)),
        ({"MCP_ISSUER": "https://localhost:8443/oauth"}, None, None, ("127.0.0.1", 8000)),
        (HTTPS, None, None, ("127.0.0.1", 8000)),
        (PROXY, "0.0.0.0", None, ("0.0.0.0", 8000)),
        (PROXY, "::", 80, ("::", 80)),
    ],
)
def test_where_it_listens(
    environment: dict[str, str], host: str | None, port: int | None, expected: tuple[str, int]
) -> None:
    where = listening(load_settings(environment), host, port, 1, 4)
    assert (where.host, where.port) == expected


@pytest.mark.parametrize(
    "environment, port, is_missed",
    [
        ({}, 8000, False),
        ({}, 9000, True),
        ({"MCP_ISSUER": "http://localhost/oauth"}, 80, False),
        ({"MCP_ISSUER": "http://localhost/oauth"}, 8000, True),
        (HTTPS, 9000, False),
    ],
)
def test_a_port_that_the_issuer_does_not_name_is_worth_a_word(
    environment: dict[str, str], port: int, is_missed: bool
) -> None:
    settings = load_settings(environment)
    said = missed_issuer(settings, listening(settings, None, port, 1, 4))
    assert (said is not None) == is_missed
    assert said is None or settings.issuer in said


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "id.example", "", "0", "localhost.example", "::2"])
@pytest.mark.parametrize("environment", [{}, HTTPS])
def test_plain_http_beyond_this_machine_is_refused(environment: dict[str, str], host: str) -> None:
    with pytest.raises(StartRefused, match="Refusing to speak plain HTTP"):
        listening(load_settings(environment), host, None, 1, 4)


def test_the_refusal_comes_before_anything_is_made(bare_terminal: Terminal) -> None:
    shown = bare_terminal.refused("serve", "--host", "0.0.0.0")
    assert "MCP_BEHIND_TLS_PROXY=true" in shown
    assert list(bare_terminal.folder.iterdir()) == []


def test_a_port_that_is_taken_is_refused_before_anything_is_made(bare_terminal: Terminal) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        shown = bare_terminal.refused("serve", "--port", str(port))
    assert shown == f"Cannot listen on 127.0.0.1:{port}: Address already in use."
    assert list(bare_terminal.folder.iterdir()) == []


def test_a_host_that_nobody_knows_is_refused(bare_terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PROXY.items():
        monkeypatch.setenv(name, value)
    assert bare_terminal.refused("serve", "--host", "no-such-host.invalid").startswith("Cannot listen on no-such-host")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A folder for the tests below, which start and stop the server in it one after the other."""
    made = Server(tmp_path_factory.mktemp("serve"))
    yield made
    made.stop()


def page_of(link: str) -> requests.Response:
    return requests.get(link, timeout=HANG_SECONDS)


def test_the_first_start_makes_everything_and_prints_one_link(server: Server) -> None:
    server.start()
    printed = server.log_text()
    assert re.search(
        rf"^MCP Core   issuer {re.escape(server.issuer)}   database sqlite:///.*   \(new\)$", printed, re.MULTILINE
    )
    assert f"keys written to {server.home}/instance/keys (mode 0600). Back this folder up." in printed
    assert len(re.findall(r"/setup/mcp_setup_", printed)) == 1
    assert "Lost it?   mcp-core setup-link" in printed
    assert f"\n  Mail goes to {server.origin}/mailbox until MCP_SMTP_URL is set\n" in printed
    assert page_of(f"{server.origin}/mailbox").status_code == 200
    modes = {path.name: path.stat().st_mode & 0o777 for path in (server.home / "instance").rglob("*")}
    assert modes.pop("keys") == 0o700
    assert set(modes.values()) == {0o600}, modes
    assert page_of(server.setup_link).status_code == 200


def test_a_new_link_takes_the_place_of_the_old_one(server: Server) -> None:
    old = server.setup_link
    made = server.mcp_core_json("setup-link")
    assert set(made) == {"url", "expires_at"}
    assert made["url"].startswith(f"{server.origin}/setup/")
    assert (page_of(old).status_code, page_of(made["url"]).status_code) == (404, 200)
    assert re.match(r"Works once, until \d\d:\d\d \S+:\nhttp", server.mcp_core("setup-link"))
    assert page_of(made["url"]).status_code == 404


def test_the_second_start_finds_everything_and_prints_a_fresh_link(server: Server) -> None:
    server.stop()
    before = server.log_text()
    server.start()
    printed = server.log_text().removeprefix(before)
    assert re.search(rf"issuer {re.escape(server.issuer)} .*\(up to date\)$", printed, re.MULTILINE)
    assert f"keys in {server.home}/instance/keys" in printed
    assert server.setup_link not in before
    assert page_of(server.setup_link).status_code == 200


def test_a_link_is_bound_to_an_empty_table_of_users(server: Server) -> None:
    link = server.setup_link
    server.user("ana", PASSWORD, "--admin")
    assert page_of(link).status_code == 404
    with pytest.raises(CommandFailed) as refusal:
        server.mcp_core("setup-link")
    assert refusal.value.code == 1
    assert refusal.value.words == "mcp-core: There is a user already. More are made with: mcp-core user create --help\n"
    server.stop()
    before = server.log_text()
    server.start()
    printed = server.log_text().removeprefix(before)
    assert "/setup/" not in printed
    assert f"\n  Open {server.origin}/\n" in printed
    server.stop()


def test_a_link_is_used_up_by_the_account_that_it_makes(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        first, second = Browser(), Browser()
        second.get(server.setup_link)
        first.get(server.setup_link)
        fields = {"username": "ana", "email": "ana@example.org", "password": PASSWORD}
        assert first.fill(fields).path == "/account/second-factor"
        assert second.fill({**fields, "username": "mallory", "email": "m@example.org"}).status == 404
        (user,) = server.mcp_core_json("user", "list")
        assert (user["username"], user["is_admin"]) == ("ana", True)


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_finishes_the_request_in_hand_and_ends_every_process(tmp_path: Path, workers: int) -> None:
    settings = {"MCP_ARGON2_TIME_COST": "60"}  # a password hash takes a second or two
    with serving(tmp_path, workers=workers, settings=settings) as server:
        browser, pages = Browser(), list[Page]()
        browser.get(server.setup_link)
        fields = {"username": "ana", "email": "ana@example.org", "password": PASSWORD}
        person = threading.Thread(target=lambda: pages.append(browser.fill(fields)))
        processes = server.processes()
        assert len(processes) >= workers
        browser.stop_at = (server.origin + "/account",)  # the next page would be a new request
        idle = server.processor_ticks()
        person.start()
        eventually(lambda: server.processor_ticks() > idle + 20)
        assert pages == [], "the hash is still being computed"
        process = server._process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANG_SECONDS) == 0
        person.join(HANG_SECONDS)
        assert [page.trail[-1][0] for page in pages] == [303]
        assert not any(Path(f"/proc/{pid}").exists() for pid in processes)
        assert [user["username"] for user in server.mcp_core_json("user", "list")] == ["ana"], "it was committed"


@pytest.mark.parametrize("given, kept", [({}, b"glibc.malloc.hugetlb=1"), ({"GLIBC_TUNABLES": "x.y=1"}, b"x.y=1")])
def test_memory_comes_in_large_pages_unless_somebody_has_said_otherwise(
    tmp_path: Path, given: dict[str, str], kept: bytes
) -> None:
    with serving(tmp_path, settings=given) as server:
        variables = Path(f"/proc/{server.pid}/environ").read_bytes().split(b"\0")
    assert [text for text in variables if text.startswith(b"GLIBC_TUNABLES=")] == [b"GLIBC_TUNABLES=" + kept]


def test_a_server_that_cannot_end_is_ended() -> None:
    """The interpreter's lock is never given back, as by a library that hangs while it shuts down."""
    program = (
        "import ctypes, os, signal\n"
        "from provider.start import server\n"
        "server.STOP_SECONDS = 1\n"
        "with server.Server(print).capture_signals():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        f"    while True: ctypes.PyDLL(None).sleep({10 * HANG_SECONDS})\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=HANG_SECONDS, check=False)
    assert ended.returncode == -signal.SIGALRM


def test_wsgi_under_gunicorn_answers_discovery(tmp_path: Path) -> None:
    port = free_port()
    prepared = Server(tmp_path, port=port)
    environment = prepared.environment
    migrated = subprocess.run(
        [sys.executable, str(ROOT / "database/init_db.py")],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=HANG_SECONDS, check=False,
    )  # fmt: skip
    assert migrated.returncode == 0, migrated.stderr
    arguments = ("--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--threads", "2", "--no-control-socket")
    with (tmp_path / "gunicorn.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *arguments, "wsgi:application"],
            cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        discovery = f"{prepared.issuer}/.well-known/openid-configuration"
        eventually(lambda: answers(discovery) or process.poll() is not None)
        assert process.poll() is None, (tmp_path / "gunicorn.log").read_text()
        assert requests.get(discovery, timeout=HANG_SECONDS).json()["issuer"] == prepared.issuer
        assert requests.get(f"{prepared.issuer}/jwks", timeout=HANG_SECONDS).json()["keys"]
        assert "Sign in" in requests.get(f"{prepared.origin}/login", timeout=HANG_SECONDS).text
    finally:
        process.terminate()
        assert process.wait(HANG_SECONDS) == 0
