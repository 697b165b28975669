"""Who asks about a token, and what the token is, in one question to the database (RFC 7662)."""

from __future__ import annotations

import datetime

from sqlalchemy import bindparam, literal_column, select

from database.models import Client as ClientRow
from database.prepared import Found, Prepared
from database.transaction import Transaction
from provider.clients.registry import Clients
from provider.protocol.client import Client
from provider.tokens.verifier import COUNTS, RECORD, RECORD_TABLES, TokenVerifier, VerifiedAccessToken

_ASKING = ClientRow.__table__.alias("asking")
_RECORD, _CLIENT = slice(0, len(RECORD)), slice(len(RECORD), None)
# From one row that is always there: both are looked for whether there is the other or not, in the same time.
_ALWAYS = select(literal_column("1").label("one")).subquery("always")
_FIND = Prepared(
    select(*RECORD, *_ASKING.c).select_from(
        _ALWAYS.outerjoin(_ASKING, _ASKING.c.client_id == bindparam("asking_client_id")).outerjoin(
            RECORD_TABLES, COUNTS
        )
    )
)


class Inquiry:
    """One question about one token. First ``asking`` who asks, as the database knows them now, then the ``token``."""

    def __init__(
        self, clients: Clients, verifier: TokenVerifier, tx: Transaction, token: str, now: datetime.datetime
    ) -> None:
        self._clients = clients
        self._verifier = verifier
        self._tx = tx
        self._token = token
        self._now = now
        self._found: Found | None = None

    def asking(self, client_id: str) -> Client | None:
        """The client of a public ``client_id``, usable or not."""
        return self._clients.find_by(self._tx, client_id, lambda: self._ask(client_id), _CLIENT)

    def token(self) -> VerifiedAccessToken | None:
        """The token's content, None on any doubt. To be asked at once after ``asking``, or without it."""
        if self._found is None:
            return self._verifier.verify_access_token(self._tx, self._token, self._now)
        return self._verifier.judged(self._tx, self._token, self._now, self._found, _RECORD)

    def _ask(self, client_id: str) -> Found | None:
        values = self._verifier.asks_for(self._verifier.claimed_jti(self._token), self._now)
        self._found = self._tx.found(_FIND, {**values, "asking_client_id": client_id})
        is_known = self._found is not None and self._found.raw[_CLIENT.start] is not None
        return self._found if is_known else None
