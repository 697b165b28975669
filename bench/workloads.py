"""What the servers are asked for. Each workload prepares itself, unmeasured, and returns the run that is measured."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from bench.load import CONNECTIONS, Load, Seen, run
from bench.servers.measured import Ask, Client, Measured
from bench.sign_ins import sign_ins
from bench.visits import Visitor, authorization_url, basic, redemption_form, token_for

CHAINS = 4 * CONNECTIONS
TOKENS = 2 * CONNECTIONS
MOST_CLIENTS = 100_000  # more make no difference to a run of seconds

Run = Callable[[], Seen]


@dataclass(frozen=True)
class Desk:
    """Where a run is prepared: a folder for its files, the core that asks, and for how long. ``rate`` None: all it can."""

    folder: Path
    core: int
    seconds: float
    rate: float | None = None

    def run(self, load: Load) -> Seen:
        return run(load, self.seconds, self.folder, core=self.core, rate=self.rate)

    def file(self, name: str, lines: Sequence[str]) -> str:
        path = self.folder / name
        path.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
        return str(path)


@dataclass(frozen=True)
class Workload:
    """``key`` names it on the command line. ``paced``: not all that the server can, but a share of it."""

    key: str
    name: str
    prepare: Callable[[Measured, Desk], Run]
    paced: float | None = None


def _credentials(algorithm: str, *, among_all: bool) -> Callable[[Measured, Desk], Run]:
    def prepare(server: Measured, desk: Desk) -> Run:
        ask = server.machine(algorithm)
        clients: Sequence[Client] = [ask.client]
        if among_all:
            clients = server.machines(algorithm)
            clients = random.sample(clients, min(len(clients), MOST_CLIENTS))
        basics = desk.file("basics", [str(basic(client)) for client in clients])
        environment = {"FORM": urlencode(ask.form), "BASICS": basics, **_expected(ask)}
        load = Load("credentials", server.address("token_endpoint"), environment)
        return lambda: desk.run(load)

    return prepare


def _refresh(server: Measured, desk: Desk) -> Run:
    visitor, chains = Visitor(server, server.people()[0]), []
    for _, name in zip(range(CHAINS), itertools.cycle(server.people()), strict=False):
        if not server.has_chains_in_a_session:
            visitor = Visitor(server, name)
        chains.append(visitor.tokens(server.app_scope, server.app_resource)["refresh_token"])
    form = {"grant_type": "refresh_token"} | ({} if server.app.secret else {"client_id": server.app.id})
    environment = {"TOKENS": desk.file("tokens", chains), "FORM": urlencode(form), **_expected_of_app(server)}
    if not server.refreshes_id_token:
        environment["ID_ALG"] = ""
    load = Load("refresh", server.address("token_endpoint"), environment)
    return lambda: desk.run(load)


def _authorize(server: Measured, desk: Desk) -> Run:
    visitor = Visitor(server, server.people()[0])
    visitor.code("openid", server.app_resource)
    url = authorization_url(server, "openid", server.app_resource)
    load = Load("authorize", url, {"COOKIE": visitor.cookies()})
    return lambda: desk.run(load)


def _redeem(server: Measured, desk: Desk) -> Run:
    if server.has_sessions:
        codes = _authorize(server, desk)().kept.split()
    else:
        visitor = Visitor(server, server.people()[0])
        codes = [visitor.code("openid", server.app_resource) for _ in range(CHAINS)]
    form = urlencode(redemption_form(server, server.app_resource))
    environment = {"CODES": desk.file("codes", codes), "FORM": form, **_expected_of_app(server)}
    load = Load("redeem", server.address("token_endpoint"), environment)
    return lambda: desk.run(load)


def _introspect(server: Measured, desk: Desk) -> Run:
    ask = server.introspected()
    if ask is None:
        visitor, client = Visitor(server, server.people()[0]), server.app
        tokens = [visitor.tokens("openid", server.app_resource)["access_token"] for _ in range(TOKENS)]
    else:
        client = ask.client
        tokens = [token_for(server, ask)["access_token"] for _ in range(TOKENS)]
    environment = {
        "TOKENS": desk.file("tokens", tokens),
        "BASIC": str(basic(client)),
        "FORM": "token_type_hint=access_token&",
        "FIELDS": "client_id exp",
    }
    load = Load("introspect", server.address("introspection_endpoint"), environment)
    return lambda: desk.run(load)


def _userinfo(server: Measured, desk: Desk) -> Run:
    visitor = Visitor(server, server.people()[0])
    tokens = [visitor.tokens("openid", None)["access_token"] for _ in range(TOKENS)]
    load = Load("userinfo", server.address("userinfo_endpoint"), {"TOKENS": desk.file("tokens", tokens)})
    return lambda: desk.run(load)


def _discovery(server: Measured, desk: Desk) -> Run:
    fields = "issuer authorization_endpoint token_endpoint jwks_uri"
    return lambda: desk.run(Load("get", server.discovery_url, {"FIELDS": fields}))


def _jwks(server: Measured, desk: Desk) -> Run:
    load = Load("get", server.address("jwks_uri"), {"FIELDS": "keys kty kid n e"})
    return lambda: desk.run(load)


def _sign_in(server: Measured, desk: Desk) -> Run:
    return lambda: sign_ins(server, desk.seconds)


def _expected(ask: Ask) -> dict[str, str]:
    return {"ACCESS_ALG": ask.algorithm or "", "ACCESS_CLAIMS": " ".join(ask.claims)}


def _expected_of_app(server: Measured) -> dict[str, str]:
    secret = basic(server.app)
    expected = {"ACCESS_ALG": server.access_algorithm or "", "ID_ALG": server.id_algorithm or ""}
    return expected | {"ACCESS_CLAIMS": "iss sub exp iat"} | ({"BASIC": secret} if secret else {})


ALL = (
    Workload("es256", "client credentials, ES256", _credentials("ES256", among_all=False)),
    Workload("es256-random", "client credentials, ES256, a random client", _credentials("ES256", among_all=True)),
    Workload(
        "es256-paced",
        "client credentials, ES256, at 70 % of the top rate",
        _credentials("ES256", among_all=False),
        paced=0.7,
    ),
    Workload("rs256", "client credentials, RS256", _credentials("RS256", among_all=False)),
    Workload("refresh", "refresh with rotation, ID token", _refresh),
    Workload("authorize", "authorization of who is signed in", _authorize),
    Workload("code", "code redemption, ID token", _redeem),
    Workload("introspection", "introspection", _introspect),
    Workload("userinfo", "userinfo", _userinfo),
    Workload("discovery", "discovery", _discovery),
    Workload("jwks", "JWKS", _jwks),
    Workload("sign-in", "a whole sign-in, password to tokens", _sign_in),
)
