"""The keys that sign tokens: stored encrypted, parsed once, rotated with overlap.

A key has no state column. What it is at a moment (next, active, retiring, revoked) follows from its times, so every worker
comes to the same answer from the same rows.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import logging
import threading
from collections.abc import Mapping
from typing import Any

from joserfc.jwk import KeySet
from sqlalchemy import delete, insert, select, update

from database.faults import OUT_OF_REACH
from database.models import SigningKey as KeyRow
from database.transaction import Transaction
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin
from provider.sealed_values import SealedValues
from provider.security.crypto import DecryptionFailed
from provider.security.sealed_columns import SIGNING_KEY
from provider.tokens.jwks_document import JwksDocument
from provider.tokens.key_pairs import generate_key, key_id
from provider.tokens.loaded_keys import LoadedKeys
from provider.tokens.signing_key import SigningKey, public_jwk

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


class SigningKeys:
    """Holds every private key of the process.

    ``publish_seconds`` is how long a new key is in the JWKS before it signs, ``retire_seconds`` how long an old one stays
    after it stopped: the longest life of what it signed.

    Keys are read again every ``RELOAD_SECONDS``. While that fails, or another thread is at it, the known ones go on by
    their own times, for ``KNOWN_SECONDS`` at most: for so long a process that is cut off from the database may show a key
    that was revoked meanwhile. It signs nothing by it, since a token is recorded in the database before it is signed.

    A key whose private part does not open is as if it were not there, and stops no other one: it signs nothing, and is not
    shown, since whoever could change its row could have changed the public part as well. One that is in memory goes on.
    """

    def __init__(
        self,
        sealed: SealedValues,
        audit: AuditRecorder,
        *,
        algorithms: tuple[str, ...],
        publish_seconds: int,
        retire_seconds: int,
    ) -> None:
        self._sealed = sealed
        self._audit = audit
        self.algorithms = algorithms
        self._publish = datetime.timedelta(seconds=publish_seconds)
        self._retire = datetime.timedelta(seconds=retire_seconds)
        self._loaded: LoadedKeys | None = None
        self._failed_at = _LONG_AGO
        self._unreadable: tuple[str, ...] = ()
        self._parsed: dict[str, SigningKey] = {}
        self._document: tuple[tuple[SigningKey, ...], JwksDocument] | None = None
        self._lock = threading.Lock()
        self._renewing = threading.Lock()

    def ensure(self, tx: Transaction, now: datetime.datetime) -> list[str]:
        """Makes a key for each algorithm that has none, usable at once. Returns the new key ids.

        Two processes may both do so on the same new database; they agree on the one that signs (``current``), and the
        other one is never used. One that takes the place of a key that does not open is made as well. Raises
        ``DecryptionFailed`` where none opens: then it is the master keys that are wrong.
        """
        begun = self._begun(tx, now)
        self._note_unreadable(tx, now)
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
        keys as well, with all that they signed; the new ones sign at once. So does the first key of an algorithm. Raises
        ``DecryptionFailed`` as ``ensure`` does, but for ``revoke``, which does not ask for what was.
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
        """The key that signs now: of those that have begun, the one that began last. Raises
        ``temporarily_unavailable`` where none opens; the next start or rotation makes one.
        """
        key = self._load(tx, now).signing(algorithm, now)
        if key is None:
            log.error("there is no signing key for %s that opens", algorithm)
            raise OAuthError.temporarily_unavailable()
        return key

    def find(
        self, tx: Transaction, kid: str, now: datetime.datetime, *, may_be_retired: bool = False
    ) -> SigningKey | None:
        """A key whose signatures count now. A key id that is not known asks the database again, at most once a second.

        ``may_be_retired`` is for what counts after its time, and finds a key for a day longer.
        """
        for fresh in (False, True):
            if fresh and self._loaded is not None and _seconds(now, self._loaded.at) < 1:
                return None
            for key in self._load(tx, now, fresh=fresh).counting(now - KEPT if may_be_retired else now):
                if key.kid == kid:
                    return key
        return None

    def list(self, tx: Transaction, now: datetime.datetime) -> tuple[SigningKey, ...]:
        """Those that count now, read again. Raises ``DecryptionFailed`` as ``ensure`` does."""
        loaded = self._read(tx, now)
        if loaded.unreadable and not loaded.keys:
            raise DecryptionFailed("none of the stored signing keys opens")
        return loaded.counting(now)

    def unreadable(self, tx: Transaction, now: datetime.datetime) -> tuple[str, ...]:
        """The ids of keys that would count now, and do not open."""
        return self._read(tx, now).unreadable

    def verification_keys(self, tx: Transaction, now: datetime.datetime) -> KeySet:
        return KeySet([key.key for key in self._load(tx, now).counting(now)])

    def jwks(self, tx: Transaction, now: datetime.datetime) -> JwksDocument:
        """The public keys: next, active and retiring ones. Goes on answering while the database is away."""
        keys = self._load(tx, now).counting(now)
        document = self._document
        if document is None or document[0] != keys:
            document = (keys, JwksDocument.of(key.public_jwk for key in keys))
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
        """The algorithms that have a key which may sign. Raises ``DecryptionFailed`` where no stored key opens."""
        return {key.algorithm for key in self.list(tx, now) if key.activates_at <= now}

    def _load(self, tx: Transaction, now: datetime.datetime, *, fresh: bool = False) -> LoadedKeys:
        loaded = self._loaded
        if loaded is None or fresh or _seconds(now, loaded.at) > KNOWN_SECONDS:
            return self._read(tx, now)
        return self._renewed(tx, now, loaded) if self._is_due(now, loaded) else loaded

    def _is_due(self, now: datetime.datetime, known: LoadedKeys) -> bool:
        return _seconds(now, known.at) >= RELOAD_SECONDS and _seconds(now, self._failed_at) >= RETRY_SECONDS

    def _renewed(self, tx: Transaction, now: datetime.datetime, known: LoadedKeys) -> LoadedKeys:
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
                loaded = self._read(reader, now)
                self._note_unreadable(reader, now)
                return loaded
        except OUT_OF_REACH:
            if was_open:  # what was done in the transaction is lost: nothing may be signed for it
                raise
            log.warning("the signing keys could not be read again; the known ones go on")
            self._failed_at = now
            return known
        finally:
            self._renewing.release()

    def _read(self, tx: Transaction, now: datetime.datetime) -> LoadedKeys:
        was_open = tx.is_open
        rows = tx.execute(_ALL).mappings().all()
        if not was_open:
            tx.commit()  # a read-only look at the keys must not hold a connection for the rest of the request
        keys, unreadable = [], []
        with self._lock:
            for row in rows:
                key = self._parse(row)
                if key is not None:
                    keys.append(key)
                elif row["retires_at"] is None or now < row["retires_at"]:
                    unreadable.append(row["kid"])
            loaded = LoadedKeys(now, keys, unreadable)
            is_news = not set(unreadable) <= set(self._unreadable)
            self._loaded, self._unreadable = loaded, loaded.unreadable
        if is_news and keys:
            log.error("these signing keys do not open, and the others go on without them: %s", " ".join(unreadable))
        return loaded

    def _parse(self, row: Mapping[Any, Any]) -> SigningKey | None:
        """The key of a row, None where it does not open. One that was opened is not opened again."""
        known = self._parsed.get(row["kid"])
        try:
            if known is None:
                known = SigningKey.from_row(
                    row, self._sealed.opened(SIGNING_KEY, row["kid"], row["private_key_encrypted"])
                )
        except (DecryptionFailed, ValueError):  # or its row names another algorithm than the key is of
            return None
        if known.retires_at != row["retires_at"]:
            known = dataclasses.replace(known, retires_at=row["retires_at"])
        self._parsed[known.kid] = known
        return known

    def _note_unreadable(self, tx: Transaction, now: datetime.datetime) -> None:
        """Where the transaction is a server's own: a request that fails for want of a key takes its record back."""
        for kid in self._unreadable:
            self._sealed.note_unreadable(tx, Origin.of_server(now), SIGNING_KEY, kid)

    def _create(self, tx: Transaction, algorithm: str, now: datetime.datetime, activates_at: datetime.datetime) -> str:
        key = generate_key(algorithm)
        kid = key_id(key)
        private = json.dumps({**key.as_dict(private=True), "kid": kid}).encode()
        row = {
            "kid": kid,
            "algorithm": algorithm,
            "public_jwk": public_jwk(key, kid, algorithm),
            "private_key_encrypted": self._sealed.seal(SIGNING_KEY, kid, private),
            "created_at": now,
            "activates_at": activates_at,
        }
        tx.execute(insert(KeyRow), row)
        return kid


def _seconds(one: datetime.datetime, other: datetime.datetime) -> float:
    return abs((one - other).total_seconds())  # a clock may be set back
