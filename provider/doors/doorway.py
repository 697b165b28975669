"""What all doors share: whose request it is, how large it may be, and its answer in one transaction."""

from __future__ import annotations

import datetime
import logging
import re
from collections.abc import Callable, Mapping

from sqlalchemy import Connection, Engine

from database.transaction import Transaction
from database.units import Unit
from provider.doors.endpoint import Endpoint, answer_to_method
from provider.doors.request_ids import new_request_id
from provider.doors.sources import source_address
from provider.doors.transactions import run_in_transaction
from provider.protocol.errors import OAuthError
from provider.protocol.messages import ProtocolRequest, ProtocolResponse
from provider.protocol.problems import as_problem

log = logging.getLogger("mcp_core.doors")

MAX_BODY_BYTES = 65_536
MAX_QUERY_CHARACTERS = 16_384
_LENGTH = re.compile(r"[0-9]{1,18}")
_WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")
_CORS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", "WWW-Authenticate, ETag"),
)


class Doorway:
    """The rules that a request meets before its endpoint, and the headers that every answer gets."""

    def __init__(
        self,
        engine: Engine,
        *,
        trusted_proxy_count: int = 0,
        is_https: bool = False,
        clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self._engine = engine
        self._trusted_proxy_count = trusted_proxy_count
        self._always = (("X-Content-Type-Options", "nosniff"),) + (
            (("Strict-Transport-Security", "max-age=63072000; includeSubDomains"),) if is_https else ()
        )
        self.clock = clock

    def source_of(self, address: str, forwarded_for: str) -> str:
        """Whose request it is: ``address`` is the socket's, ``forwarded_for`` all of ``X-Forwarded-For``."""
        return source_address(address, forwarded_for, self._trusted_proxy_count)

    def refusal(self, endpoint: Endpoint, method: str, query: str, announced: str) -> ProtocolResponse | None:
        """What is refused, or answered, before its body is read. ``announced`` is its Content-Length, empty without one.

        A method that is not the endpoint's comes first.
        """
        refused = answer_to_method(endpoint, method)
        if refused is None and len(query) > MAX_QUERY_CHARACTERS:
            refused = ProtocolResponse.json({"error": "invalid_request"}, 414)
        if refused is None and method not in _WITHOUT_BODY and announced:
            if not _LENGTH.fullmatch(announced):
                refused = ProtocolResponse.json({"error": "invalid_request"}, 400)
            elif int(announced) > MAX_BODY_BYTES:
                refused = ProtocolResponse.json({"error": "invalid_request"}, 413)
        return None if refused is None else self.finish(endpoint, refused)

    def request(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, address: str
    ) -> ProtocolRequest:
        """``headers`` have lower-case names, and values whose characters are the bytes that were sent."""
        return ProtocolRequest(
            method=method,
            path=path,
            query_string=query,
            headers=headers,
            body=body,
            source=self.source_of(address, headers.get("x-forwarded-for", "")),
            request_id=new_request_id(),
            received_at=self.clock(),
        )

    def answer(self, endpoint: Endpoint, request: ProtocolRequest) -> ProtocolResponse:
        """Calls the endpoint in one transaction: committed below status 500, rolled back otherwise.

        A deadlock or a lost connection repeats the whole call, which nothing outside has seen yet; when that does not
        help, the answer is 503 and the next request finds a fresh connection.
        """
        response = run_in_transaction(self._engine, lambda tx: self._call(endpoint, request, tx), request.request_id)
        return self.finish(endpoint, response)

    def answer_in_unit(self, endpoint: Endpoint, request: ProtocolRequest, unit: Unit) -> ProtocolResponse:
        """The answer, if what ``unit`` takes for granted comes true. Raises ``DoesNotFit`` and what the endpoint raises."""
        return self.finish(endpoint, self._call(endpoint, request, unit))

    def answer_at_once(self, endpoint: Endpoint, request: ProtocolRequest) -> ProtocolResponse | None:
        """The answer if it needs no database, None if it does."""
        try:
            return self.finish(endpoint, self._call(endpoint, request, _NoDatabase(self._engine)))
        except _WouldWait:
            return None

    def _call(self, endpoint: Endpoint, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        try:
            return endpoint.handle(request, tx)
        except OAuthError as error:
            if error.detail:
                log.info("%s refused: %s (%s) [%s]", endpoint.path, error.error, error.detail, request.request_id)
            return ProtocolResponse.json(error.body(), error.status, error.headers)

    def finish(self, endpoint: Endpoint, response: ProtocolResponse) -> ProtocolResponse:
        """Adds what every answer of the endpoint carries, in the form that its errors have."""
        if endpoint.has_problems:
            response = as_problem(response)
        self.protect(response)
        if endpoint.cors:
            response.headers.extend(_CORS)
        return response

    def protect(self, response: ProtocolResponse) -> ProtocolResponse:
        """Adds what every answer carries, whatever it is about."""
        response.headers.extend(self._always)
        return response

    @staticmethod
    def is_too_long(announced: str, most: int = MAX_BODY_BYTES) -> bool:
        """Whether a Content-Length says of a body that it is more than is read."""
        return _LENGTH.fullmatch(announced) is not None and int(announced) > most


class _WouldWait(Exception):
    """The answer needs the database after all."""


class _NoDatabase(Transaction):
    """For what must not wait: the first statement says so."""

    def beside(self, seconds: float) -> Transaction:  # noqa: ARG002 - what is overridden names it
        raise _WouldWait

    def _opened(self, *, is_write: bool) -> Connection:  # noqa: ARG002 - what is overridden names it
        raise _WouldWait
