"""Authorization requests that are used or over: what somebody gets who comes back to one."""

from __future__ import annotations

import datetime

from database.transaction import Transaction
from provider.authorization.answers import AuthorizationAnswers
from provider.authorization.asked import AskedFor
from provider.protocol.messages import ProtocolResponse
from provider.protocol.request_rules import AuthorizationParameters, is_redirect_uri_of
from provider.services import Services
from provider.sign_in.sessions import Session


class EndedRequests:
    def __init__(self, services: Services, answers: AuthorizationAnswers) -> None:
        self._services = services
        self._answers = answers

    def page(self, tx: Transaction, now: datetime.datetime, handle: str, browser: str) -> ProtocolResponse:
        """The page for a handle under which nothing waits, with a way on where this browser had one."""
        found = self._find(tx, now, handle, browser)
        if found is None:
            return self._answers.over()
        asked, is_used = found
        return self._answers.over(asked.client, asked.parameters.redirect_uri, is_used=is_used)

    def code_again(
        self, tx: Transaction, now: datetime.datetime, handle: str, browser: str, session: Session | None
    ) -> ProtocolResponse | None:
        """The same code once more, for the second click of a double one: no browser follows the answer to the first.

        Only in the session that it was issued to, and while nobody has redeemed it. Nothing is made anew. Else None.
        """
        found = self._find(tx, now, handle, browser)
        if found is None or session is None:
            return None
        code = self._services.codes.of_request(handle)
        stored = self._services.codes.find(tx, code)
        if stored is None or stored.used_at is not None or stored.expires_at <= now:
            return None
        if stored.grant.revoked_at is not None or stored.grant.session_id != session.id:
            return None
        return self._answers.send_back(found[0].return_address, {"code": code})

    def _find(self, tx: Transaction, now: datetime.datetime, handle: str, browser: str) -> tuple[AskedFor, bool] | None:
        """A request of this browser in whatever state, and whether it was used. None where its client is gone."""
        stored = self._services.authorization_requests.find_ended(tx, handle, browser)
        client = None if stored is None else self._services.clients.get_by_row(tx, stored.client_row_id)
        if stored is None or client is None or not client.is_usable(now):
            return None
        parameters = AuthorizationParameters.from_dict(stored.parameters)
        if not is_redirect_uri_of(client, parameters.redirect_uri):
            return None
        return AskedFor(client, parameters, stored.created_at), stored.used_at is not None
