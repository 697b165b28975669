"""What an answer costs among a thousand, a hundred thousand and a million clients, people, grants and tokens. Ours alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench import workloads
from bench.rounds import Plan, Results, measure, running
from bench.servers.ours import Ours, Size
from bench.surroundings import Others
from bench.table import growth

DATABASES = ("sqlite", "mariadb")
WORKLOADS = ("es256", "es256-random", "refresh", "code", "introspection", "userinfo")


@dataclass
class Growth:
    results: Results = field(default_factory=Results)
    sizes: dict[str, list[str]] = field(default_factory=dict)

    def measure(self, sizes: Sequence[int], plan: Plan, folder: Path) -> None:
        """All sizes run at once and take turns, so that they compare."""
        makers = {}
        for kind in DATABASES:
            for rows in sorted(sizes):
                makers[f"{kind}, {rows}"] = partial(Ours, kind=kind, size=Size(rows=rows))
        with running(makers, folder, plan, self.results) as servers:
            others = Others(sum(server.cpu_seconds() for server in servers))
            measure(servers, self._workloads(), plan, folder, self.results)
            self.results.load = others.share(sum(server.cpu_seconds() for server in servers))
        for kind in DATABASES:
            self.sizes[kind] = [key for key in self.results.starts if key.startswith(f"{kind},")]

    def markdown(self) -> str:
        head = (
            "Growth: processor time of an answer in µs, by how many clients, people, grants and tokens there are; in "
        )
        head += "brackets, how many times that with the fewest."
        notes = [f"- {name} is left out: {why}" for name, why in self.results.absent.items()]
        notes += [f"- {server}, {key}: {why}" for (server, key), why in self.results.broken.items()]
        sizes = {kind: servers for kind, servers in self.sizes.items() if servers}
        return "\n\n".join(
            [head, growth(self.results, self._workloads(), sizes), *(["\n".join(notes)] if notes else [])]
        )

    def _workloads(self) -> list[workloads.Workload]:
        return [each for each in workloads.ALL if each.key in WORKLOADS]
