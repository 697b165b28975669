"""The public keys of clients: as registered, or from their ``jwks_uri``, fetched with bounds and kept for a while."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from database.transaction import Transaction
from provider.clients.detail_rules import jwks_problem
from provider.clients.standing import requester_of
from provider.protocol.client import Client
from provider.protocol.errors import OAuthError
from provider.security.exchange import FetchFailed, Unavailable
from provider.security.outbound import Outbound, Turn
from provider.security.turns import Requester

log = logging.getLogger("mcp_core.client_keys")

PublicKey = RSAKey | ECKey | OKPKey
MAX_BYTES = 65_536
MAX_KEYS = 20
# Of keys that may have signed, when the signer names none: each one costs a check of the signature.
MAX_TRIED = 10
KEPT_SECONDS, LEAST_KEPT_SECONDS, MOST_KEPT_SECONDS = 300, 30, 3600
AGAIN_SECONDS = 10
OLD_SECONDS = 600
REMEMBERED = 1024
_TYPES = ("application/json", "application/jwk-set+json")
_KINDS = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
_CURVES = {"ES256": "P-256", "EdDSA": "Ed25519"}


@dataclass(frozen=True, slots=True)
class _Kept:
    """``until`` and ``read_at`` are values of the monotonic clock, in seconds."""

    keys: tuple[PublicKey, ...]
    read_at: float
    until: float


class ClientKeys:
    """Finds the keys that a client may sign with.

    A ``jwks_uri`` is asked when nothing is known of it, when what is known is old, and when none of the known keys has
    signed, which is how a client's new key is found; but not within ten seconds after it has answered, whoever asks.
    """

    def __init__(self, outbound: Outbound, clock: Callable[[], float] = time.monotonic) -> None:
        self._outbound = outbound
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def find(
        self, tx: Transaction, client: Client, algorithm: str, kid: str | None, *, source: str, again: bool = False
    ) -> Sequence[PublicKey]:
        """The client's keys for ``algorithm``: that of ``kid``, or all that fit when the signer names none.

        ``source`` is the network that asks. ``again`` is for when those are not the ones: what has been read since, or
        nothing. Commits the transaction before it fetches. What is there but is no set of keys gives none. Raises
        ``temporarily_unavailable`` when nobody answers; what is known already does for ten minutes longer then.
        """
        if client.details.jwks is not None:
            return () if again else _registered(client.details.jwks, algorithm, kid)
        uri = client.details.jwks_uri
        if uri is None:
            return ()
        return _fitting(self._keys(tx, uri, requester_of(client, source), again=again), algorithm, kid)

    def _keys(self, tx: Transaction, uri: str, requester: Requester, *, again: bool) -> tuple[PublicKey, ...]:
        kept = self._known(uri)
        now = self._clock()
        if kept is not None and now < (kept.read_at + AGAIN_SECONDS if again else kept.until):
            return () if again else kept.keys
        old = kept.keys if kept is not None and not again and now < kept.until + OLD_SECONDS else ()
        tx.commit()
        try:
            with self._outbound.turn(uri, requester, _TYPES, is_patient=not old) as turn:
                known = self._known(uri)
                if known is None or known is kept:
                    known = self._read(uri, turn)
                return known.keys  # who waited here finds what the first one has read
        except FetchFailed as error:
            log.info("a client's keys were not read: %s", error)
            if isinstance(error, Unavailable):
                if not old:
                    raise OAuthError.temporarily_unavailable() from None
                return old
            if kept is None or now >= kept.until:
                self._keep(uri, _Kept((), now, now))  # so that what is old does not come back while it pauses
            return ()

    def _known(self, uri: str) -> _Kept | None:
        with self._lock:
            return self._kept.get(uri)

    def _read(self, uri: str, turn: Turn) -> _Kept:
        """Asks, and remembers the answer; of a failure nothing. Raises ``FetchFailed``, ``Unavailable``."""
        now = self._clock()
        fetched = turn.get(uri, _TYPES, max_bytes=MAX_BYTES)
        try:
            keys = _parse(_public_items(fetched.json()))
        except FetchFailed:
            turn.reject()
            raise
        seconds = KEPT_SECONDS if fetched.max_age_seconds is None else fetched.max_age_seconds
        read = _Kept(keys, now, now + max(LEAST_KEPT_SECONDS, min(seconds, MOST_KEPT_SECONDS)))
        self._keep(uri, read)
        return read

    def _keep(self, uri: str, read: _Kept) -> None:
        with self._lock:
            self._kept[uri] = read
            self._kept.move_to_end(uri)
            while len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)


def _registered(jwks: Mapping[str, Any], algorithm: str, kid: str | None) -> Sequence[PublicKey]:
    """What of a client's own set can be tried. The others are not read: that costs more than to check a signature."""
    return _parse([item for item in _public_items(jwks) if _fits(item, algorithm, kid)][:MAX_TRIED])


def _public_items(jwks: object) -> list[Mapping[str, Any]]:
    """The keys of a set that are public ones of a kind and size that we use (RFC 7517 §5)."""
    items = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(items, list):
        return []
    return [item for item in items[:MAX_KEYS] if jwks_problem({"keys": [item]}) is None]


def _parse(items: Iterable[Mapping[str, Any]]) -> tuple[PublicKey, ...]:
    """Those that can be used. One that is broken or for encryption is left out."""
    keys = [_parse_one(item) for item in items]
    return tuple(key for key in keys if key is not None)


def _parse_one(item: Mapping[str, Any]) -> PublicKey | None:
    if item.get("use", "sig") != "sig":
        return None
    try:
        key = JWKRegistry.import_key(dict(item))
    except (JoseError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, OverflowError):
        return None
    return key if isinstance(key, (RSAKey, ECKey, OKPKey)) else None


def _fits(said: Mapping[str, Any], algorithm: str, kid: str | None) -> bool:
    is_kind = said["kty"] == _KINDS.get(algorithm) and said.get("crv") == _CURVES.get(algorithm)
    is_for_it = said.get("alg") in (None, algorithm) or (algorithm == "EdDSA" and said.get("alg") == "Ed25519")
    return is_kind and is_for_it and (kid is None or said.get("kid") == kid)


def _fitting(keys: Sequence[PublicKey], algorithm: str, kid: str | None) -> Sequence[PublicKey]:
    return [key for key in keys if _fits(key.as_dict(), algorithm, kid)][:MAX_TRIED]
