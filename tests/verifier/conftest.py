"""A stand-in for the provider, a clock that stands still, and a verifier on both; and the real provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mcp_core_verifier import Verifier
from tests.verifier.stand_in import AUDIENCE, Clock, StandIn

MakeVerifier = Callable[..., Verifier]


@pytest.fixture
def provider() -> Iterator[StandIn]:
    with StandIn() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_verifier(provider: StandIn, clock: Clock) -> Iterator[MakeVerifier]:
    made = []

    def make(issuer: str | None = None, audience: str = AUDIENCE, **options: Any) -> Verifier:
        options = {"clock": clock, "monotonic": clock, "timeout_seconds": 5, **options}
        made.append(Verifier(issuer or provider.issuer, audience, **options))
        return made[-1]

    yield make
    for verifier in made:
        verifier.close()


@pytest.fixture
def verifier(make_verifier: MakeVerifier) -> Verifier:
    return make_verifier()
