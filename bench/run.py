"""Measures mcp-core beside npm's oidc-provider, in turns on the same core, and prints the table of docs/performance.md.

Usage: python bench/run.py [--rounds 3] [--seconds 5] [--json build/bench.json] [--node-folder FOLDER]
Needs wrk, taskset, node and npm, and two cores: one serves, the other asks. Everything stays on loopback.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import requests

from bench.servers import HERE, Measured, NotHere, Peer, on_core, running

SERVER_CORE, LOAD_CORE = 0, 1
CONNECTIONS = 16
CHAINS_OF_A_RUN = 4 * CONNECTIONS
WARM_UP_SECONDS = 1
BUSY = 2.5
SCENARIOS = (
    "client credentials, RS256",
    "client credentials, ES256",
    "refresh with rotation",
    "discovery",
    "JWKS",
)
_RESULT = re.compile(r"RESULT requests=(\d+) duration_us=(\d+) p50_us=(\d+) p99_us=(\d+) refused=(\d+) broken=(\d+)")


@dataclass(frozen=True)
class Run:
    """One run of wrk. Latencies are in milliseconds, ``cpu`` in microseconds of the server for each answer."""

    server: str
    scenario: str
    rate: float
    p50: float
    p99: float
    cpu: float


def check_programs() -> None:
    for name, package in (("wrk", "wrk"), ("taskset", "util-linux")):
        if shutil.which(name) is None:
            raise NotHere(f"{name} is not here: apt-get install {package}")
    if (os.cpu_count() or 1) < 2:
        raise NotHere("The benchmark needs two cores, one for the server and one for the load.")


def measure(server: Measured, scenario: str, seconds: int, folder: Path) -> Run:
    """Raises ``RuntimeError`` unless every answer is a success."""
    environment = {**os.environ, "WRK_FOLDER": str(HERE / "wrk")}
    url, script = f"{server.issuer}/token", "post.lua"
    if scenario.startswith("client credentials"):
        environment |= {"FORM": credentials_form(scenario), "BASIC": server.basic()}
    elif scenario == "refresh with rotation":
        script, file = "refresh.lua", folder / "tokens"
        file.write_text("\n".join(server.take_tokens(CHAINS_OF_A_RUN)) + "\n", encoding="ascii")
        form = urlencode({"grant_type": "refresh_token", "client_id": server.app()})
        environment |= {"TOKENS": str(file), "FORM": form}
    else:
        script = "get.lua"
        url = f"{server.issuer}/{'jwks' if scenario == 'JWKS' else '.well-known/openid-configuration'}"
    command = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "--timeout",
        "10s",
        "-s",
        str(HERE / "wrk" / script),
        url,
    ]
    before = server.cpu_seconds()
    done = subprocess.run([*on_core(LOAD_CORE), *command], env=environment, capture_output=True, text=True, check=True)
    found = _RESULT.search(done.stdout)
    if found is None:
        raise RuntimeError(f"wrk said nothing: {done.stdout}{done.stderr}")
    count, micros, p50, p99, refused, broken = map(int, found.groups())
    if refused or broken or not count:
        raise RuntimeError(f"{server.name}, {scenario}: {refused} of {count} refused, {broken} broken")
    computed = (server.cpu_seconds() - before) * 1e6 / count
    return Run(server.name, scenario, count * 1e6 / micros, p50 / 1000, p99 / 1000, computed)


def credentials_form(scenario: str) -> str:
    algorithm = scenario[-5:].lower()
    resource = f"https://{algorithm}.example/api"
    return urlencode({"grant_type": "client_credentials", "resource": resource, "scope": "api:read"})


def check_answers(server: Measured) -> None:
    """That the servers do the same before they are compared: 200, and a token signed as it should be."""
    headers = {"Authorization": f"Basic {server.basic()}", "Content-Type": "application/x-www-form-urlencoded"}
    for scenario in SCENARIOS[:2]:
        answer = requests.post(f"{server.issuer}/token", data=credentials_form(scenario), headers=headers, timeout=10)
        assert answer.status_code == 200, f"{server.name}: {answer.text}"
        assert algorithm_of(answer.json()["access_token"]) == scenario[-5:], server.name
    (token,) = server.take_tokens(1)
    form = {"grant_type": "refresh_token", "client_id": server.app(), "refresh_token": token}
    answer = requests.post(f"{server.issuer}/token", data=form, timeout=10)
    assert answer.status_code == 200, f"{server.name}: {answer.text}"
    refreshed = answer.json()
    assert refreshed["refresh_token"] != token, f"{server.name} does not rotate"
    signed = [algorithm_of(refreshed[name]) for name in ("access_token", "id_token")]
    assert signed == ["ES256", "RS256"], f"{server.name}: {signed}"


def algorithm_of(token: str) -> str:
    import base64

    part = token.split(".", 1)[0]
    return str(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["alg"])


def median_of(runs: list[Run], server: str, scenario: str) -> Run:
    own = [run for run in runs if (run.server, run.scenario) == (server, scenario)]
    return Run(
        server,
        scenario,
        *(statistics.median(getattr(run, name) for run in own) for name in ("rate", "p50", "p99", "cpu")),
    )


def table(runs: list[Run], servers: list[Measured], resident: dict[str, tuple[int, int]]) -> str:
    names = [server.name for server in servers]
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for scenario in dict.fromkeys(run.scenario for run in runs):
        cells = []
        peer = median_of(runs, names[0], scenario)
        for name in names:
            run = median_of(runs, name, scenario)
            faster, cheaper = f" **{run.rate / peer.rate:.2f}**", f" **{peer.cpu / run.cpu:.2f}**"
            if name == names[0]:
                faster = cheaper = ""
            cells.append(f"{run.rate:,.0f}/s{faster}, {run.p50:.1f} / {run.p99:.1f} ms, {run.cpu:.0f} µs{cheaper}")
        lines.append(f"| {scenario} | " + " | ".join(cells) + " |")
    lines.append(
        "| resident, started / after the load, MiB | " + " | ".join(memory(resident[name]) for name in names) + " |"
    )
    lines.append("| cold start, s | " + " | ".join(f"{server.cold_start_seconds:.1f}" for server in servers) + " |")
    return "\n".join(lines)


def memory(kib: tuple[int, int]) -> str:
    return " / ".join(f"{value / 1024:.0f}" for value in kib)


def surroundings(peer: Peer) -> dict[str, str]:
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    names = ("mcp-core", "granian", "authlib", "joserfc", "sqlalchemy", "pymysql", "cryptography")
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "node": node,
        "oidc-provider": peer.version,
        **{name: version(name) for name in names},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--database", action="append", choices=["sqlite", "mariadb"], help="default: both")
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="default: all")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--node-folder", type=Path, help="where oidc-provider is, or is put; default: a temporary one")
    asked = parser.parse_args()
    scenarios = asked.only or list(SCENARIOS)
    chains = (asked.rounds + 1) * CHAINS_OF_A_RUN + 1
    try:
        check_programs()
        with tempfile.TemporaryDirectory(prefix="mcp-core-bench-") as name:
            folder = Path(name)
            node_folder = (asked.node_folder or folder / "node").absolute()
            databases = asked.database or ["sqlite", "mariadb"]
            with running(folder, node_folder, databases, core=SERVER_CORE, chains=chains) as servers:
                report(asked, folder, servers, scenarios)
    except NotHere as missing:
        sys.exit(str(missing))


def report(asked: argparse.Namespace, folder: Path, servers: list[Measured], scenarios: list[str]) -> None:
    load, fresh = os.getloadavg()[0], {server.name: server.resident_kib() for server in servers}
    for server in servers:
        check_answers(server)
    for scenario in scenarios:
        for server in servers:
            measure(server, scenario, WARM_UP_SECONDS, folder)
    runs: list[Run] = []
    for number in range(asked.rounds):
        for scenario in scenarios:
            for server in servers:
                time.sleep(0.2)
                runs.append(measure(server, scenario, asked.seconds, folder))
                print(
                    f"round {number + 1}  {server.name:20} {scenario:28} {runs[-1].rate:10,.0f}/s {runs[-1].cpu:6.0f} µs",
                    file=sys.stderr,
                )
    resident = {server.name: (fresh[server.name], server.resident_kib()) for server in servers}
    peer = servers[0]
    assert isinstance(peer, Peer)
    found = surroundings(peer)
    print(", ".join(f"{name} {value}" for name, value in found.items()))
    if load > BUSY:
        print(f"The machine was busy (load average {load:.1f}): believe the processor times, not the rates.")
    print(
        "Each cell: answers a second (ratio), p50 / p99, processor time of an answer (ratio). A ratio above 1 is ours."
    )
    print()
    print(table(runs, servers, resident))
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "versions": found,
        "load_average": load,
        "runs": [asdict(run) for run in runs],
        "resident_kib": resident,
        "cold_start_seconds": {server.name: server.cold_start_seconds for server in servers},
    }
    asked.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
