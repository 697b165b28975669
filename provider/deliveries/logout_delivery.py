"""How notices of the end of a session are sent (OpenID Connect Back-Channel Logout §2.5).

An application may get a notice twice, with another ``jti``.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection

from sqlalchemy import Engine

from database.transaction import Transaction
from provider.clients.registry import Clients
from provider.clients.standing import requester_of
from provider.deliveries.logout_notices import LogoutNotices, Notice
from provider.deliveries.outbox import Outcome
from provider.protocol.client import OPERATORS, Client
from provider.protocol.redirect_uris import is_loopback
from provider.security.exchange import FetchFailed
from provider.security.outbound import Outbound
from provider.tokens.issuer import TokenIssuer

# By whether somebody vouches for the application. Slow ones hold up no more than this many others of their kind, and of
# those that anybody can register, none that somebody vouches for.
VOUCHED, STRANGERS = "vouched", "strangers"
SENDERS = {VOUCHED: 4, STRANGERS: 2}
_DELIVERED = (200, 204)
_REFUSED = 400


class LogoutDelivery:
    name = "logout notice"
    lanes = SENDERS

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], datetime.datetime],
        notices: LogoutNotices,
        clients: Clients,
        issuer: TokenIssuer,
        outbound: Outbound,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._notices = notices
        self._clients = clients
        self._issuer = issuer
        self._outbound = outbound
        self.listen = notices.listen

    def receiver(self, item: Notice) -> str:
        return item.client_row_id

    def claim(
        self, tx: Transaction, now: datetime.datetime, limit: int, lane: str, busy: Collection[str]
    ) -> list[Notice]:
        return self._notices.claim(tx, now, limit, is_vouched=lane == VOUCHED, except_clients=busy)

    def send(self, item: Notice) -> Outcome:
        now = self._clock()
        with Transaction(self._engine) as tx:
            client = self._clients.get_by_row(tx, item.client_row_id)
            if client is None or not client.is_usable(now):
                return Outcome("the client is not in use any more", is_final=True)
            token = self._issuer.logout_token(tx, client, subject=item.subject, session_id=item.session_id, now=now)
        standing = requester_of(client, "").standing
        try:
            status = self._outbound.post_form(
                item.uri, {"logout_token": token}, standing, is_here=_is_here(client, item.uri)
            )
        except FetchFailed as error:
            return Outcome(str(error))
        return Outcome() if status in _DELIVERED else Outcome(f"status {status}", is_final=status == _REFUSED)

    def note(self, tx: Transaction, now: datetime.datetime, item: Notice, outcome: Outcome) -> None:
        if outcome.problem is None:
            self._notices.delivered(tx, now, item)
        else:
            self._notices.failed(tx, now, item, outcome.problem, for_good=outcome.is_final)


def _is_here(client: Client, uri: str) -> bool:
    """Whether an operator registered an address of this machine for it, and has not changed it since."""
    return client.kind == OPERATORS and client.details.backchannel_logout_uri == uri and is_loopback(uri)
