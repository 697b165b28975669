"""What ten thousand sign-ups leave behind: all from one address, then each from another address of one network of 16 bits.

Usage: python bench/sign_up_crowd.py [--many 10000]
Starts a server of its own on loopback that trusts one proxy, and ends it. Prints for each crowd how it was answered, the
rows and the memory that it left, and whether somebody of another network could sign up and sign in meanwhile. Ends with 1
where an answer was an error of the server, where somebody else was kept out, or where more was left than one network may.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import re
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import requests

from provider.accounts.sign_ups import MADE_PER_SOURCE
from tests.serving import Server, serving

PASSWORD = "violet kettle 71 harbour paints"
SENDERS = 6
PROBE_SECONDS = 1.0
TABLES = ("users", "mail_messages", "email_verification_tokens", "rate_counters", "user_audit_log", "user_sessions")
MOST_KIB = 64 * 1024
Address = Callable[[int], str]
# Each with how many households' share of accounts it may have.
CROWDS: dict[str, tuple[Address, int]] = {
    "one address": (lambda number: "198.51.100.7", 1),  # noqa: ARG005 - the same for every number
    "one network of 16 bits": (lambda number: f"203.0.{number // 250 % 256}.{number % 250 + 1}", 64),
}


class Browser:
    """One that keeps its connection and stays signed out, seen by the proxy at whatever address it says."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Origin"] = server.origin
        page = self._session.get(f"{server.origin}/signup", timeout=60)
        found = re.search(r'name="csrf_token" value="([0-9a-f]{64})"', page.text)
        assert found is not None, page.text
        self._token = found[1]

    def post(self, path: str, fields: dict[str, str], address: str) -> int:
        """The status of the answer to a form, 0 for none."""
        body, seen = {"csrf_token": self._token, **fields}, {"X-Forwarded-For": address}
        try:
            answer = self._session.post(
                self._server.origin + path, data=body, headers=seen, allow_redirects=False, timeout=60
            )
        except requests.RequestException:
            return 0
        for name in self._session.cookies.get_dict():
            if "session" in name:
                del self._session.cookies[name]
        return answer.status_code


def sign_up(browser: Browser, name: str, address: str) -> int:
    return browser.post("/signup", {"username": name, "email": f"{name}@example.org", "password": PASSWORD}, address)


def crowd(server: Server, name: str, address: Address, many: int) -> Counter[int]:
    """The answers to ``many`` sign-ups, by their status."""
    numbers, answers, lock = itertools.count(), Counter[int](), threading.Lock()

    def send() -> None:
        browser = Browser(server)
        while (number := next(numbers)) < many:
            status = sign_up(browser, f"{name}{number}x", address(number))
            with lock:
                answers[status] += 1

    senders = [threading.Thread(target=send) for _ in range(SENDERS)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    return answers


@contextlib.contextmanager
def others(server: Server, name: str) -> Iterator[Counter[int]]:
    """Somebody of another network who signs in, and others who sign up, each second meanwhile: their answers."""
    answers, over = Counter[int](), threading.Event()

    def try_it() -> None:
        browser = Browser(server)
        for number in itertools.count():
            home = f"192.0.{number // 200}.{number % 200 + 1}"
            known = {"username": "resident", "password": PASSWORD}
            answers[browser.post("/login", known, "192.0.2.250")] += 1
            answers[sign_up(browser, f"neighbour{name}{number}x", home)] += 1
            if over.wait(PROBE_SECONDS):
                return

    thread = threading.Thread(target=try_it)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()


def rows(server: Server) -> Counter[str]:
    with contextlib.closing(sqlite3.connect(server.home / "instance" / "mcp-core.db")) as database:
        return Counter({t: database.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in TABLES})


def trial(server: Server, label: str, address: Address, households: int, many: int) -> bool:
    name = label.replace(" ", "")
    before, memory, began = rows(server), server.resident_kib(), time.monotonic()
    with others(server, name) as theirs:
        answers = crowd(server, name, address, many)
    left = Counter(rows(server))
    left.subtract(before)
    grown, seconds = server.resident_kib() - memory, time.monotonic() - began
    most, made = MADE_PER_SOURCE.times * households, answers[303]
    print(f"{many} from {label}: {dict(answers)} in {seconds:.0f} s")
    print(f"  left: {dict(left)}, memory {grown / 1024:+.1f} MiB")
    print(f"  others meanwhile: {dict(theirs)}")
    is_bounded = made <= most and left["mail_messages"] <= most + sum(theirs.values()) and grown <= MOST_KIB
    is_sound = not [status for status in (*answers, *theirs) if status >= 500 or status == 0]
    return is_bounded and is_sound and set(theirs) == {303}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--many", type=int, default=10_000, help="in each crowd")
    many = parser.parse_args().many
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), settings={"MCP_TRUSTED_PROXY_COUNT": "1", "MCP_SIGN_UP": "open"}) as server,
    ):
        server.user("resident", PASSWORD, "--verified")
        good = [trial(server, label, *known, many) for label, known in CROWDS.items()]
        broken = server.traces
    if broken:
        print(broken)
    return 0 if all(good) and not broken else 1


if __name__ == "__main__":
    raise SystemExit(main())
