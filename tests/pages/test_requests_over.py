"""A sign-in that leads nowhere any more says so, and leads back to its application where that is known for sure."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from database.transaction import Transaction
from provider.protocol.client import ClientDetails
from tests.pages.site import BROWSER, CALLBACK, LOOPBACK, PASSWORD, SESSION, Account, Site, Visitor, handle_in

START_AGAIN = "Start again from the app"
SELF = {"is_vouched": False, "redirect_uris": ["https://self.example:8443/cb?x=1"]}
HOME = ClientDetails(client_uri="https://www.acme.example/files", initiate_login_uri=None)
BEGINS = ClientDetails(client_uri="https://www.acme.example/", initiate_login_uri="https://acme.example/begin?with=us")


def way_back(visitor: Visitor) -> list[str]:
    """Where the page's links lead outside of this server."""
    links = [link for link in visitor.document.all("a") if "://" in link.get("href")]
    assert all(link.get("rel") == "noreferrer" for link in links)
    assert "refresh" not in visitor.page.html
    return [link.get("href") for link in links]


def landed(site: Site, ana: Account, **client: Any) -> tuple[Visitor, str]:
    """Somebody who has gone all the way, and the address of the consent page that they came through."""
    visitor = Visitor(site)
    made = site.client(**client)
    page = visitor.ask(made)
    visitor.sign_in(ana, page.url)
    consent = visitor.follow().url
    visitor.post(consent, {"decision": "allow"})
    visitor.follow()
    assert "code=" in visitor.to
    return visitor, consent


@pytest.mark.parametrize(
    "client, leads_to",
    [
        ({}, ["https://files.example/"]),
        ({"details": HOME}, ["https://www.acme.example/files"]),
        ({"details": BEGINS}, ["https://acme.example/begin?with=us&iss=https%3A%2F%2Fid.example%2Foauth"]),
        (SELF, ["https://self.example:8443/"]),
        ({**SELF, "details": HOME}, ["https://self.example:8443/"]),
        ({**SELF, "details": BEGINS}, ["https://self.example:8443/"]),
        ({"redirect_uris": [LOOPBACK], "application_type": "native"}, ["http://127.0.0.1/"]),
        ({"redirect_uris": ["com.example.app:/cb"], "application_type": "native"}, []),
    ],
)
def test_back_after_landing_leads_to_what_is_the_application_s_own_for_sure(
    site: Site, ana: Account, client: dict[str, Any], leads_to: list[str]
) -> None:
    visitor, consent = landed(site, ana, **client)
    handle = handle_in(consent)
    site.later(seconds=site.settings.code_seconds)
    before = site.rows("authorization_codes", "oauth_grants")
    for path in (consent, f"/login?request={handle}", f"/login/code?request={handle}", f"/oauth/authorize/{handle}"):
        page = visitor.get(path)
        assert (page.status, visitor.to) == (400, ""), path
        assert START_AGAIN in page.text
        assert "This sign-in is finished" in page.text
        assert way_back(visitor) == leads_to, path
        assert "Go to your account" in page.text
    for decision in ("allow", "cancel"):
        visitor.post(consent, {"decision": decision})
        assert visitor.to == f"/oauth/authorize/{handle}"
        assert visitor.follow().status == 400
    assert site.rows(*before) == before, "never a second code"


def test_what_took_too_long_leads_back_as_well(site: Site, ana: Account) -> None:
    visitor = Visitor(site)
    page = visitor.ask(site.client())
    site.later(seconds=site.settings.authorization_request_seconds + 1)
    for path in (page.url, f"/oauth/authorize/{handle_in(page.url)}"):
        assert "took too long" in visitor.get(path).text
        assert way_back(visitor) == ["https://files.example/"]
    page = visitor.post(page.url, {"username": "ana", "password": PASSWORD})
    assert (page.status, way_back(visitor)) == (400, ["https://files.example/"])


@pytest.mark.parametrize("what", ["disabled", "deleted"])
def test_an_application_that_is_gone_is_led_to_no_more(site: Site, ana: Account, what: str) -> None:
    client = site.client()
    visitor = Visitor(site)
    page = visitor.ask(client)
    with Transaction(site.engine) as tx:
        if what == "disabled":
            site.services.clients.set_active(tx, site.by, client.client_id, False)
        else:
            site.services.clients.delete(tx, site.by, client.client_id)
    assert START_AGAIN in visitor.get(page.url).text
    assert way_back(visitor) == []


