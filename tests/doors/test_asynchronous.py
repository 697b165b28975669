"""The asynchronous door: requests are read whole before anything is done, and a full lane answers at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import Engine

from database.units import Unit
from provider.application import asynchronous_door_of
from provider.doors import gathering, lanes, reading
from provider.doors.asynchronous import AsynchronousDoor
from provider.doors.doorway import MAX_BODY_BYTES
from provider.doors.line import LaneFull
from provider.protocol.messages import ProtocolResponse
from tests.endpoints import asgi
from tests.endpoints.provider import Provider, ProviderFactory
from tests.endpoints.wsgi import FORM, Answer
from tests.waiting import stays

GRANT = b"grant_type=client_credentials"
HANG_SECONDS = 30


@pytest.fixture
def provider(sqlite_engine: Engine, make_provider: ProviderFactory) -> Provider:
    return make_provider(sqlite_engine, door="asynchronous")


@pytest.fixture
def door(provider: Provider) -> AsynchronousDoor:
    return asynchronous_door_of(provider.app)


def scope(
    method: str, path: str, headers: Mapping[str, str] | None = None, source: str = "192.0.2.10"
) -> dict[str, Any]:
    pairs = {"host": "localhost:8000", **(headers or {})}
    return {
        "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "path": path,
        "raw_path": path.encode("latin-1"), "query_string": b"", "client": (source, "49152"),
        "server": ("localhost", "8000"),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in pairs.items()],
    }  # fmt: skip


async def exchange(door: AsynchronousDoor, asked: dict[str, Any], *messages: Mapping[str, Any]) -> Answer | None:
    """The answer to a request that consists of ``messages`` and then says nothing more; None without one."""
    left, sent = list(messages), []

    async def receive() -> Mapping[str, Any]:
        if left:
            return left.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    await door(asked, receive, send)
    if not sent:
        return None
    start, body = sent
    headers = [(name.decode(), value.decode("latin-1")) for name, value in start["headers"]]
    return Answer(start["status"], "", headers, body["body"])


def piece(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def ask(door: AsynchronousDoor, asked: dict[str, Any], *messages: Mapping[str, Any]) -> Answer:
    answer = asgi.run(exchange(door, asked, *messages))
    assert isinstance(answer, Answer)
    return answer


@pytest.mark.parametrize("path", ["/oauth/token", "/login"])
def test_a_body_that_does_not_come_is_waited_for_only_so_long(
    door: AsynchronousDoor, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BODY_SECONDS", 0.05)
    headers = {"content-type": FORM, "content-length": "100"}
    answer = ask(door, scope("POST", path, headers), piece(b"grant", more=True))
    assert (answer.status, answer.json, answer.header("connection")) == (408, {"error": "invalid_request"}, "close")


def test_a_thousand_slow_bodies_take_no_thread(provider: Provider, door: AsynchronousDoor) -> None:
    client = provider.machine()
    headers = {"content-type": FORM, "content-length": "100", **{k.lower(): v for k, v in client.authorization.items()}}

    async def story() -> Answer | None:
        slow = [
            asyncio.ensure_future(exchange(door, scope("POST", path, headers), piece(b"x", more=True)))
            for path in ("/oauth/token", "/login") * 500
        ]
        await asyncio.sleep(0)
        whole = {**headers, "content-length": str(len(GRANT))}
        answers = [
            await exchange(door, scope("POST", "/oauth/token", whole), piece(GRANT, more=False)),
            await exchange(door, scope("GET", "/login")),
            await exchange(door, scope("GET", "/oauth/jwks")),
        ]
        assert not any(task.done() for task in slow)
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        assert [answer and answer.status for answer in answers] == [200, 200, 200]
        return answers[0]

    asgi.run(story())
    assert door._bodies._unfinished_bytes == 0


def test_unfinished_bodies_have_a_bound_together(door: AsynchronousDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_UNFINISHED_BYTES", 100_000)
    headers = {"content-type": FORM}

    async def story() -> list[Answer | None]:
        slow = [
            asyncio.ensure_future(
                exchange(door, scope("POST", "/oauth/token", headers), piece(b"x" * 60_000, more=True))
            )
            for _ in range(3)
        ]
        done, waiting = await asyncio.wait(slow, timeout=0.2)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return [task.result() for task in done]

    assert [answer.status for answer in asgi.run(story())] == [503, 503]
    assert door._bodies._unfinished_bytes == 0


def test_a_body_in_any_number_of_pieces_is_the_same_body(provider: Provider, door: AsynchronousDoor) -> None:
    client = provider.machine()
    headers = {"content-type": FORM, **{k.lower(): v for k, v in client.authorization.items()}}
    for size in (1, 3, len(GRANT)):
        pieces = [piece(GRANT[at : at + size], more=True) for at in range(0, len(GRANT), size)]
        assert ask(door, scope("POST", "/oauth/token", headers), *pieces, piece(b"", more=False)).status == 200


@pytest.mark.parametrize("size, status", [(None, 200), (MAX_BODY_BYTES, 400), (MAX_BODY_BYTES + 1, 413)])
def test_a_body_that_is_here_already_is_the_same_body(
    provider: Provider, door: AsynchronousDoor, size: int | None, status: int
) -> None:
    client = provider.machine()
    headers = {"content-type": FORM, **{k.lower(): v for k, v in client.authorization.items()}}
    body = GRANT if size is None else b"x" * size

    async def receive() -> Mapping[str, Any]:
        return piece(body, more=False)

    answer = asgi.run(door.answer(scope("POST", "/oauth/token", headers), receive, body))
    assert answer.status == status


@pytest.mark.parametrize("cookie, is_seen", [
    ("city=\uc11c\uc6b8; {}", True), ("city=\u00e9;{}", True), ("{}; city=\uc11c\uc6b8", True), ("\ud55c=1; {}", True),
])  # fmt: skip
def test_a_neighbours_cookie_of_any_bytes_hides_no_session(
    provider: Provider, door: AsynchronousDoor, cookie: str, is_seen: bool
) -> None:
    value, _session = provider.session(provider.user())
    ours = f"{provider.services.settings.cookie_name('session')}={value}"
    asked = scope("GET", "/account")
    asked["headers"].append((b"cookie", cookie.format(ours).encode()))
    answer = ask(door, asked)
    assert (answer.status == 200) is is_seen, answer.headers


def test_cookies_in_several_headers_are_one_list(provider: Provider, door: AsynchronousDoor) -> None:
    value, _session = provider.session(provider.user())
    asked = scope("GET", "/account")
    asked["headers"] += [
        (b"cookie", b"a=1"),
        (b"cookie", f"{provider.services.settings.cookie_name('session')}={value}".encode()),
    ]
    assert ask(door, asked).status == 200


@pytest.mark.parametrize("name", ["x_forwarded_for", "content_type", "authorization_"])
def test_a_header_with_an_underscore_passes_for_no_other(
    sqlite_engine: Engine, make_provider: ProviderFactory, name: str
) -> None:
    provider = make_provider(sqlite_engine, door="asynchronous", trusted_proxy_count=1)
    headers = {"content-type": FORM, "x-forwarded-for": "203.0.113.7", name: "198.51.100.1"}
    door = asynchronous_door_of(provider.app)
    body = piece(GRANT + b"&client_id=app_unknown", more=False)
    assert ask(door, scope("POST", "/oauth/token", headers), body).status == 401
    assert [event["ip_address"] for event in provider.events("client.authentication_failed")] == ["203.0.113.7"]


@pytest.mark.parametrize("count, size, status", [(1, 32_000, 200), (1, 33_000, 431), (90, 400, 431)])
@pytest.mark.parametrize("path", ["/oauth/jwks", "/login"])
def test_a_head_has_a_largest_size_in_bytes(
    door: AsynchronousDoor, path: str, count: int, size: int, status: int
) -> None:
    asked = scope("GET", path)
    asked["headers"] += [(b"x-%d" % number, b"y" * size) for number in range(count)]
    assert ask(door, asked).status == status


@pytest.mark.parametrize("raw, status", [
    (b"/oauth/%6awks", 200), (b"/oauth%2Fjwks", 200), (b"/oauth/jwks%", 404), (b"/oauth/jwks%zz", 404),
    (b"/%ff%fe", 404), (b"/\xed\xa0\x80", 404), (b"//oauth/jwks", 404), (b"/oauth/jwks/", 404), (b"*", 404), (b"", 308),
])  # fmt: skip
def test_any_path_gets_an_answer(door: AsynchronousDoor, raw: bytes, status: int) -> None:
    asked = scope("GET", "/")
    asked["raw_path"] = raw
    answer = ask(door, asked)
    assert answer.status in (status, 404, 303)


class Full:
    """All places of both lanes taken, from one source, and the line of that source as well."""

    def __init__(self, door: AsynchronousDoor, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open = threading.Event()
        self._door = door
        self._asked: list[asyncio.Future[Any]] = []
        for module in (lanes, gathering):
            monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.2)

    async def fill(self) -> None:
        for lane in (self._door._machines, self._door._pages):
            for source in ("one", "two"):
                self._asked += [
                    asyncio.ensure_future(lane.run(source, lambda: self._open.wait(HANG_SECONDS), stays))
                    for _ in range(lane._places)
                ]
        for source in ("one", "two"):
            self._asked.append(asyncio.ensure_future(self._door._gathering.run(source, self._hold)))
        await asyncio.sleep(0.05)

    def _hold(self, _unit: Unit) -> ProtocolResponse:
        assert self._open.wait(HANG_SECONDS)
        return ProtocolResponse(204)

    async def end(self) -> None:
        self._open.set()
        await asyncio.gather(*self._asked, return_exceptions=True)


@pytest.fixture
def full(door: AsynchronousDoor, monkeypatch: pytest.MonkeyPatch) -> Iterator[Full]:
    made = Full(door, monkeypatch)
    asgi.run(made.fill())
    yield made
    asgi.run(made.end())


def test_documents_and_health_are_answered_while_every_thread_is_busy(
    provider: Provider, door: AsynchronousDoor, full: Full
) -> None:
    for path in ("/oauth/jwks", "/.well-known/openid-configuration", "/oauth/.well-known/openid-configuration"):
        assert ask(door, scope("GET", path)).status == 200
        assert ask(door, scope("HEAD", path)).body == b""


def test_a_machine_that_finds_no_place_is_told_when_to_come_again(door: AsynchronousDoor, full: Full) -> None:
    answer = ask(door, scope("POST", "/oauth/token", {"content-type": FORM}), piece(GRANT, more=False))
    assert (answer.error, answer.header("retry-after")) == ((503, "temporarily_unavailable"), "2")
    assert answer.header("access-control-allow-origin") == "*"


@pytest.mark.parametrize(
    "language, words", [("en", "Too many people at once"), ("ko", "지금 이용하는 사람이 많습니다")]
)
def test_a_person_who_finds_no_place_gets_a_page_in_their_language(
    door: AsynchronousDoor, full: Full, language: str, words: str
) -> None:
    answer = ask(door, scope("GET", "/login", {"accept-language": language}))
    assert (answer.status, answer.header("retry-after")) == (503, "2")
    assert words in answer.text
    assert f'lang="{language}"' in answer.text
    assert answer.all("set-cookie") == []
    assert "frame-ancestors 'none'" in (answer.header("content-security-policy") or "")


def test_who_fills_the_line_alone_is_told_that_it_is_too_much(door: AsynchronousDoor) -> None:
    class Own:
        async def run(self, *_: Any) -> Any:
            raise LaneFull(is_own_share=True)

    door._gathering = door._machines = door._pages = Own()  # type: ignore[assignment]
    machine = ask(door, scope("POST", "/oauth/token", {"content-type": FORM}), piece(GRANT, more=False))
    assert (machine.error, machine.header("retry-after")) == ((429, "temporarily_unavailable"), "1")
    assert ask(door, scope("GET", "/login")).status == 429


def test_who_has_left_gets_nothing_and_nothing_is_done(provider: Provider, door: AsynchronousDoor, full: Full) -> None:
    before = len(provider.events("client.authentication_failed"))
    body = piece(GRANT + b"&client_id=app_unknown", more=False)
    gone = {"type": "http.disconnect"}
    asked = scope("POST", "/oauth/revoke", {"content-type": FORM})
    assert asgi.run(exchange(door, asked, body, gone)) is None
    asgi.run(full.end())
    assert len(provider.events("client.authentication_failed")) == before


def test_nothing_but_http_is_spoken(door: AsynchronousDoor) -> None:
    for kind in ("lifespan", "websocket"):
        with pytest.raises(ValueError, match="HTTP"):
            asgi.run(exchange(door, {"type": kind}))
