"""The provider's public keys: fetched when needed, kept for a while, and longer when the provider does not answer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from joserfc.jwk import ECKey, OKPKey, RSAKey

from mcp_core_verifier.discovery import Discovery
from mcp_core_verifier.errors import InvalidToken, Unavailable
from mcp_core_verifier.http import FetchFailed, Http
from mcp_core_verifier.waiting import Steps

log = logging.getLogger("mcp_core_verifier")

MAX_KEYS = 32
RSA_BITS = range(2048, 8193)
_EARLY = 0.8  # a busy service fetches before the copy is old, so that no request waits


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that may verify tokens. The key decides the ``algorithm``, never a token's header (RFC 8725 §3.1)."""

    kid: str
    algorithm: str
    key: RSAKey | ECKey | OKPKey


def read_keys(document: Mapping[str, Any]) -> dict[str, PublicKey]:
    """The usable keys of a JSON Web Key Set by ``kid``. Others are left out (RFC 7517 §5). Raises ``FetchFailed``."""
    entries = document.get("keys")
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise FetchFailed("the key set is malformed or too large")
    found: dict[str, PublicKey] = {}
    for entry in entries:
        key = _read_key(entry) if isinstance(entry, dict) else None
        if key is not None:
            found.setdefault(key.kid, key)
    if not found:
        raise FetchFailed("the key set has no usable key")
    return found


def _read_key(entry: dict[str, Any]) -> PublicKey | None:
    kid = entry.get("kid")
    if not isinstance(kid, str) or not kid or entry.get("use", "sig") != "sig":
        return None
    try:
        match entry:
            case {"kty": "RSA", "n": str(n), "e": str(e)}:
                rsa = RSAKey.import_key({"kty": "RSA", "n": n, "e": e})
                known = PublicKey(kid, "RS256", rsa) if rsa.public_key.key_size in RSA_BITS else None
            case {"kty": "EC", "crv": "P-256", "x": str(x), "y": str(y)}:
                known = PublicKey(kid, "ES256", ECKey.import_key({"kty": "EC", "crv": "P-256", "x": x, "y": y}))
            case {"kty": "OKP", "crv": "Ed25519", "x": str(x)}:
                known = PublicKey(kid, "EdDSA", OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": x}))
            case _:
                return None
        if known is not None:
            _ = known.key.public_key  # parses the numbers, which import_key puts off
    except Exception:  # strange numbers, and joserfc's own doubts about a key
        return None
    return known if known is not None and entry.get("alg", known.algorithm) == known.algorithm else None


@dataclass(frozen=True, slots=True)
class _State:
    """What is known. Times are those of the monotonic clock. ``failed_at`` is None once a fetch succeeded again."""

    keys: Mapping[str, PublicKey] = field(default_factory=dict)
    fetched_at: float | None = None
    failed_at: float | None = None


class Keys:
    """A copy of the key set.

    It is fresh for ``cache_seconds``, and good for up to ``stale_seconds`` while the provider does not answer. A ``kid``
    that it lacks is looked for at the provider, at most once in ``refetch_seconds`` however many such tokens come. There is
    never more than one fetch at a time, and after a failed one no other for ``refetch_seconds``.
    """

    def __init__(
        self,
        http: Http,
        discovery: Discovery,
        *,
        cache_seconds: float,
        stale_seconds: float,
        refetch_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._http = http
        self._discovery = discovery
        self._cache_seconds = cache_seconds
        self._stale_seconds = max(stale_seconds, cache_seconds)
        self._refetch_seconds = refetch_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._state = _State()
        self._flight: Future[None] | None = None
        self._looked_for_kid_at: float | None = None

    def find(self, kid: str) -> Steps[PublicKey]:
        """The key with this id. Raises ``InvalidToken`` or ``Unavailable``."""
        state = self._state
        if kid in state.keys and self._age(state) < self._cache_seconds * _EARLY:
            return state.keys[kid]
        flight = self._decide(kid)
        if flight is not None:
            yield flight
        return self._known(kid)

    def _known(self, kid: str) -> PublicKey:
        state = self._state
        is_usable = self._age(state) < self._stale_seconds
        if is_usable and kid in state.keys:
            return state.keys[kid]
        if state.failed_at is not None or not is_usable:
            raise Unavailable("the keys cannot be fetched", retry_after_seconds=max(1, round(self._refetch_seconds)))
        raise InvalidToken("no key has the token's kid")

    def _age(self, state: _State) -> float:
        return float("inf") if state.fetched_at is None else self._clock() - state.fetched_at

    def _decide(self, kid: str) -> Future[None] | None:
        """The fetch that this caller has to wait for, started if need be. None: what is known has to do."""
        with self._lock:
            state, now = self._state, self._clock()
            age = self._age(state)
            may_fetch = state.failed_at is None or now - state.failed_at >= self._refetch_seconds
            flight = self._flight if self._flight is not None and not self._flight.done() else None
            if kid in state.keys and age < self._stale_seconds:
                if flight is None and may_fetch and age >= self._cache_seconds * _EARLY:
                    flight = self._start()
                # Nobody waits for a provider that did not answer last time.
                return flight if age >= self._cache_seconds and state.failed_at is None else None
            if flight is None and age < self._cache_seconds:
                last = self._looked_for_kid_at
                if last is not None and now - last < self._refetch_seconds:
                    return None
                self._looked_for_kid_at = now
            return flight or (self._start() if may_fetch else None)

    def _start(self) -> Future[None]:
        self._flight = self._http.submit(self._fetch)
        return self._flight

    async def _fetch(self) -> None:
        try:
            url = await self._discovery.endpoint("jwks_uri")
            keys = read_keys(await self._http.get_json(url))
        except Exception as error:  # whatever it was, those who wait must learn that it failed
            log.warning("the keys could not be fetched: %s", error)
            self._discovery.forget()
            with self._lock:
                self._state = replace(self._state, failed_at=self._clock())
        else:
            with self._lock:
                self._state = _State(MappingProxyType(keys), self._clock(), None)
