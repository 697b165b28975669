"""Whether the time of an answer tells who has an account: known and unknown names in turns, at sign-in, "forgot", sign-up.

Usage: python bench/known_unknown.py [--samples 200]
Starts a server of its own on loopback, with every limit as it is, and leaves nothing behind. Each answer goes to another
address, and each name is tried three times at most. Prints the medians of both kinds, how far they are apart, and the p of
a rank test (Mann and Whitney) that one kind is slower. Ends with 1 where medians differ by more than 5 % or p is below 0.01.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
import re
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import requests

from tests.serving import Server, serving

MOST_APART = 0.05
LEAST_P = 0.01
PASSWORD = "violet kettle 71 harbour paints"
KINDS = KNOWN, UNKNOWN = "known", "other"
TIMES_A_NAME = 3  # as many letters go to one address


class Visitor:
    """A browser that keeps its connection, so that only the answer is measured."""

    addresses = itertools.count()

    def __init__(self, server: Server, path: str) -> None:
        self._url = server.origin + path
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Origin"] = server.origin
        page = self._session.get(self._url, timeout=30)
        found = re.search(r'name="csrf_token" value="([0-9a-f]{64})"', page.text)
        assert found is not None, page.text
        self._token = found[1]

    def seconds(self, fields: dict[str, str], status: int) -> float:
        """How long the answer to a form takes. Raises ``RuntimeError`` for another status."""
        body = {"csrf_token": self._token, **fields}
        number = next(self.addresses)
        through = {"X-Forwarded-For": f"{20 + number % 60}.{number // 60 % 256}.{number // 15360}.1"}
        began = time.perf_counter()
        answer = self._session.post(self._url, data=body, headers=through, allow_redirects=False, timeout=30)
        taken = time.perf_counter() - began
        if answer.status_code != status:
            raise RuntimeError(f"{self._url} answered {answer.status_code}: {answer.text[:500]}")
        return taken

    def sign_out(self) -> None:
        """Forgets the session, and stays the browser that it is."""
        for name in self._session.cookies.get_dict():
            if "session" in name:
                del self._session.cookies[name]


def sign_in(server: Server) -> Callable[[str], float]:
    visitor = Visitor(server, "/login")
    return lambda name: visitor.seconds({"username": name, "password": "not this one"}, 400)


def forgot(server: Server) -> Callable[[str], float]:
    visitor = Visitor(server, "/forgot")
    return lambda name: visitor.seconds({"username": name}, 303)


def sign_up(server: Server) -> Callable[[str], float]:
    """Each time another account; the unknown address stays nobody's, since nobody confirms it."""
    visitor, numbers = Visitor(server, "/signup"), itertools.count()

    def measure(name: str) -> float:
        fields = {"username": f"person{next(numbers)}x", "email": name, "password": PASSWORD}
        taken = visitor.seconds(fields, 303)
        visitor.sign_out()
        return taken

    return measure


def rank_test(first: list[float], second: list[float]) -> float:
    """Two-sided p of the Mann-Whitney U test, by its normal approximation with ties corrected."""
    everything = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    ranks, ties, place = [0.0, 0.0], 0.0, 0
    while place < len(everything):
        end = place
        while end < len(everything) and everything[end][0] == everything[place][0]:
            end += 1
        rank, many = (place + 1 + end) / 2, end - place
        ties += many**3 - many
        for _, kind in everything[place:end]:
            ranks[kind] += rank
        place = end
    n, m, total = len(first), len(second), len(everything)
    u = ranks[0] - n * (n + 1) / 2
    spread = math.sqrt(n * m / 12 * (total + 1 - ties / (total * (total - 1))))
    return math.erfc(abs(u - n * m / 2) / spread / math.sqrt(2))


def address(kind: str, number: int) -> str:
    return f"{kind}{number}@example.com"


def make_known(server: Server, names: int) -> None:
    """Accounts with one password, whose hash is made once."""
    server.user(f"{KNOWN}0", PASSWORD, "--verified")
    database = sqlite3.connect(server.home / "instance" / "mcp-core.db")
    with contextlib.closing(database), database:
        database.row_factory = sqlite3.Row
        (first,) = [dict(row) for row in database.execute("SELECT * FROM users")]
        for number in range(1, names):
            name, own = f"{KNOWN}{number}", str(uuid.uuid4())
            row = {**first, "id": own, "email": address(KNOWN, number), "email_canonical": address(KNOWN, number)}
            row |= dict.fromkeys(("username", "username_canonical", "username_skeleton"), name)
            marks = ", ".join("?" * len(row))
            database.execute(f"INSERT INTO users ({', '.join(row)}) VALUES ({marks})", list(row.values()))


def compare(name: str, measure: Callable[[str], float], samples: int) -> bool:
    """Prints a line. The two kinds take turns in beginning, so that nothing but the name is another."""
    for each in KINDS:
        measure(address(each, 0))
    times: dict[str, list[float]] = {KNOWN: [], UNKNOWN: []}
    for number in range(samples):
        for each in KINDS if number % 2 else reversed(KINDS):
            times[each].append(measure(address(each, 1 + number // TIMES_A_NAME)))
    known, unknown = (statistics.median(times[each]) for each in KINDS)
    apart, p = abs(known / unknown - 1), rank_test(times[KNOWN], times[UNKNOWN])
    holds = apart <= MOST_APART and p >= LEAST_P
    print(
        f"{name:8}  known {known * 1000:7.2f} ms   unknown {unknown * 1000:7.2f} ms   apart {apart:6.2%}   "
        f"p {p:.3f}   {'the same' if holds else 'DIFFERENT'}"
    )
    return holds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--samples", type=int, default=200, help="of each kind")
    samples = parser.parse_args().samples
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), settings={"MCP_TRUSTED_PROXY_COUNT": "1", "MCP_SIGN_UP": "open"}) as server,
    ):
        make_known(server, 2 + samples // TIMES_A_NAME)
        ways = (("sign-in", sign_in(server)), ("forgot", forgot(server)), ("sign-up", sign_up(server)))
        same = [compare(*each, samples) for each in ways]
    return 0 if all(same) else 1


if __name__ == "__main__":
    raise SystemExit(main())
