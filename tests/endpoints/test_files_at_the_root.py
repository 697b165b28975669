"""What browsers and crawlers fetch unasked is there, small and cached, through both doors."""

from __future__ import annotations

import pytest

from tests.endpoints.provider import Provider


@pytest.mark.parametrize(
    "path, kinds, begins",
    [
        ("/favicon.ico", ("image/x-icon", "image/vnd.microsoft.icon"), b"\x00\x00\x01\x00"),
        ("/apple-touch-icon.png", ("image/png",), b"\x89PNG"),
        ("/apple-touch-icon-precomposed.png", ("image/png",), b"\x89PNG"),
        ("/robots.txt", ("text/plain; charset=utf-8",), b"#"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_at_the_root_is_small_and_kept_for_a_day(
    provider: Provider, path: str, kinds: tuple[str, ...], begins: bytes, method: str
) -> None:
    answer = provider.send(method, path)
    assert answer.status == 200
    assert answer.header("Content-Type") in kinds
    assert answer.header("Cache-Control") == "public, max-age=86400"
    assert answer.header("X-Content-Type-Options") == "nosniff"
    assert not answer.header("Set-Cookie")
    if method == "GET":
        assert answer.body.startswith(begins)
        assert 20 < len(answer.body) < 8192
