"""Which servers there are, and what of them and of the workloads a command line means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import workloads
from bench.servers.authlib import Authlib
from bench.servers.dex import Dex
from bench.servers.hydra import Hydra
from bench.servers.keycloak import Keycloak
from bench.servers.measured import Measured
from bench.servers.oidc_provider import OidcProvider
from bench.servers.ours import DATABASES, Ours
from bench.workloads import Workload

GROWTH = "growth"
Make = Callable[[Path, Sequence[int]], Measured]
SERVERS: dict[str, Make] = {
    **{kind: partial(Ours, kind=kind) for kind in DATABASES},
    **{f"{kind}-2": partial(Ours, kind=kind, workers=2) for kind in DATABASES},
    "oidc-provider": partial(OidcProvider, records="memory"),
    "oidc-provider-sqlite": partial(OidcProvider, records="sqlite"),
    "authlib": Authlib,
    "keycloak": Keycloak,
    "hydra": Hydra,
    "dex": Dex,
}


class UnknownName(Exception):
    """Neither a server nor a workload. The text names all of them."""


@dataclass(frozen=True)
class Chosen:
    servers: dict[str, Make]
    workloads: list[Workload]
    growth: bool


def choose(names: Sequence[str]) -> Chosen:
    """What ``--only`` means: servers of those names, or all where none is named; workloads likewise.

    Growth is measured where it is named, or nothing is. Raises ``UnknownName``.
    """
    by_key = {each.key: each for each in workloads.ALL}
    unknown = [name for name in names if name not in SERVERS and name not in by_key and name != GROWTH]
    if unknown:
        raise UnknownName(
            f"Not known: {', '.join(unknown)}.\nServers: {', '.join(SERVERS)}.\n"
            f"Workloads: {', '.join(by_key)}. And {GROWTH}."
        )
    if list(names) == [GROWTH]:
        return Chosen({}, [], growth=True)
    servers = {name: make for name, make in SERVERS.items() if name in names}
    asked = [each for each in workloads.ALL if each.key in names]
    return Chosen(servers or SERVERS, asked or list(workloads.ALL), growth=not names or GROWTH in names)
