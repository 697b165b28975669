"""The one place where everything that an application was given ends, for good."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from sqlalchemy import update

from database.models import AuthorizationRequest, PushedRequest
from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.tokens.grant_records import GrantRecords
from provider.tokens.token_records import living_tokens_of_client


@dataclass(frozen=True, slots=True)
class Ended:
    """How much of it there was."""

    grants: int = 0
    access_tokens: int = 0
    waiting_requests: int = 0


class ClientEnds:
    def __init__(self, grants: GrantRecords) -> None:
        self._grants = grants

    def end_all(self, tx: Transaction, origin: Origin, client_row_id: str, reason: str) -> Ended:
        """Ends grants with their codes and refresh tokens, and requests that wait for their user. Access tokens are counted:
        they end with the client's row, or with its epoch.

        Call it before that row is changed: who stores a grant holds such rows already, and waits for the client's.
        """
        return Ended(
            grants=self._grants.revoke_for_client(tx, origin, client_row_id, reason),
            access_tokens=living_tokens_of_client(tx, origin.now, client_row_id),
            waiting_requests=sum(
                self._use_up(tx, origin.now, model, client_row_id) for model in (AuthorizationRequest, PushedRequest)
            ),
        )

    def end_for_other_subjects(self, tx: Transaction, origin: Origin, client_row_id: str) -> None:
        """Ends what was granted to a client that knows people by other identifiers from now on."""
        self._grants.end_for_other_subjects(tx, origin, client_row_id)

    def _use_up(
        self,
        tx: Transaction,
        now: datetime.datetime,
        model: type[AuthorizationRequest] | type[PushedRequest],
        client_row_id: str,
    ) -> int:
        table = model.__table__
        waiting = (table.c.client_id == client_row_id, table.c.used_at.is_(None), table.c.expires_at > now)
        return tx.execute(update(model).where(*waiting).values(used_at=now)).rowcount
