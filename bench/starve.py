"""Measures what one slow or greedy thing costs everybody else, and prints the table of docs/performance.md.

Usage: python bench/starve.py [--database sqlite|mariadb] [--only TROUBLE …] [--tree CHECKOUT]
A server runs under a steady load of tokens and pages; then comes trouble, from another address, and goes again.
``--tree`` measures the server of another checkout . Everything stays on loopback and ends by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.steady import Call, Figures, Steady, back_to_normal, figures
from bench.troubles import TROUBLES, Stage
from tests import serving
from tests.database_servers import MariaDBServer, create_database, free_port
from tests.journeys.person import Person
from tests.serving import Server

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
USUAL_SECONDS, TROUBLE_SECONDS, AFTER_SECONDS = 6.0, 10.0, 20.0
HEAD = (
    "| trouble | tokens/s before → during | pages/s before → during | p95 token / page, ms | p99 JWKS / health, ms |"
    " back to normal, s | not 200 |"
)


class ServerOfAnotherTree(Server):
    """Its commands are that tree's as well."""

    def mcp_core(self, *arguments: str, given: str | None = None) -> str:
        command = [sys.executable, "-c", "from provider.cli.console import main; raise SystemExit(main())", *arguments]
        done = subprocess.run(
            command, cwd=self.home, env=self.environment, input=given, capture_output=True, text=True, check=True
        )
        return done.stdout


@contextlib.contextmanager
def stage(folder: Path, database: str, tree: Path | None) -> Iterator[Stage]:
    """A furnished server without rate limits: they would end most troubles early."""
    if tree is not None:
        serving.ROOT = tree
    with contextlib.ExitStack() as stack:
        mariadb = None
        if database == "mariadb":
            mariadb = MariaDBServer()
            stack.callback(mariadb.close)
            create_database(mariadb.url(), "starve")
        slow_ports = (free_port(), free_port())
        settings = {
            "MCP_RATE_LIMITS": "false",
            "MCP_LOG_LEVEL": "error",
            "MCP_OUTBOUND_ALLOWED_HOSTS": " ".join(f"127.0.0.1:{port}" for port in slow_ports),
        }
        server = (Server if tree is None else ServerOfAnotherTree)(
            folder, host="127.0.0.1", settings=settings, database=mariadb.environment("starve") if mariadb else {}
        )
        stack.callback(server.stop)
        server.start()
        person = Person("ana")
        server.user(person.username, person.password)
        server.mcp_core("resource", "add", "https://api.example/", "--name", "API", "--scope", "api:read", *ES256)
        machine = server.mcp_core_json(
            *("client", "create", "--name", "Machine", "--grant", "client_credentials"),
            *("--resource", "https://api.example/", "--scope", "api:read"),
        )
        yield Stage(server, mariadb, person, machine["client_id"], machine["client_secret"], slow_ports)


ES256 = ("--token-alg", "ES256")


def calls(stage: Stage) -> dict[str, Call]:
    path = stage.server.path
    basic = {"Authorization": stage.basic, **FORM}
    return {
        "token": Call("POST", f"{path}/token", b"grant_type=client_credentials", basic),
        "page": Call("GET", "/login"),
        "keys": Call("GET", f"{path}/jwks"),
        "health": Call("GET", "/health"),
    }


def measure(stage: Stage, name: str) -> tuple[Figures, Figures, float | None]:
    """Before, during, and how many seconds it takes after the end of the trouble until all is as before."""
    with Steady(stage.server.port, calls(stage)) as steady:
        time.sleep(1)
        began = time.monotonic()
        time.sleep(USUAL_SECONDS)
        before = figures(steady.between(began, began + USUAL_SECONDS), USUAL_SECONDS)
        with TROUBLES[name](stage):
            trouble = time.monotonic()
            time.sleep(TROUBLE_SECONDS)
            end = time.monotonic()
        gone = time.monotonic()
        deadline = gone + AFTER_SECONDS
        after = None
        while after is None and time.monotonic() < deadline:
            time.sleep(0.5)
            after = back_to_normal(steady.between(gone, deadline), gone, before.rates["token"], time.monotonic())
    during = figures(steady.between(trouble, end), end - trouble)
    return before, during, after


def row(name: str, before: Figures, during: Figures, after: float | None) -> str:
    def change(kind: str) -> str:
        was, is_ = before.rates.get(kind, 0.0), during.rates.get(kind, 0.0)
        return f"{was:.0f} → {is_:.0f} ({100 * (is_ / was - 1) if was else 0:+.0f} %)"

    def pair(of: dict[str, float], one: str, other: str) -> str:
        return f"{of.get(one, float('nan')):.0f} / {of.get(other, float('nan')):.0f}"

    back = f"{after:.1f}" if after is not None else f"not within {AFTER_SECONDS:.0f}"
    refused = ", ".join(f"{kind} {count}" for kind, count in during.refused.items()) or "none"
    return (
        f"| {name} | {change('token')} | {change('page')} | {pair(during.p95, 'token', 'page')} |"
        f" {pair(during.p99, 'keys', 'health')} | {back} | {refused} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["sqlite", "mariadb"], default="sqlite")
    parser.add_argument("--only", action="append", choices=list(TROUBLES), help="default: all that fit the database")
    parser.add_argument("--tree", type=Path, help="another checkout, made ready by its `make run`")
    parser.add_argument("--json", type=Path, help="where the figures go as well")
    asked = parser.parse_args()
    names = asked.only or [name for name, trouble in TROUBLES.items() if trouble.fits(asked.database)]
    lines, kept = [], {}
    with tempfile.TemporaryDirectory(prefix="mcp-core-starve-") as folder:
        for number, name in enumerate(names):
            with stage(Path(folder) / str(number), asked.database, asked.tree and asked.tree.absolute()) as made:
                print(f"{number + 1} of {len(names)}: {name}…", file=sys.stderr)
                before, during, after = measure(made, name)
            lines.append(row(name, before, during, after))
            kept[name] = {"before": vars(before), "during": vars(during), "back_to_normal_seconds": after}
            print(lines[-1], file=sys.stderr)
    print(HEAD, "|---" * 7 + "|", *lines, sep="\n")
    if asked.json is not None:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
