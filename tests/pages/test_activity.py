"""Activity: every event that concerns a person has words, everybody sees their own, and records end with their time."""

from __future__ import annotations

import re

import pytest

from database.models.columns import first_id, new_id
from database.transaction import Transaction
from provider.audit import AuditEvent
from provider.pages.activity_words import UNSAID, Kind, kinds, words
from provider.protocol.messages import Origin
from tests.pages.conftest import SiteFactory
from tests.pages.site import START, Account, Site, Visitor

PAGE = "/account/activity"


def recorded(site: Site, account: Account, event: AuditEvent, **details: object) -> None:
    by = Origin(source="192.0.2.77", user_agent="Chrome/140.0 (Windows NT 10.0)", request_id="r", now=site.now)
    with Transaction(site.engine) as tx:
        site.services.audit.record(tx, event, by, user_id=account.user.id, **details)  # type: ignore[arg-type]


def lines(visitor: Visitor) -> list[str]:
    return [item.text for item in visitor.document.all("li") if "Not you?" in item.text]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_event_has_words_or_a_reason_to_have_none(site: Site, language: str) -> None:
    with site.app.test_request_context("/", headers={"Accept-Language": language}):
        said = words()
        assert set(said) | UNSAID == set(AuditEvent), "give a new event its words, or a reason to have none"
        assert set(said) & UNSAID == set()
        assert {word.kind for word in said.values()} == set(kinds()) == set(Kind)
        sentences = [word.sentence for word in said.values()]
        assert len(set(sentences)) == len(sentences)
        assert all(bool(re.search("[가-힣]", sentence)) == (language == "ko") for sentence in sentences)
        endings = [sentence for sentence in sentences if language == "ko" and not sentence.endswith("니다")]
        assert endings == [], "one list speaks in one way"


def test_each_line_says_what_when_and_from_where(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    recorded(site, ana, AuditEvent.API_KEY_CREATED, name="nightly backup")
    recorded(site, ana, AuditEvent.USER_VERIFIED, actor="cli:root")
    visitor.get(PAGE)
    verified, key, signed_in = lines(visitor)[:3]
    assert "Your e-mail address was confirmed" in verified
    assert "by the people who run MCP Core" in verified
    assert "An API key was made “nightly backup”" in key
    assert "Jul 1, 2026, 12:00 UTC · Chrome on Windows · 192.0.2.77" in key
    assert "Signed in" in signed_in
    assert "Firefox on Linux" in signed_in
    visitor.post("/account/preferences", {"time_zone": "Asia/Seoul"})
    visitor.get(PAGE)
    assert "21:00" in lines(visitor)[0]
    links = [it for it in visitor.document.all("a") if it.get("href") == "/account/lock-down" and it.inside("main")]
    assert len(links) == len(lines(visitor))


def test_nobody_sees_what_happened_to_others(site: Site, ana: Account) -> None:
    erin = site.account("erin")
    recorded(site, erin, AuditEvent.API_KEY_CREATED, name="erin's key")
    visitor = Visitor(site)
    visitor.sign_in(ana)
    assert "erin" not in visitor.get(PAGE).html
    assert Visitor(site).get(PAGE).headers["Location"] == "/login?to=activity"


def test_the_list_is_filtered_by_kind_and_paged(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    for number in range(45):
        recorded(site, ana, AuditEvent.API_KEY_CREATED, name=f"key {number}")
    visitor.get(f"{PAGE}?kind=keys")
    assert len(lines(visitor)) == 20
    assert "key 44" in lines(visitor)[0]
    assert "Page 1 of 3" in visitor.page.text
    visitor.get(f"{PAGE}?kind=keys&page=3")
    assert ("key 0" in lines(visitor)[-1], len(lines(visitor))) == (True, 5)
    visitor.get(f"{PAGE}?kind=sign-in")
    assert ["Signed in" in line for line in lines(visitor)] == [True]
    assert "Nothing of this kind has happened yet." in visitor.get(f"{PAGE}?kind=apps").text


@pytest.mark.parametrize(
    "query",
    ["kind=nonsense", "kind=", "kind=%00", "page=0", "page=-1", "page=1e9", "page=999999999999", "kind=keys&kind=x"],
)
def test_what_nobody_can_ask_for_is_answered_all_the_same(site: Site, ana: Account, query: str) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    assert visitor.get(f"{PAGE}?{query}").status == 200


def test_what_somebody_else_named_is_shown_as_their_words(site: Site, ana: Account) -> None:
    recorded(site, ana, AuditEvent.CONSENT_GIVEN, app='<script>"“ evil ' + "x" * 500, added=[], scope=[])
    visitor = Visitor(site)
    visitor.sign_in(ana)
    assert "<script>&#34;" not in visitor.get(PAGE).html.lower().replace("<script src", "")
    assert "x" * 60 not in visitor.page.text


def test_records_go_after_their_days_and_not_before(site_factory: SiteFactory) -> None:
    site = site_factory(audit_days=30)
    ana = site.account("ana")
    for days in (0, 1, 29, 31):
        site.now = START
        site.later(days=days)
        recorded(site, ana, AuditEvent.LOGIN_FAILED)
    site.now = START
    site.later(days=60, seconds=1)
    with Transaction(site.engine) as tx:
        before = len(site.rows("user_audit_log")["user_audit_log"])
        gone = site.services.activity.purge(tx, site.now, 1)
        assert gone == 1, "no more at once than was asked for"
        while site.services.activity.purge(tx, site.now, 1):
            gone += 1
    left = site.rows("user_audit_log")["user_audit_log"]
    assert len(left) == before - gone
    assert sum("login.failed" in row for row in left) == 1


def test_records_are_kept_for_good_where_that_is_set(site_factory: SiteFactory) -> None:
    site = site_factory(audit_days=0)
    recorded(site, site.account("ana"), AuditEvent.LOGIN_FAILED)
    site.later(days=4000)
    with Transaction(site.engine) as tx:
        assert site.services.activity.purge(tx, site.now, 1000) == 0


def test_ids_are_found_by_their_time() -> None:
    for milliseconds in range(0, 5000, 7):
        moment = START.replace(microsecond=0).fromtimestamp(START.timestamp() + milliseconds / 1000, START.tzinfo)
        assert first_id(moment) <= new_id(moment)
        assert new_id(moment) < first_id(moment.fromtimestamp(moment.timestamp() + 0.002, moment.tzinfo))
