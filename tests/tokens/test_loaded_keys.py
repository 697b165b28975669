"""Which keys count and sign at a moment follows from their times, whenever they were read."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from provider.tokens.loaded_keys import LoadedKeys
from provider.tokens.signing_key import SigningKey

NOON = datetime.datetime(2026, 7, 1, 12, tzinfo=datetime.UTC)
LEAST = datetime.timedelta(microseconds=1)


def hour(number: int | None) -> datetime.datetime | None:
    return None if number is None else NOON + datetime.timedelta(hours=number)


def key(kid: str, begins: int, ends: int | None, algorithm: str = "ES256") -> SigningKey:
    times: dict[str, Any] = {"activates_at": hour(begins), "retires_at": hour(ends)}
    return cast(SigningKey, SimpleNamespace(kid=kid, algorithm=algorithm, **times))


# Two in turn, one that was replaced before it began, one of another algorithm that ends.
KEYS = [key("first", 0, 4), key("never", 1, 5), key("second", 2, None), key("other", 0, 3, "RS256")]
# From this hour: those that count, and who signs with ES256 and RS256.
STORY = {
    -1: ("first never second other", None, None),
    0: ("first never second other", "first", "other"),
    1: ("first never second other", "never", "other"),
    2: ("first never second other", "second", "other"),
    3: ("first never second", "second", None),
    4: ("never second", "second", None),
    5: ("second", "second", None),
    6: ("second", "second", None),
}
MOMENTS = [
    (moment, expected)
    for number, expected in STORY.items()
    for moment in (NOON + datetime.timedelta(hours=number), NOON + datetime.timedelta(hours=number + 1) - LEAST)
]


@pytest.mark.parametrize("at", [moment for moment, _ in MOMENTS])
def test_what_a_key_is_does_not_depend_on_when_it_was_read(at: datetime.datetime) -> None:
    loaded = LoadedKeys(at, KEYS, [])
    for moment, (counting, es256, rs256) in MOMENTS:
        assert " ".join(it.kid for it in loaded.counting(moment)) == counting, moment
        signing = [loaded.signing(algorithm, moment) for algorithm in ("ES256", "RS256", "EdDSA")]
        assert [it and it.kid for it in signing] == [es256, rs256, None], moment


def test_what_was_found_once_is_found_again() -> None:
    loaded = LoadedKeys(NOON, KEYS, ["unreadable"])
    assert loaded.counting(NOON) is loaded.counting(NOON + datetime.timedelta(minutes=59))
    assert (loaded.at, loaded.keys, loaded.unreadable) == (NOON, tuple(KEYS), ("unreadable",))


def test_of_no_keys_none_signs() -> None:
    assert LoadedKeys(NOON, [], []).signing("ES256", NOON) is None
