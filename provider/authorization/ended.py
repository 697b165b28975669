"""Authorization requests that are used or over: what somebody gets who comes back to one."""

from __future__ import annotations

import datetime

from database.transaction import Transaction
from provider.authorization.answers import AuthorizationAnswers
from provider.authorization.asked import AskedFor, asked_by
from provider.protocol.messages import ProtocolResponse
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
        if stored is None:
            return None
        asked = asked_by(self._services, tx, now, stored)
        return None if asked is None else (asked, stored.used_at is not None)
