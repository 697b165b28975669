"""Where requests to other servers may lead: what a stranger names must never reach what only this network can reach."""

from __future__ import annotations

import concurrent.futures
import ipaddress
import re
import socket
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from provider.security.addresses import is_public_address
from provider.security.exchange import FetchFailed, Unavailable
from provider.security.turns import Standing

MAX_URL_CHARACTERS = 2048
# A name that nobody answers for keeps the system's resolver busy for longer than we wait.
RESOLVER_THREADS = 16
_HOST = re.compile(r"(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_HERE = re.compile(
    r"http://(?P<host>localhost|127\.0\.0\.1|\[::1\])(?::(?P<port>[0-9]{1,5}))?(?P<rest>(?:[/?][!-~]*)?)"
)
Resolver = Callable[[str, int], Collection[str]]


def resolve(host: str, port: int) -> Collection[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@dataclass(frozen=True, slots=True)
class Target:
    """``path`` has the query in it. ``is_allowed``: an operator trusts the host, wherever it leads. ``is_here``: it is this
    machine, and plain http is spoken."""

    host: str
    port: int
    path: str
    is_allowed: bool
    is_here: bool = False

    @property
    def authority(self) -> str:
        return f"{self.host}:{self.port}"


class Targets:
    """Public addresses at port 443. Vouched clients may also lead to ``allowed_hosts``, strangers to ``open_hosts``.

    Both are names, with a port if it is not 443. Names of strangers are resolved by threads of their own.
    """

    def __init__(
        self, allowed_hosts: Collection[str], open_hosts: Collection[str], resolver: Resolver = resolve
    ) -> None:
        self._allowed = frozenset(host.lower() for host in allowed_hosts)
        self._open = frozenset(host.lower() for host in open_hosts)
        self._resolver = resolver
        self._resolving: dict[Standing, concurrent.futures.ThreadPoolExecutor] = {}
        self._lock = threading.Lock()

    def parse(self, url: str, standing: Standing) -> Target:
        """Raises ``FetchFailed`` for what is no URL to fetch."""
        if len(url) > MAX_URL_CHARACTERS or not url.isascii() or not url.isprintable() or " " in url:
            raise FetchFailed("the address is no URL that we fetch")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or 443
        except ValueError:
            raise FetchFailed("the address is no URL") from None
        if parts.scheme != "https" or "@" in parts.netloc or not _HOST.fullmatch(parts.netloc):
            raise FetchFailed("only https URLs with a host and without a user are fetched")
        is_allowed = self._is_allowed(host, port, standing)
        if port != 443 and not is_allowed:
            raise FetchFailed(
                "only port 443 is asked, and for clients that are vouched for what MCP_OUTBOUND_ALLOWED_HOSTS names"
            )
        path = parts.path or "/"
        return Target(host, port, f"{path}?{parts.query}" if parts.query else path, is_allowed)

    def parse_here(self, url: str) -> Target:
        """An http URL of this machine, for what an operator registered and nobody else. Raises ``FetchFailed``."""
        known = _HERE.fullmatch(url) if len(url) <= MAX_URL_CHARACTERS else None
        if known is None or not 1 <= int(known["port"] or 80) <= 65535:
            raise FetchFailed("only http URLs of this machine are meant")
        rest = known["rest"]
        path = rest if rest.startswith("/") else f"/{rest}"
        return Target(known["host"].strip("[]"), int(known["port"] or 80), path, is_allowed=False, is_here=True)

    def addresses(self, target: Target, standing: Standing, deadline: float) -> list[str]:
        """What the name resolves to. All of it must be public: of two answers the second one may be the trap.

        ``deadline`` is a value of ``time.monotonic``. Raises ``FetchFailed``, ``Unavailable``.
        """
        asked = self._threads(standing).submit(self._resolver, target.host, target.port)
        try:
            addresses = list(dict.fromkeys(asked.result(timeout=max(0.0, deadline - time.monotonic()))))
        except concurrent.futures.TimeoutError:
            asked.cancel()
            raise Unavailable("the name was not resolved in time") from None
        except (OSError, UnicodeError) as error:
            raise Unavailable(f"the name cannot be resolved: {error}") from None
        if not addresses:
            raise Unavailable("the name has no address")
        if target.is_here and not all(ipaddress.ip_address(address).is_loopback for address in addresses):
            raise FetchFailed("the name leads to another machine")
        if not (target.is_allowed or target.is_here) and not all(map(is_public_address, addresses)):
            raise FetchFailed("the name leads to an address that is not public")
        return addresses

    def _is_allowed(self, host: str, port: int, standing: Standing) -> bool:
        hosts = self._allowed | self._open if standing is Standing.VOUCHED else self._open
        shown = f"[{host}]" if ":" in host else host
        return f"{shown}:{port}" in hosts or (port == 443 and shown in hosts)

    def _threads(self, standing: Standing) -> concurrent.futures.ThreadPoolExecutor:
        with self._lock:
            if standing not in self._resolving:
                made = concurrent.futures.ThreadPoolExecutor(RESOLVER_THREADS, f"resolver {standing.value}")
                self._resolving[standing] = made
            return self._resolving[standing]
