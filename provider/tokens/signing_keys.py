"""The keys that sign tokens: stored encrypted, parsed once, rotated with overlap.

A key has no state column. What it is at a moment (next, active, retiring, revoked) follows from its times, so every worker
comes to the same answer from the same rows.
"""

from __future__ import annotations

import datetime
import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.jwk import KeySet
from sqlalchemy import delete, insert, select, update

from database.faults import OUT_OF_REACH
from database.models import SigningKey as KeyRow
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring
from provider.security.sealed_columns import SIGNING_KEY
from provider.tokens.compact import CompactSigner
from provider.tokens.jwks_document import JwksDocument
from provider.tokens.key_pairs import AsymmetricKey, generate_key, import_key, key_id

log = logging.getLogger("mcp_core.keys")

RELOAD_SECONDS = 30
RELOAD_WAIT_SECONDS = 1
RETRY_SECONDS = 5
KNOWN_SECONDS = 3600
SETTLE_SECONDS = RELOAD_SECONDS + 5  # by then every worker shows a new key, also one that reads while it is written
KEPT = datetime.timedelta(days=1)  # how long a retired key is kept, for hints alone
_LONG_AGO = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_TABLE = KeyRow.__table__
_ALL = select(_TABLE).where(_TABLE.c.revoked_at.is_(None)).order_by(_TABLE.c.activates_at, _TABLE.c.kid)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key pair, parsed."""

    kid: str
    algorithm: str
    key: AsymmetricKey
    signer: CompactSigner
    public_jwk: Mapping[str, Any]
    created_at: datetime.datetime
    activates_at: datetime.datetime
    retires_at: datetime.datetime | None

    def state(self, now: datetime.datetime) -> str:
        if now < self.activates_at:
            return "next"
        if self.retires_at is None:
            return "active"
        return "retiring" if now < self.retires_at else "retired"


@dataclass(frozen=True)
class _Loaded:
    at: datetime.datetime
    keys: tuple[SigningKey, ...]


class SigningKeys:
    """Holds every private key of the process.

    ``publish_seconds`` is how long a new key is in the JWKS before it signs, ``retire_seconds`` how long an old one stays
    after it stopped: the longest life of what it signed.

    Keys are read again every ``RELOAD_SECONDS``. While that fails, or another thread is at it, the known ones go on by
    their own times, for ``KNOWN_SECONDS`` at most: for so long a process that is cut off from the database may show a key
    that was revoked meanwhile. It signs nothing by it, since a token is recorded in the database before it is signed.
    """

    def __init__(
        self,
        keyring: Keyring,
        audit: AuditRecorder,
        *,
        algorithms: tuple[str, ...],
        publish_seconds: int,
        retire_seconds: int,
    ) -> None:
        self._keyring = keyring
        self._audit = audit
        self.algorithms = algorithms
        self._publish = datetime.timedelta(seconds=publish_seconds)
        self._retire = datetime.timedelta(seconds=retire_seconds)
        self._loaded: _Loaded | None = None
        self._failed_at = _LONG_AGO
        self._parsed: dict[str, SigningKey] = {}
        self._document: tuple[tuple[str, ...], JwksDocument] | None = None
        self._lock = threading.Lock()
        self._renewing = threading.Lock()

    def ensure(self, tx: Transaction, now: datetime.datetime) -> list[str]:
        """Makes a key for each algorithm that has none, usable at once. Returns the new key ids.

        Two processes may both do so on the same new database; they agree on the one that signs (``current``), and the
        other one is never used.
        """
        begun = self._begun(tx, now)
        made = [self._create(tx, name, now, now) for name in self.algorithms if name not in begun]
        if made:
            origin = Origin.of_server(now)
            self._audit.record(tx, AuditEvent.KEYS_CREATED, origin, resource_type="signing_keys", kids=made)
            self._loaded = None
        return made

    def rotate(self, tx: Transaction, origin: Origin, *, immediately: bool = False, revoke: bool = False) -> list[str]:
        """A new key for each algorithm; the old ones retire once nothing they signed is valid any more.

        ``immediately`` is for a key that is known to others: the new ones sign as soon as every worker publishes them,
        and verifiers with an older copy of the JWKS fetch it again when they meet the new ``kid``. ``revoke`` ends the old
        keys as well, with all that they signed; the new ones sign at once. So does the first key of an algorithm.
        """
        begun = set() if revoke else self._begun(tx, origin.now)
        settled = datetime.timedelta(seconds=SETTLE_SECONDS)
        activates_at = origin.now + (min(settled, self._publish) if immediately else self._publish)
        replaced = update(KeyRow).where(_TABLE.c.revoked_at.is_(None))
        if revoke:
            replaced = replaced.values(retires_at=origin.now, revoked_at=origin.now)
        else:
            replaced = replaced.where(_TABLE.c.retires_at.is_(None) | (_TABLE.c.activates_at > origin.now)).values(
                retires_at=activates_at + self._retire
            )
        tx.execute(replaced)
        made = [
            self._create(tx, name, origin.now, activates_at if name in begun else origin.now)
            for name in self.algorithms
        ]
        self._audit.record(
            tx,
            AuditEvent.KEYS_ROTATED,
            origin,
            resource_type="signing_keys",
            kids=made,
            immediately=immediately,
            revoked=revoke,
        )
        self._loaded = None
        return made

    def current(self, tx: Transaction, algorithm: str, now: datetime.datetime) -> SigningKey:
        """The key that signs now: of those that have begun, the one that began last. Raises ``LookupError``.

        One that was replaced before it began signs only where nothing better has begun.
        """
        usable = [key for key in self._load(tx, now) if key.algorithm == algorithm and key.activates_at <= now]
        if not usable:
            raise LookupError(f"there is no signing key for {algorithm}")
        return max(usable, key=lambda key: (key.retires_at is None, key.activates_at, key.kid))

    def find(
        self, tx: Transaction, kid: str, now: datetime.datetime, *, may_be_retired: bool = False
    ) -> SigningKey | None:
        """A key whose signatures count now. A key id that is not known asks the database again, at most once a second.

        ``may_be_retired`` is for what counts after its time, and finds a key for a day longer.
        """
        for fresh in (False, True):
            if fresh and self._loaded is not None and _seconds(now, self._loaded.at) < 1:
                return None
            for key in self._load(tx, now, fresh=fresh, kept=KEPT if may_be_retired else None):
                if key.kid == kid:
                    return key
        return None

    def list(self, tx: Transaction, now: datetime.datetime) -> tuple[SigningKey, ...]:
        return self._load(tx, now, fresh=True)

    def verification_keys(self, tx: Transaction, now: datetime.datetime) -> KeySet:
        return KeySet([key.key for key in self._load(tx, now)])

    def jwks(self, tx: Transaction, now: datetime.datetime) -> JwksDocument:
        """The public keys: next, active and retiring ones. Goes on answering while the database is away."""
        keys = self._load(tx, now)
        kids = tuple(key.kid for key in keys)
        document = self._document
        if document is None or document[0] != kids:
            document = (kids, JwksDocument.of(key.public_jwk for key in keys))
            self._document = document
        return document[1]

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes keys a day after they retired."""
        over = select(_TABLE.c.kid).where(_TABLE.c.retires_at <= now - KEPT).limit(limit)
        kids = tx.execute(over).scalars().all()
        if kids:
            tx.execute(delete(KeyRow).where(_TABLE.c.kid.in_(kids)))
        return len(kids)

    def _begun(self, tx: Transaction, now: datetime.datetime) -> set[str]:
        """The algorithms that have a key which may sign."""
        return {key.algorithm for key in self._load(tx, now, fresh=True) if key.activates_at <= now}

    def _load(
        self,
        tx: Transaction,
        now: datetime.datetime,
        *,
        fresh: bool = False,
        kept: datetime.timedelta | None = None,
    ) -> tuple[SigningKey, ...]:
        """The keys that count now, or did ``kept`` ago."""
        loaded = self._loaded
        if loaded is None or fresh or _seconds(now, loaded.at) > KNOWN_SECONDS:
            loaded = self._read(tx, now)
        elif self._is_due(now, loaded):
            loaded = self._renewed(tx, now, loaded)
        moment = now if kept is None else now - kept
        return tuple(key for key in loaded.keys if key.retires_at is None or moment < key.retires_at)

    def _is_due(self, now: datetime.datetime, known: _Loaded) -> bool:
        return _seconds(now, known.at) >= RELOAD_SECONDS and _seconds(now, self._failed_at) >= RETRY_SECONDS

    def _renewed(self, tx: Transaction, now: datetime.datetime, known: _Loaded) -> _Loaded:
        """The keys read again. While another thread reads them, what is known goes on, unless it would break a promise."""
        was_open = tx.is_open
        reader = tx if was_open else tx.beside(RELOAD_WAIT_SECONDS)
        wait = 0 if _seconds(now, known.at) < SETTLE_SECONDS else RELOAD_WAIT_SECONDS
        if not self._renewing.acquire(timeout=wait):
            return known
        try:
            latest = self._loaded or known
            if not self._is_due(now, latest):  # another thread was at it
                return latest
            if was_open:
                return self._read(reader, now)
            with reader:
                return self._read(reader, now)
        except OUT_OF_REACH:
            if was_open:  # what was done in the transaction is lost: nothing may be signed for it
                raise
            log.warning("the signing keys could not be read again; the known ones go on")
            self._failed_at = now
            return known
        finally:
            self._renewing.release()

    def _read(self, tx: Transaction, now: datetime.datetime) -> _Loaded:
        was_open = tx.is_open
        rows = tx.execute(_ALL).mappings().all()
        if not was_open:
            tx.commit()  # a read-only look at the keys must not hold a connection for the rest of the request
        with self._lock:
            loaded = _Loaded(now, tuple(self._parse(row) for row in rows))
            self._loaded = loaded
        return loaded

    def _parse(self, row: Mapping[Any, Any]) -> SigningKey:
        known = self._parsed.get(row["kid"])
        if known is None or known.retires_at != row["retires_at"]:
            private = json.loads(self._keyring.decrypt(row["private_key_encrypted"], SIGNING_KEY.context(row["kid"])))
            key = import_key(row["algorithm"], private)
            known = SigningKey(
                kid=row["kid"],
                algorithm=row["algorithm"],
                key=key,
                signer=CompactSigner(row["algorithm"], row["kid"], key.private_key),
                public_jwk=row["public_jwk"],
                created_at=row["created_at"],
                activates_at=row["activates_at"],
                retires_at=row["retires_at"],
            )
            self._parsed[known.kid] = known
        return known

    def _create(self, tx: Transaction, algorithm: str, now: datetime.datetime, activates_at: datetime.datetime) -> str:
        key = generate_key(algorithm)
        kid = key_id(key)
        public = {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": algorithm}
        private = json.dumps({**key.as_dict(private=True), "kid": kid}).encode()
        row = {
            "kid": kid,
            "algorithm": algorithm,
            "public_jwk": public,
            "private_key_encrypted": self._keyring.encrypt(private, SIGNING_KEY.context(kid)),
            "created_at": now,
            "activates_at": activates_at,
        }
        tx.execute(insert(KeyRow), row)
        return kid


def _seconds(one: datetime.datetime, other: datetime.datetime) -> float:
    return abs((one - other).total_seconds())  # a clock may be set back
