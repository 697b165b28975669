"""The last answer of a run, looked at closely: whether the tokens in it are signed by the keys that the server publishes."""

from __future__ import annotations

import json

import requests
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from bench.load import BrokenRun
from bench.servers.measured import Measured

ALGORITHMS = ["RS256", "ES256"]


def check(server: Measured, answer: str) -> None:
    """Raises ``BrokenRun`` for a signature that is not the server's. What holds no JWT was looked at by its script."""
    found = json.loads(answer) if answer.startswith("{") else {}
    tokens = [found[name] for name in ("access_token", "id_token") if str(found.get(name, "")).count(".") == 2]
    if not tokens or not server.publishes_keys:
        return
    keys = KeySet.import_key_set(requests.get(server.address("jwks_uri"), timeout=10).json())
    for token in tokens:
        if not any(_verifies(token, key) for key in keys):
            raise BrokenRun(f"{server.name} publishes no key that its token is signed by")


def _verifies(token: str, key: Key) -> bool:
    try:
        jws.deserialize_compact(token, key, algorithms=ALGORITHMS)
    except (JoseError, ValueError):
        return False
    return True
