"""The public keys of clients: as registered, or from their ``jwks_uri``, fetched with bounds and kept for a while."""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from database.transaction import Transaction
from provider.clients.detail_rules import jwks_problem
from provider.protocol.client import Client
from provider.protocol.errors import OAuthError
from provider.security.exchange import FetchFailed
from provider.security.outbound import Outbound, TooBusy

log = logging.getLogger("mcp_core.client_keys")

PublicKey = RSAKey | ECKey | OKPKey
MAX_BYTES = 65_536
MAX_KEYS = 100
MAX_EXPONENT_BITS = 64
KEPT_SECONDS, LEAST_KEPT_SECONDS, MOST_KEPT_SECONDS = 300, 30, 3600
AGAIN_SECONDS = 10
OLD_SECONDS = 600
REMEMBERED = 1024
_TYPES = ("application/json", "application/jwk-set+json")
_KINDS = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
_CURVES = {"ES256": "P-256", "EdDSA": "Ed25519"}


@dataclass(frozen=True, slots=True)
class _Kept:
    """``until`` and ``asked_at`` are values of the monotonic clock, in seconds."""

    keys: tuple[PublicKey, ...]
    asked_at: float
    until: float


class ClientKeys:
    """Finds the keys that a client may sign with.

    A ``jwks_uri`` is asked when nothing is known of it, when what is known is old, and when none of the known keys has
    signed, which is how a client's new key is found; but never twice within ten seconds, whoever asks.
    """

    def __init__(self, outbound: Outbound, clock: Callable[[], float] = time.monotonic) -> None:
        self._outbound = outbound
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._locks: OrderedDict[str, threading.Lock] = OrderedDict()
        self._lock = threading.Lock()

    def find(
        self, tx: Transaction, client: Client, algorithm: str, kid: str | None, *, again: bool = False
    ) -> Sequence[PublicKey]:
        """The client's keys for ``algorithm``: that of ``kid``, or all that fit when the signer names none.

        ``again`` is for when those are not the ones: what has been read since, or nothing. Commits the transaction before
        it fetches. What cannot be fetched gives no key. Raises ``temporarily_unavailable`` when it is no turn to ask; what
        is known already does for ten minutes longer then.
        """
        if client.details.jwks is not None:
            return () if again else _fitting(_parse(client.details.jwks), algorithm, kid)
        uri = client.details.jwks_uri
        return () if uri is None else _fitting(self._keys(tx, uri, again=again), algorithm, kid)

    def _keys(self, tx: Transaction, uri: str, *, again: bool) -> tuple[PublicKey, ...]:
        kept = self._known(uri)
        if kept is not None and self._clock() < (kept.asked_at + AGAIN_SECONDS if again else kept.until):
            return () if again else kept.keys
        tx.commit()
        try:
            with self._outbound.turn(), self._lock_of(uri):
                known = self._known(uri)
                if known is None or known is kept:
                    known = self._read(uri, kept)
                return known.keys  # who waited here finds what the first one has read
        except TooBusy:
            if again or kept is None or not kept.keys or self._clock() >= kept.until + OLD_SECONDS:
                raise OAuthError.temporarily_unavailable() from None
            return kept.keys

    def _known(self, uri: str) -> _Kept | None:
        with self._lock:
            return self._kept.get(uri)

    def _read(self, uri: str, kept: _Kept | None) -> _Kept:
        """Asks, and remembers the answer. A failure changes nothing about keys whose time is not over."""
        now = self._clock()
        try:
            fetched = self._outbound.get(uri, content_types=_TYPES, max_bytes=MAX_BYTES)
            seconds = KEPT_SECONDS if fetched.max_age_seconds is None else fetched.max_age_seconds
            seconds = max(LEAST_KEPT_SECONDS, min(seconds, MOST_KEPT_SECONDS))
            read = _Kept(_parse(fetched.json()), now, now + seconds)
        except FetchFailed as error:
            log.info("a client's keys were not read: %s", error)
            is_good = kept is not None and now < kept.until
            read = _Kept(kept.keys, now, kept.until) if kept and is_good else _Kept((), now, now + AGAIN_SECONDS)
        with self._lock:
            self._kept[uri] = read
            self._kept.move_to_end(uri)
            while len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)
        return read

    def _lock_of(self, uri: str) -> threading.Lock:
        with self._lock:
            found = self._locks.setdefault(uri, threading.Lock())
            self._locks.move_to_end(uri)
            while len(self._locks) > REMEMBERED:
                self._locks.popitem(last=False)
            return found


def _parse(jwks: object) -> tuple[PublicKey, ...]:
    """The usable keys of a set (RFC 7517 §5). One that is unknown, broken, private or for encryption is left out."""
    items = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(items, list):
        return ()
    keys = [_parse_one(item) for item in items[:MAX_KEYS] if jwks_problem({"keys": [item]}) is None]
    return tuple(key for key in keys if key is not None)


def _parse_one(item: Mapping[str, Any]) -> PublicKey | None:
    if item.get("use", "sig") != "sig":
        return None
    try:
        if item["kty"] == "RSA" and (not 2048 <= _bits(item["n"]) <= 8192 or _bits(item["e"]) > MAX_EXPONENT_BITS):
            return None
        key = JWKRegistry.import_key(dict(item))
    except (JoseError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, OverflowError):
        return None
    return key if isinstance(key, (RSAKey, ECKey, OKPKey)) else None


def _bits(number: str) -> int:
    """Looked at first: the library warns of small keys, and takes long over large ones. A large exponent makes each
    signature as costly as one that we make, and whoever sends one pays nothing."""
    return int.from_bytes(base64.urlsafe_b64decode(number + "=" * (-len(number) % 4))).bit_length()


def _fitting(keys: Sequence[PublicKey], algorithm: str, kid: str | None) -> Sequence[PublicKey]:
    def fits(key: PublicKey) -> bool:
        said = key.as_dict()
        is_kind = said["kty"] == _KINDS.get(algorithm) and said.get("crv") == _CURVES.get(algorithm)
        is_for_it = said.get("alg") in (None, algorithm) or (algorithm == "EdDSA" and said.get("alg") == "Ed25519")
        return is_kind and is_for_it and (kid is None or said.get("kid") == kid)

    return [key for key in keys if fits(key)]
