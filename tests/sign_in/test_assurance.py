"""Which methods lead to which level, and what a token says of it."""

from __future__ import annotations

import pytest

from provider.sign_in.assurance import (
    LEVELS,
    PASSWORD,
    PHISHING_RESISTANT,
    TWO_FACTOR,
    acr_of,
    answered,
    reaches,
    together,
)


@pytest.mark.parametrize(
    "amr, level",
    [
        ("", PASSWORD),
        ("pwd", PASSWORD),
        ("otp", PASSWORD),
        ("pwd otp", PASSWORD),
        ("hwk", PASSWORD),
        ("swk user", PASSWORD),
        ("pwd mfa", TWO_FACTOR),
        ("pwd otp mfa", TWO_FACTOR),
        ("hwk user mfa", PHISHING_RESISTANT),
        ("swk user mfa", PHISHING_RESISTANT),
        ("pwd hwk mfa", PHISHING_RESISTANT),
        ("pwd otp mfa swk", PHISHING_RESISTANT),
    ],
)
def test_methods_lead_to_a_level(amr: str, level: str) -> None:
    assert acr_of(amr.split()) == level


def test_each_level_includes_those_below_it_and_no_other() -> None:
    reached = {(acr, level) for acr in LEVELS for level in LEVELS if reaches(acr, level)}
    assert reached == {(LEVELS[high], LEVELS[low]) for high in range(3) for low in range(high + 1)}
    assert not any(reaches(acr, level) for acr in (*LEVELS, "x", "") for level in ("phrh", "x", ""))
    assert not any(reaches(acr, level) for acr in ("phrh", "x", "") for level in LEVELS)


@pytest.mark.parametrize(
    "acr, wanted, said",
    [
        (TWO_FACTOR, (), TWO_FACTOR),
        (TWO_FACTOR, (TWO_FACTOR,), TWO_FACTOR),
        (TWO_FACTOR, (PASSWORD,), PASSWORD),
        (TWO_FACTOR, (PHISHING_RESISTANT, TWO_FACTOR), TWO_FACTOR),
        (PHISHING_RESISTANT, (TWO_FACTOR,), TWO_FACTOR),
        (PHISHING_RESISTANT, (PHISHING_RESISTANT, TWO_FACTOR), PHISHING_RESISTANT),
        (PASSWORD, (TWO_FACTOR,), PASSWORD),
        (PASSWORD, ("phrh", "x"), PASSWORD),
    ],
)
def test_a_token_says_the_level_that_was_asked_for_where_it_is_reached(
    acr: str, wanted: tuple[str, ...], said: str
) -> None:
    assert answered(acr, wanted) == said


@pytest.mark.parametrize(
    "before, now, has",
    [
        ("pwd", "pwd otp mfa", "pwd otp mfa"),
        ("pwd otp mfa", "pwd mfa", "pwd otp mfa"),
        ("hwk user mfa", "otp mfa", "hwk user mfa otp"),
        ("pwd", "pwd", "pwd"),
    ],
)
def test_a_session_has_the_methods_of_every_proof(before: str, now: str, has: str) -> None:
    assert " ".join(together(before.split(), now.split())) == has
