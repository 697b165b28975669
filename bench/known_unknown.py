"""Whether the time of an answer tells who has an account: known and unknown names in turns, at sign-in, "forgot", sign-up.

Usage: python bench/known_unknown.py [--samples 200]
Starts a server of its own on loopback, without limits on attempts, and leaves nothing behind. Each name is tried once
before anything is measured. Prints the medians of both kinds, how far they are apart, and the p of a rank test (Mann and
Whitney) that one kind is slower. Ends with 1 where medians differ by more than 5 % or p is below 0.01.
"""

from __future__ import annotations

import argparse
import itertools
import math
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import requests

from tests.serving import Server, serving

MOST_APART = 0.05
LEAST_P = 0.01
PASSWORD = "violet kettle 71 harbour paints"
KNOWN, UNKNOWN = "known@example.com", "other@example.com"


class Visitor:
    """A browser that keeps its connection, so that only the answer is measured."""

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
        began = time.perf_counter()
        answer = self._session.post(self._url, data=body, allow_redirects=False, timeout=30)
        taken = time.perf_counter() - began
        if answer.status_code != status:
            raise RuntimeError(f"{self._url} answered {answer.status_code}: {answer.text[:500]}")
        return taken

    def sign_out(self) -> None:
        """Forgets the session, and stays the browser that it is."""
        for cookie in list(self._session.cookies):
            if "session" in cookie.name:
                self._session.cookies.clear(cookie.domain, cookie.path, cookie.name)


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


def compare(name: str, measure: Callable[[str], float], samples: int) -> bool:
    """Prints a line. The two kinds take turns in beginning, so that nothing but the name is another."""
    for each in (KNOWN, UNKNOWN):
        measure(each)
    times: dict[str, list[float]] = {KNOWN: [], UNKNOWN: []}
    for number in range(samples):
        for each in (KNOWN, UNKNOWN) if number % 2 else (UNKNOWN, KNOWN):
            times[each].append(measure(each))
    known, unknown = (statistics.median(times[each]) for each in (KNOWN, UNKNOWN))
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
        serving(Path(folder), settings={"MCP_RATE_LIMITS": "false", "MCP_SIGN_UP": "open"}) as server,
    ):
        server.user("known", PASSWORD, "--verified")
        ways = (("sign-in", sign_in(server)), ("forgot", forgot(server)), ("sign-up", sign_up(server)))
        same = [compare(*each, samples) for each in ways]
    return 0 if all(same) else 1


if __name__ == "__main__":
    raise SystemExit(main())
