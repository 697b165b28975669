"""The guarded way to clouds, for one exchange of one person."""

from __future__ import annotations

import time
from collections.abc import Mapping

from provider.security.exchange import FetchFailed
from provider.security.outbound import Answered, Outbound
from provider.vault.exchanges.exchange import Condition, ExchangeRefused

EXCHANGE_SECONDS = 10.0
MAX_ANSWER_BYTES = 65_536


class GuardedDoor:
    """All that one exchange asks is over ``EXCHANGE_SECONDS`` after this was made."""

    def __init__(self, outbound: Outbound, person: str, seconds: float = EXCHANGE_SECONDS) -> None:
        self._outbound = outbound
        self._person = person
        self._deadline = time.monotonic() + seconds

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        try:
            return self._outbound.ask(
                url, body, headers, person=self._person, deadline=self._deadline, max_bytes=MAX_ANSWER_BYTES
            )
        except FetchFailed as fault:
            raise ExchangeRefused(Condition.CLOUD_UNREACHABLE, str(fault)) from None