@pytest.mark.parametrize("handle", ["nothing", "mcp_request_x", "", "é"])
def test_an_unknown_handle_leads_to_the_account_alone(site: Site, visitor: Visitor, handle: str) -> None:
    visitor.get("/login")
    for path in (f"/consent?request={handle}", f"/oauth/authorize/{handle or 'x'}"):
        page = visitor.get(path)
        assert page.status == 400
        assert START_AGAIN in page.text
        assert way_back(visitor) == []
        assert visitor.page.link("Go to your account")


def test_another_browser_is_told_nothing_of_the_application(site: Site, ana: Account) -> None:
    _visitor, consent = landed(site, ana)
    stranger = Visitor(site)
    stranger.sign_in(ana)
    assert START_AGAIN in stranger.get(consent).text
    assert way_back(stranger) == []
    assert "Acme" not in stranger.page.text


@pytest.mark.parametrize("path", ["/login?request={}", "/consent?request={}", "/oauth/authorize/{}"])
def test_a_browser_that_keeps_no_cookies_is_told_so_on_the_way_from_an_application(site: Site, path: str) -> None:
    visitor = Visitor(site)
    handle = handle_in(visitor.ask(site.client()).url)
    without = Visitor(site)
    page = without.get(path.format(handle))
    assert (page.status, START_AGAIN in page.text, "allow cookies" in page.text) == (400, True, True)
    without.set_cookie(BROWSER, "something")
    assert "allow cookies" not in without.get(path.format(handle)).text


@pytest.mark.parametrize("path", ["/login", "/login?to=apps", "/login/code", "/language"])
def test_a_form_from_a_browser_that_keeps_no_cookies_says_that_they_are_needed(site: Site, path: str) -> None:
    visitor, without = Visitor(site), Visitor(site)
    token = visitor.token()
    page = without.post(path, {"username": "ana", "password": PASSWORD}, token=token)
    assert page.status == 403
    assert "Signing in needs cookies" in page.text
    assert "out of date" not in page.text
    page = visitor.post(path, {"username": "ana", "password": PASSWORD}, token="0" * 64)
    assert "out of date" in page.text
    assert "needs cookies" not in page.text


def test_a_form_from_elsewhere_is_forged_with_cookies_or_without(site: Site) -> None:
    without = Visitor(site)
    page = without.post("/login", {}, token="0" * 64, headers={"Origin": "https://evil.example"})
    assert (page.status, "out of date" in page.text) == (403, True)


def test_a_double_click_on_allow_lands_in_the_application_with_the_one_code_that_there_is(
    site: Site, ana: Account
) -> None:
    visitor = Visitor(site)
    page = visitor.ask(site.client())
    visitor.sign_in(ana, page.url)
    consent = visitor.follow()
    for _ in range(3):
        visitor.page = consent
        visitor.post(consent.url, {"decision": "allow"})
        visitor.follow()
        assert visitor.to.startswith(f"{CALLBACK}?code=")
    landings = {visitor.to}
    before = site.rows("authorization_codes", "oauth_grants")
    for _ in range(2):
        visitor.get(f"/oauth/authorize/{handle_in(consent.url)}")
        landings.add(visitor.to)
    assert len(landings) == 1
    assert site.rows(*before) == before
    assert len(before["authorization_codes"]) == 1


@pytest.mark.parametrize("what", ["redeemed", "expired", "revoked", "another session", "signed out", "prefetched"])
def test_the_code_is_given_once_more_only_while_it_is_nobody_s(site: Site, ana: Account, what: str) -> None:
    visitor, consent = landed(site, ana)
    code = dict(parse_qsl(urlsplit(visitor.to).query))["code"]
    headers = {}
    with Transaction(site.engine) as tx:
        stored = site.services.codes.find(tx, code)
        assert stored is not None
        if what == "redeemed":
            site.services.codes.claim(tx, site.by, stored)
        if what == "revoked":
            site.services.grants.revoke(tx, site.by, stored.grant.id, "user")
    if what == "expired":
        site.later(seconds=site.settings.code_seconds)
    if what == "signed out":
        visitor.set_cookie(SESSION, "")
    if what == "another session":
        visitor.set_cookie(SESSION, "")
        visitor.sign_in(ana)
    if what == "prefetched":
        headers = {"Sec-Purpose": "prefetch"}
    page = visitor.request("GET", f"/oauth/authorize/{handle_in(consent)}", headers=headers)
    assert (page.status, visitor.to) == (400, "")
    assert START_AGAIN in page.text
