"""Bytes are counted, never characters."""

from __future__ import annotations

from typing import Any

import pytest

from provider.protocol.errors import OAuthError
from provider.protocol.sizes import MAX_KEPT_BYTES, check_kept, cut, fits, kept_bytes


@pytest.mark.parametrize(
    "text, most, is_small",
    [
        (None, 0, True), ("", 0, True), ("a", 1, True), ("ab", 1, False), ("é", 2, True), ("é", 1, False), ("각", 3, True),
        ("각", 2, False), ("😀" * 1024, 4096, True), ("😀" * 1025, 4096, False), ("\x00" * 5, 5, True),
    ],
)  # fmt: skip
def test_a_text_fits_by_its_bytes(text: str | None, most: int, is_small: bool) -> None:
    assert fits(text, most) is is_small


@pytest.mark.parametrize(
    "text, most, kept",
    [
        ("abc", 5, "abc"), ("abcdef", 5, "abcde"), ("각각", 6, "각각"), ("각각", 5, "각"), ("각각", 2, ""), ("a😀", 4, "a"),
        ("é" * 600, 512, "é" * 256), ("", 0, ""),
    ],
)  # fmt: skip
def test_what_is_cut_has_no_half_character_at_its_end(text: str, most: int, kept: str) -> None:
    assert cut(text, most) == kept


@pytest.mark.parametrize(
    "value, size", [({}, 2), ({"a": "b"}, 9), ({"a": "😀"}, 12), ({"a": "각"}, 11), (["\x01"], 10), ([1, None], 8)]
)
def test_a_value_takes_what_it_takes_as_json_without_blanks(value: Any, size: int) -> None:
    assert kept_bytes(value) == size


@pytest.mark.parametrize("letter, bytes_each", [("a", 1), ("é", 2), ("각", 3), ("😀", 4), ('"', 2), ("\x01", 6)])
def test_a_request_is_kept_up_to_its_size(letter: str, bytes_each: int) -> None:
    most = (MAX_KEPT_BYTES - len('{"a":""}')) // bytes_each
    check_kept({"a": letter * most})
    with pytest.raises(OAuthError) as refusal:
        check_kept({"a": letter * (most + 1)})
    assert refusal.value.error == "invalid_request"
