"""The server itself: uvicorn on one listening socket, in this process or in several that are forked from it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn

from provider.start.connections import BoundedConnection, Door

STOP_SECONDS: Final = 30
BACKLOG: Final = 1024
# A worker that ends sooner than this is not replaced at once: whatever ends it would keep the machine busy.
SHORT_LIFE_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 1.0
_ENDING = (signal.SIGTERM, signal.SIGINT)
log = logging.getLogger("mcp_core.server")


def raise_open_files() -> None:
    """As many connections, files and locks as the system allows: what a shell begins with is less than a busy server has."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def bind(host: str, port: int) -> socket.socket:
    """A socket that has the port, and does not listen yet. Raises ``OSError``."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound


def listen(host: str, port: int) -> socket.socket:
    """The socket that strangers connect to. Raises ``OSError``."""
    listening = bind(host, port)
    listening.listen(BACKLOG)
    listening.setblocking(False)
    return listening


class Server(uvicorn.Server):
    """Serves until SIGTERM or SIGINT, and finishes what is in hand then. ``parent``: the process it must not outlive."""

    def __init__(self, door: Door, *, parent: int | None = None) -> None:
        self._parent = parent
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # what strangers send is no news
        super().__init__(
            uvicorn.Config(
                door,
                interface="asgi3",
                loop="auto",
                http=BoundedConnection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_graceful_shutdown=STOP_SECONDS,
                timeout_notify=0,
                callback_notify=self._look,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ending is what a signal asks for, and no failure: uvicorn's own would raise it again at the end."""
        before = {number: signal.signal(number, self._end) for number in _ENDING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answers also whoever has connected and was not greeted yet. uvicorn would hang up on them."""
        loop = asyncio.get_running_loop()
        for listening in sockets or ():
            for accepted in _accept_all(listening, is_last=self._parent is None):
                await loop.connect_accepted_socket(self._connection, accepted)
        await super().shutdown(sockets)

    def _connection(self) -> BoundedConnection:
        return BoundedConnection(config=self.config, server_state=self.server_state, app_state={})

    def _end(self, _number: int, _frame: object) -> None:
        # The kernel's clock, not a thread of ours: it also ends a process whose interpreter hangs while it shuts down.
        signal.alarm(STOP_SECONDS)
        self.should_exit = True

    async def _look(self) -> None:
        """Once a second."""
        for connection in tuple(self.server_state.connections):
            if isinstance(connection, BoundedConnection):
                connection.look(connection.loop.time())
        if self._parent is not None and os.getppid() != self._parent:
            self.should_exit = True


def _accept_all(listening: socket.socket, *, is_last: bool) -> list[socket.socket]:
    """Those who wait to be greeted. ``is_last``: no other process listens there, and nobody is to come after them."""
    accepted = []
    with contextlib.suppress(OSError):
        while True:
            accepted.append(listening.accept()[0])
            accepted[-1].setblocking(False)
    if is_last:
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RD)
    return accepted


def serve(listening: socket.socket, door: Door) -> None:
    """In this process."""
    Server(door).run(sockets=[listening])


def serve_in_workers(listening: socket.socket, load: Callable[[], Door], count: int) -> None:
    """In ``count`` forked processes, each with a door that ``load`` makes there. One that ends is replaced."""
    watched = {signal.SIGCHLD, *_ENDING}
    signal.signal(signal.SIGCHLD, lambda *_: None)  # what is ignored may not be waited for
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    workers = dict(_begin(listening, load, watched) for _ in range(count))
    while signal.sigwait(watched) == signal.SIGCHLD:
        for worker, code in _ended(workers):
            log.error("a worker ended unasked (%s), and is replaced", code)
            if time.monotonic() - workers.pop(worker) < SHORT_LIFE_SECONDS:
                time.sleep(PAUSE_SECONDS)
            workers |= dict([_begin(listening, load, watched)])
    listening.close()
    _end(workers)


def _begin(listening: socket.socket, load: Callable[[], Door], blocked: set[signal.Signals]) -> tuple[int, float]:
    """A new worker, and when it began."""
    parent = os.getpid()
    worker = os.fork()
    if worker:
        return worker, time.monotonic()
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
        Server(load(), parent=parent).run(sockets=[listening])
        code = 0
    except Exception:
        log.exception("a worker failed")
    finally:
        logging.shutdown()
        os._exit(code)


def _ended(workers: dict[int, float]) -> list[tuple[int, int]]:
    """Which of them have ended, and how."""
    found = [os.waitpid(worker, os.WNOHANG) for worker in workers]
    return [(worker, os.waitstatus_to_exitcode(status)) for worker, status in found if worker]


def _end(workers: dict[int, float]) -> None:
    """Asks all to end, and ends those that do not."""
    until = time.monotonic() + STOP_SECONDS
    for worker in workers:
        os.kill(worker, signal.SIGTERM)
    while workers and (left := until - time.monotonic()) > 0:
        signal.sigtimedwait({signal.SIGCHLD}, min(left, PAUSE_SECONDS))
        for worker, _code in _ended(workers):
            del workers[worker]
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
