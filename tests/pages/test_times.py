"""Times are written in the reader's zone, whatever the language: the chosen one, the browser's, else UTC by its name."""

from __future__ import annotations

import pytest

from tests.pages.site import Account, Site, Visitor

PAGE = "/account/preferences"
ZONE = "__Host-mcp_zone"
WRITTEN = {
    ("en", ""): "Jul 1, 2026, 12:00 UTC",
    ("ko", ""): "2026년 7월 1일 12:00 UTC",
    ("en", "Asia/Seoul"): "Jul 1, 2026, 21:00",
    ("ko", "Asia/Seoul"): "2026년 7월 1일 21:00",
    ("en", "America/Los_Angeles"): "Jul 1, 2026, 05:00",
    ("ko", "Pacific/Auckland"): "2026년 7월 2일 00:00",
}


def written(visitor: Visitor, *, other_than: str = "") -> str:
    text = visitor.get("/account/sessions").text
    assert not other_than or other_than not in text
    return text


@pytest.mark.parametrize("way", ["browser", "choice"])
@pytest.mark.parametrize("language, zone", WRITTEN)
def test_times_are_in_the_reader_s_zone_and_name_only_one_that_is_not(
    site: Site, ana: Account, way: str, language: str, zone: str
) -> None:
    visitor = Visitor(site, language=language)
    visitor.sign_in(ana)
    if way == "browser":
        visitor.set_cookie(ZONE, zone)
    else:
        assert visitor.post(PAGE, {"time_zone": zone}).status == 303
    assert WRITTEN[language, zone] in written(visitor, other_than="" if not zone else "UTC")


def test_what_is_chosen_holds_in_every_browser_and_can_be_taken_back(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    visitor.set_cookie(ZONE, "America/Los_Angeles")
    visitor.post(PAGE, {"time_zone": "Asia/Seoul"})
    assert "Times are shown in Asia/Seoul: it is 21:00 there." in visitor.follow().text
    elsewhere = Visitor(site)
    elsewhere.sign_in(ana)
    assert "Jul 1, 2026, 21:00" in written(elsewhere)
    visitor.post(PAGE, {"time_zone": ""})
    assert "Jul 1, 2026, 05:00" in written(visitor)


@pytest.mark.parametrize(
    "zone", ["Mars/Olympus", "../../etc/passwd", "/etc/localtime", "asia/seoul", "\x00", "x" * 4000]
)
def test_what_is_no_zone_changes_nothing(site: Site, ana: Account, zone: str) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    visitor.post(PAGE, {"time_zone": "Asia/Seoul"})
    visitor.post(PAGE, {"time_zone": zone})
    assert "Jul 1, 2026, 21:00" in written(visitor)
    visitor.post(PAGE, {"time_zone": ""})
    visitor.set_cookie(ZONE, zone)
    assert "Jul 1, 2026, 12:00 UTC" in written(visitor)
