"""Addresses are parsed once, as long as there are few of them and none is long."""

from __future__ import annotations

from provider.doors import sources
from provider.doors.sources import source_address


def test_what_was_parsed_before_is_the_same_and_nothing_is_kept_of_what_is_long() -> None:
    for _ in range(2):
        assert source_address("127.0.0.1", '"[2001:DB8::1]:4711"', 1) == "2001:db8::1"
        assert source_address("::ffff:192.0.2.1", "", 0) == "192.0.2.1"
        assert source_address("127.0.0.1", "x" * 64, 1) == "127.0.0.1"
    kept = sources._remembered.cache_info().currsize
    assert source_address("127.0.0.1", "x" * 65, 1) == "127.0.0.1"
    assert sources._remembered.cache_info().currsize == kept
    for number in range(1100):
        source_address("127.0.0.1", f"2001:db8::{number:x}", 1)
    assert sources._remembered.cache_info().currsize == 1024
