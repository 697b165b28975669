"""What stands behind a client: who vouches for it, or whether anybody has signed in with it."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest

from provider.clients.standing import requester_of
from provider.security.turns import Requester, Standing
from tests.signing import known_client

USED = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    "is_vouched, last_used_at, standing",
    [
        (True, None, Standing.VOUCHED),
        (True, USED, Standing.VOUCHED),
        (False, USED, Standing.KNOWN),
        (False, None, Standing.NEW),
    ],
)
def test_a_client_is_vouched_for_or_known_by_use(
    is_vouched: bool, last_used_at: datetime.datetime | None, standing: Standing
) -> None:
    client = replace(known_client(), is_vouched=is_vouched, last_used_at=last_used_at)
    assert requester_of(client, "192.0.2.1") == Requester(standing, "192.0.2.1")


def test_of_what_nobody_knows_nothing_stands_behind() -> None:
    assert requester_of(None, "192.0.2.1").standing is Standing.NEW
