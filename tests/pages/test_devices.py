"""The sessions of one browser are one device: counted, shown and ended as one."""

from __future__ import annotations

from dataclasses import replace

from database.transaction import Transaction
from tests.pages.site import BROWSER, SESSION, Account, Site, Visitor

PAGE = "/account/sessions"


def sign_in_again(visitor: Visitor, account: Account) -> str:
    """As after the browser was closed: what it keeps is there, its session is not. Returns the cookie that is lost."""
    lost = visitor.cookie(SESSION)
    visitor.set_cookie(SESSION, "")
    visitor.sign_in(account)
    return lost


def shown(visitor: Visitor, address: str = PAGE) -> list[str]:
    visitor.get(address)
    return [item.text for item in visitor.document.all("li") if item.inside("main")]


def test_signing_in_again_in_one_browser_adds_no_device(site: Site, ana: Account) -> None:
    visitor, other = Visitor(site), Visitor(site)
    visitor.sign_in(ana)
    other.sign_in(ana)
    for _ in range(3):
        sign_in_again(visitor, ana)
    assert len(site.rows("user_sessions")["user_sessions"]) == 5
    assert len(shown(visitor)) == len(shown(other)) == 2
    assert "This device" in shown(visitor)[0]
    assert "Signed in on 2 devices" in visitor.get("/account").text


def test_ending_a_device_ends_all_its_sessions_and_no_other(site: Site, ana: Account) -> None:
    visitor, other, third = Visitor(site), Visitor(site), Visitor(site)
    for browser in (visitor, other, third):
        browser.sign_in(ana)
    lost = sign_in_again(other, ana)
    visitor.get(PAGE)
    with Transaction(site.engine) as tx:
        found = site.services.sessions.find(tx, site.now, other.cookie(SESSION))
    assert found is not None
    visitor.post(PAGE, {"session": found[0].id})
    assert other.get("/account").status == 303
    other.set_cookie(SESSION, lost)
    assert other.get("/account").status == 303, "nor does the session that the browser had before work"
    assert visitor.get("/account").status == third.get("/account").status == 200


def test_no_session_of_the_device_at_hand_is_ended_as_another_s(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    sign_in_again(visitor, ana)
    with Transaction(site.engine) as tx:
        ids = [session.id for session in site.services.sessions.list(tx, site.now, ana.user.id)]
    for session_id in ids:
        visitor.post(PAGE, {"session": session_id})
    assert visitor.get("/account").status == 200
    with Transaction(site.engine) as tx:
        assert len(site.services.sessions.list(tx, site.now, ana.user.id)) == 2


def test_two_people_at_one_browser_have_a_device_each_that_nothing_links(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    erin = site.account("erin")
    visitor.post("/sign-out")
    visitor.sign_in(erin)
    hashes = {row.device_hash for row in site.engine.connect().exec_driver_sql("SELECT device_hash FROM user_sessions")}
    assert len(hashes) == 2
    assert visitor.cookie(BROWSER) not in repr(site.rows())


def test_a_session_from_before_stands_for_itself(site: Site, ana: Account) -> None:
    for _ in range(2):
        with Transaction(site.engine) as tx:
            site.services.sessions.start(tx, site.by, ana.user.id, ("pwd",))
    visitor = Visitor(site)
    visitor.sign_in(ana)
    assert len(shown(visitor)) == 3


def test_more_devices_than_fit_are_shown_a_page_at_a_time_the_one_at_hand_first(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    for number in range(44):
        site.later(seconds=1)
        with Transaction(site.engine) as tx:
            site.services.sessions.start(tx, replace(site.by, source=f"192.0.2.{number}"), ana.user.id, ("pwd",))
    sizes = []
    for number in (1, 2, 3):
        found = shown(visitor, f"{PAGE}?page={number}")
        sizes.append(len(found))
        assert ["This device" in text for text in found] == [number == 1, *[False] * (len(found) - 1)]
        assert f"Page {number} of 3" in visitor.page.text
        assert "Sign out all other devices" in visitor.page.text
    assert sizes == [20, 20, 5]
    assert "192.0.2.0" in found[-1], "the others in the order of their last use"
    assert shown(visitor, f"{PAGE}?page=99") == found
    assert "192.0.2.43" in shown(visitor, f"{PAGE}?page=none")[1]
    assert len(shown(visitor, f"{PAGE}?per_page=100")) == 45
    assert "Page 1" not in visitor.page.text
    visitor.get(f"{PAGE}?page=3")
    last = [it.get("value") for it in visitor.document.all("input") if it.get("name") == "session"][-1]
    visitor.post(f"{PAGE}?page=3", {"session": str(last)})
    assert len(shown(visitor, f"{PAGE}?per_page=100")) == 44, "ended from any page"


def test_devices_are_found_by_their_name_and_address(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    systems = ("Windows NT 10.0", "X11; Linux x86_64")
    for number in range(24):
        agent = f"Mozilla/5.0 ({systems[number % 2]}) AppleWebKit/537.36 Chrome/139.0 Safari/537.36"
        with Transaction(site.engine) as tx:
            by = replace(site.by, user_agent=agent, source=f"198.51.100.{100 + number}")
            site.services.sessions.start(tx, by, ana.user.id, ("pwd",), browser=f"browser {number}")
    assert len(shown(visitor)) == 20, "a page"
    for word, many in (("chrome+on+windows", 12), ("LINUX", 13), ("198.51.100.10", 10), ("198.51.100.107", 1)):
        found = shown(visitor, f"{PAGE}?q={word}")
        assert len(found) == many, (word, found)
    assert "Sign out all other devices" in visitor.page.text, "it ends those that were not looked for as well"
    assert shown(visitor, f"{PAGE}?q=opera") == []
    assert "You have no device that is called that" in visitor.page.text
    (asked,) = [it for it in visitor.document.all("input") if it.get("name") == "q"]
    assert asked.get("value") == "opera"


def test_few_devices_have_no_field_to_look_for_them(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    assert len(shown(visitor)) == 1
    assert 'name="q"' not in visitor.page.html
