"""The mailbox of developers: what would have been sent, on this machine and without a mail server alone."""

from __future__ import annotations

from typing import Any

import pytest

from database.transaction import Transaction
from provider.accounts.alerts import Alert
from tests.pages.conftest import SiteFactory
from tests.pages.site import WITH_MAIL, Site, Visitor

LOCAL = "http://localhost:8000"
HERE = {"issuer": f"{LOCAL}/oauth", "smtp_url": None, "mail_from": ""}


@pytest.fixture
def here(site_factory: SiteFactory) -> Site:
    return site_factory(**HERE)


def post(site: Site, to: str = "ana@example.com", **options: Any) -> str:
    given: dict[str, Any] = {"letter": "test", "language": None, "values": {}, **options}
    with Transaction(site.engine) as tx:
        return site.services.mail.post(tx, site.by, to=to, **given)


def local(site: Site, language: str = "en") -> Visitor:
    return Visitor(site, language=language, origin=LOCAL)


def links_within(visitor: Visitor, tag: str) -> list[str]:
    return [it.get("href") for it in visitor.document.all("a") if tag in [parent.tag for parent in it.parents]]


def test_letters_are_listed_newest_first_and_read_as_text_and_as_html(here: Site) -> None:
    visitor = local(here)
    assert "There are no letters yet" in visitor.get("/mailbox").text
    post(here)
    newest = post(here, "지훈@example.com", language="ko")
    page = visitor.get("/mailbox")
    links = links_within(visitor, "main")
    assert links[0] == f"/mailbox/{newest}"
    assert len(links) == 2
    assert "지훈@example.com" in page.text
    page = visitor.get(links[0])
    assert "테스트 메일" in page.text
    assert links_within(visitor, "pre") == ["/account"], "an address of ours can be clicked"
    page = visitor.get(f"{links[0]}/html")
    assert page.status == 200
    assert "테스트 메일" in page.html
    policy = page.headers["Content-Security-Policy"]
    assert "sandbox" in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Cache-Control"] == "no-store"


def test_times_are_those_of_the_reader(here: Site) -> None:
    ana = here.account("ana")
    with Transaction(here.engine) as tx:
        here.services.users.set_time_zone(tx, here.now, ana.user.id, "Asia/Seoul")
        here.services.alerts.tell(tx, here.by, ana.user, Alert.PASSWORD_CHANGED)
    visitor = local(here)
    visitor.get("/mailbox")
    visitor.get(next(it for it in links_within(visitor, "main") if it.startswith("/mailbox/")))
    assert "When: Jul 1, 2026, 21:00 KST" in visitor.page.text


def test_a_name_in_a_letter_is_text(here: Site) -> None:
    name = '<script>alert(1)</script> https://evil.example/ "x'
    row_id = post(here, letter="alert_password_changed", values={"username": name, "at": here.now.isoformat()})
    visitor = local(here)
    for path in (f"/mailbox/{row_id}", f"/mailbox/{row_id}/html"):
        page = visitor.get(path)
        assert "<script>alert" not in page.html
        assert 'href="https://evil.example' not in page.html
    assert name in visitor.get(f"/mailbox/{row_id}").text


@pytest.mark.parametrize(
    "settings, origin",
    [
        ({"issuer": "https://id.example/oauth", "smtp_url": None, "mail_from": ""}, "https://id.example"),
        ({**HERE, **WITH_MAIL}, LOCAL),
        (HERE, "http://evil.example:8000"),
        (HERE, "http://localhost:8001"),
        (HERE, "http://127.0.0.1:8000"),
    ],
)
def test_it_is_nowhere_else(site_factory: SiteFactory, settings: dict[str, Any], origin: str) -> None:
    """Nor under another name of this machine: a page of that name's owner could read it (DNS rebinding)."""
    site = site_factory(**settings)
    row_id = post(site)
    for path in ("/mailbox", f"/mailbox/{row_id}", f"/mailbox/{row_id}/html"):
        assert Visitor(site, origin=origin).get(path).status == 404, path


@pytest.mark.parametrize("letter_id", ["1", "x" * 300, "%00", "01980000-0000-7000-8000-000000000001"])
def test_a_letter_that_is_not_there(here: Site, letter_id: str) -> None:
    assert local(here).get(f"/mailbox/{letter_id}").status == 404
    assert local(here).get(f"/mailbox/{letter_id}/html").status == 404


def test_one_that_cannot_be_read_any_more_is_left_out(here: Site) -> None:
    post(here, letter="gone-with-its-template")
    row_id = post(here)
    page = local(here).get("/mailbox")
    assert (page.status, page.html.count("/mailbox/")) == (200, 1)
    assert row_id in page.html


@pytest.mark.parametrize("language", ["en", "ko"])
def test_both_pages_are_as_others(here: Site, language: str) -> None:
    row_id = post(here, language=language)
    visitor = local(here, language)
    for path in ("/mailbox", f"/mailbox/{row_id}"):
        visitor.get(path)
        document = visitor.document
        assert document.one("html").get("lang") == language
        assert document.one("h1").text in document.one("title").text
        assert not [it for it in document.elements if "style" in it.attributes or it.tag in ("style", "iframe")]
