"""The public keys of clients: as registered, or from their ``jwks_uri``, fetched with bounds and kept for a while."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from database.transaction import Transaction
from provider.clients.detail_rules import jwks_problem
from provider.protocol.client import Client
from provider.security.exchange import FetchFailed
from provider.security.outbound import Outbound

log = logging.getLogger("mcp_core.client_keys")

PublicKey = RSAKey | ECKey | OKPKey
MAX_BYTES = 65_536
KEPT_SECONDS, LEAST_KEPT_SECONDS, MOST_KEPT_SECONDS = 300, 30, 3600
AGAIN_SECONDS = 10
REMEMBERED = 1024
_KINDS = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
_CURVES = {"ES256": "P-256", "EdDSA": "Ed25519"}


@dataclass(frozen=True, slots=True)
class _Kept:
    """``until`` and ``fetched_at`` are values of the monotonic clock, in seconds."""

    keys: tuple[PublicKey, ...]
    fetched_at: float
    until: float


class ClientKeys:
    """Finds the keys that a client may sign with. A key id that is not known fetches again, at most every ten seconds."""

    def __init__(self, outbound: Outbound, clock: Callable[[], float] = time.monotonic) -> None:
        self._outbound = outbound
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, tx: Transaction, client: Client, algorithm: str, kid: str | None) -> Sequence[PublicKey]:
        """The client's keys for ``algorithm``: that of ``kid``, or all that fit when the signer names none.

        Commits the transaction before it fetches. What cannot be fetched gives no key.
        """
        if client.details.jwks is not None:
            return _fitting(_parse(client.details.jwks), algorithm, kid)
        uri = client.details.jwks_uri
        if uri is None:
            return ()
        found = _fitting(self._keys(tx, uri, again=False), algorithm, kid)
        return found or _fitting(self._keys(tx, uri, again=True), algorithm, kid)

    def _keys(self, tx: Transaction, uri: str, *, again: bool) -> tuple[PublicKey, ...]:
        now = self._clock()
        with self._lock:
            kept = self._kept.get(uri)
        if kept is not None and now < (kept.fetched_at + AGAIN_SECONDS if again else kept.until):
            return kept.keys
        tx.commit()
        keys, seconds = self._fetch(uri)
        with self._lock:
            self._kept[uri] = _Kept(keys, now, now + seconds)
            self._kept.move_to_end(uri)
            while len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)
        return keys

    def _fetch(self, uri: str) -> tuple[tuple[PublicKey, ...], float]:
        """The keys and how long they count. A failure is remembered for the shortest time, without keys."""
        try:
            types = ("application/json", "application/jwk-set+json")
            fetched = self._outbound.get(uri, content_types=types, max_bytes=MAX_BYTES)
            keys = _parse(fetched.json())
        except FetchFailed as error:
            log.info("a client's keys were not read: %s", error)
            return (), AGAIN_SECONDS
        seconds = KEPT_SECONDS if fetched.max_age_seconds is None else fetched.max_age_seconds
        return keys, max(LEAST_KEPT_SECONDS, min(seconds, MOST_KEPT_SECONDS))


def _parse(jwks: object) -> tuple[PublicKey, ...]:
    """The usable keys of a set. One that is broken, private or for encryption is left out."""
    if not isinstance(jwks, Mapping) or jwks_problem(jwks) is not None:
        return ()
    keys = [_parse_one(item) for item in jwks["keys"] if item.get("use", "sig") == "sig"]
    return tuple(key for key in keys if key is not None)


def _parse_one(item: Mapping[str, Any]) -> PublicKey | None:
    try:
        key = JWKRegistry.import_key(dict(item))
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key, RSAKey) and not 2048 <= key.public_key.key_size <= 8192:
        return None
    return key if isinstance(key, (RSAKey, ECKey, OKPKey)) else None


def _fitting(keys: Sequence[PublicKey], algorithm: str, kid: str | None) -> Sequence[PublicKey]:
    def fits(key: PublicKey) -> bool:
        said = key.as_dict()
        is_kind = said["kty"] == _KINDS.get(algorithm) and said.get("crv") == _CURVES.get(algorithm)
        is_for_it = said.get("alg") in (None, algorithm) or (algorithm == "EdDSA" and said.get("alg") == "Ed25519")
        return is_kind and is_for_it and (kid is None or said.get("kid") == kid)

    return [key for key in keys if fits(key)]
