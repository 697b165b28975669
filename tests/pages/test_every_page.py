"""A crawl of everything that people can be shown, in both languages: headers, cookies, markup (A-71, A-77, A-97, A-99)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from werkzeug.exceptions import HTTPException

import provider
from provider.protocol.names import shown_name
from provider.security.crypto import Keyring
from tests.pages.every_page import ROUTES, walk
from tests.pages.site import ORIGIN, Site, Visitor
from tests.pages.walking import HOSTILE, Visit

HANGUL = re.compile("[가-힣]")
NO_STORE, NO_REFERRER = "no-store", "no-referrer"
LEADS_AWAY = re.compile(
    "^(login|sign-up for|waiting for an address|code|recovery code|consent|authorization error|second factor demanded|"
    "recovery codes|request over|again, for|members only)"
)


@pytest.fixture(scope="module", params=["en", "ko"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def visits(
    language: str, tmp_path_factory: pytest.TempPathFactory, migrated_sqlite_file: Path, keyring: Keyring
) -> Iterator[list[Visit]]:
    folder = tmp_path_factory.mktemp("walk")
    sites: list[Site] = []

    def make(**settings: Any) -> Site:
        sites.append(Site(folder / str(len(sites)), migrated_sqlite_file, keyring, **settings))
        return sites[-1]

    yield walk(make, language)
    for site in sites:
        site.close()


@pytest.fixture(scope="module")
def pages(visits: list[Visit]) -> list[Visit]:
    found = [visit for visit in visits if visit.is_html]
    assert len(found) > 45
    return found


def scripts_of(visit: Visit) -> list[str]:
    """Ours for every page with a form, and the one for passkeys where a form asks for any."""
    forms = visit.document.all("form") if visit.is_html else []
    return ["site.js"] * bool(forms) + ["passkeys.js"] * any("data-passkey" in form for form in forms)


def test_the_list_of_routes_is_complete(site: Site) -> None:
    mounted: dict[str, set[str]] = {}
    for rule in site.app.url_map.iter_rules():
        if "." in rule.endpoint and not rule.endpoint.startswith("endpoint "):
            mounted.setdefault(rule.rule, set()).update((rule.methods or set()) - {"HEAD", "OPTIONS"})
    assert mounted == ROUTES, "add the page to ROUTES and to the walk, so that the crawl checks it"


def test_the_walk_sees_every_route(site: Site, visits: list[Visit]) -> None:
    adapter = site.app.url_map.bind("id.example")
    seen = set()
    for visit in visits:
        try:
            rule, _values = adapter.match(urlsplit(visit.page.url).path, visit.method, return_rule=True)
        except HTTPException:
            continue
        seen.add((rule.rule, visit.method))
    assert {(rule, method) for rule, methods in ROUTES.items() for method in methods} <= seen


def test_every_answer_is_protected(visits: list[Visit]) -> None:
    for visit in visits:
        headers = visit.page.headers
        assert headers["X-Content-Type-Options"] == "nosniff", visit.name
        assert headers["Strict-Transport-Security"] == "max-age=63072000; includeSubDomains", visit.name
        assert headers["Cache-Control"] == NO_STORE, visit.name
        assert not [name for name in headers if name.lower().startswith("access-control-")], visit.name
        policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
        form_action = policy.pop("form-action", None)
        script = policy.pop("script-src", None)
        has_form = visit.is_html and bool(visit.document.all("form"))
        scripts = [f"{ORIGIN}/static/{name}" for name in scripts_of(visit)]
        assert script == (" ".join(scripts) if has_form else None), visit.name
        assert policy == {
            "default-src": "'none'",
            "style-src": "'self'",
            "img-src": "'self'",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
        }, visit.name
        assert form_action == "'self'" or (form_action is None and LEADS_AWAY.match(visit.name)), visit.name


def test_pages_on_the_way_to_an_application_leave_a_popup_its_opener(visits: list[Visit]) -> None:
    """Browsers count a redirect's policy too; account pages can't be reached by a window that opened them."""
    ways = {"same-origin": 0, "unsafe-none": 0}
    for visit in visits:
        policy = visit.page.headers.get("Cross-Origin-Opener-Policy")
        if 300 <= visit.page.status < 400:
            assert policy is None, visit.name
            continue
        leads_on = "request=" in visit.page.url or visit.page.url.startswith("/oauth/")
        assert policy == ("unsafe-none" if leads_on else "same-origin"), visit.name
        ways[policy] += 1
    assert min(ways.values()) >= 6, ways


def test_only_pages_with_forms_tell_our_own_origin_where_one_came_from(visits: list[Visit]) -> None:
    """From a ``no-referrer`` page Chrome posts ``Origin: null``, which is refused."""
    for visit in visits:
        has_form = visit.is_html and bool(visit.document.all("form"))
        expected = "same-origin" if has_form else NO_REFERRER
        assert visit.page.headers["Referrer-Policy"] == expected, visit.name


def test_every_cookie_is_bound_to_this_host_and_out_of_reach_of_scripts(visits: list[Visit]) -> None:
    names = set()
    for visit in visits:
        for cookie in visit.cookies:
            pair, *attributes = (part.strip() for part in cookie.split(";"))
            given = {attribute.partition("=")[0].lower(): attribute.partition("=")[2] for attribute in attributes}
            assert pair.startswith("__Host-mcp_"), (visit.name, cookie)
            assert {"secure", "httponly"} <= set(given), (visit.name, cookie)
            assert (given["path"], given["samesite"]) == ("/", "Lax"), (visit.name, cookie)
            assert "domain" not in given, (visit.name, cookie)
            names.add(re.sub("_[0-9a-f]{12}$", "", pair.partition("=")[0]))
        assert sum(map(len, visit.cookies)) < 4096, visit.name
    assert names == {
        f"__Host-mcp_{name}"
        for name in ("browser", "session", "step", "locale", "device", "remembered", "notice", "theme")
    }


def test_no_page_has_a_script_but_our_file_nor_styles_nor_anything_from_elsewhere(pages: list[Visit]) -> None:
    for visit in pages:
        scripts = visit.document.all("script")
        assert len(scripts) == visit.page.html.lower().count("<script") == len(scripts_of(visit)), visit.name
        for name, script in zip(scripts_of(visit), scripts, strict=True):
            assert re.fullmatch(rf"/static/{re.escape(name)}\?v=[0-9a-f]{{12}}", script.get("src")), visit.name
            assert (script.text, "defer" in script) == ("", True), visit.name
        for element in visit.document.elements:
            assert element.tag not in ("style", "iframe", "object", "embed", "base"), visit.name
            assert not [name for name in element.attributes if name.startswith("on") or name == "style"], visit.name
            for name in ("src", "href", "action", "formaction", "srcset", "poster", "xlink:href"):
                target = urlsplit(element.get(name))
                is_way_back = element.get("rel") == "noreferrer" and "with a way back" in visit.name
                assert is_way_back or not (target.scheme or target.netloc), (visit.name, element.get(name))
        assert [link.get("rel") for link in visit.document.all("link")] == ["stylesheet", "icon", "apple-touch-icon"], (
            visit.name
        )


def test_hostile_names_are_text_and_nothing_else(pages: list[Visit]) -> None:
    named = {visit.name: visit for visit in pages}
    for name in ("login for an application", "consent", "apps"):
        assert f"“{shown_name(HOSTILE)}”" in named[name].document.one("main").text, name
    assert named["login, wrong"].document.by_id("username").get("value") == HOSTILE
    assert HOSTILE[:60] in named["new key, with APIs"].document.by_id("resource").text
    assert HOSTILE[:64] in named["keys"].document.one("table").text
    for visit in pages:
        assert "<img src=x" not in visit.page.html, visit.name
        assert "49" not in visit.document.one("title").text, visit.name
        assert HOSTILE not in visit.page.html, visit.name
        assert {img.get("src").partition("?")[0] for img in visit.document.all("img")} <= {"/static/mark.svg"}


def test_every_page_says_its_language_title_and_heading(language: str, pages: list[Visit]) -> None:
    for visit in pages:
        document = visit.document
        assert visit.page.html.startswith("<!DOCTYPE html>"), visit.name
        assert visit.page.headers["Content-Type"] == "text/html; charset=utf-8", visit.name
        assert document.one("html").get("lang") == language, visit.name
        heading = document.one("h1").text
        title = document.one("title").text
        assert heading in title, visit.name
        assert title.endswith("– MCP Core"), visit.name
        assert bool(HANGUL.search(heading)) == (language == "ko"), (visit.name, heading)
        assert document.one("main").get("id") == "main", visit.name
        ids = [element.get("id") for element in document.elements if "id" in element]
        assert len(ids) == len(set(ids)), visit.name
        levels = [int(element.tag[1]) for element in document.all("h1", "h2", "h3", "h4")]
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels)), (visit.name, levels)


def test_every_field_has_a_visible_label(pages: list[Visit]) -> None:
    for visit in pages:
        document = visit.document
        labels = {label.get("for"): label.text for label in document.all("label") if "for" in label}
        for control in document.all("input", "select", "textarea"):
            if control.get("type") == "hidden":
                continue
            around = next((parent for parent in control.parents if parent.tag == "label"), None)
            assert labels.get(control.get("id")) or (around and around.text), (visit.name, control)
            assert control.get("placeholder") == "", (visit.name, control)
        for control in document.all("button", "a", "summary"):
            assert control.text or control.get("aria-label"), (visit.name, control)
        for image in document.all("img"):
            assert "alt" in image, visit.name
        for element in document.elements:
            assert element.get("tabindex") in ("", "0", "-1"), visit.name


def test_what_aria_points_at_is_there(pages: list[Visit]) -> None:
    for visit in pages:
        document = visit.document
        for element in document.elements:
            for name in ("aria-describedby", "aria-labelledby", "for"):
                for target in element.get(name).split():
                    assert document.by_id(target).text or name == "for", (visit.name, target)
            if element.tag == "a" and element.get("href").startswith("#"):
                document.by_id(element.get("href")[1:])
        typed = [it for it in document.all("input") if it.get("type") in ("text", "email", "password")]
        is_no_form_first = "second factor" in visit.name or visit.page.url.startswith(("/account", "/signup/address"))
        assert not typed or "autofocus" in visit.page.html or is_no_form_first, visit.name


def test_a_form_that_came_back_says_what_is_wrong_once_and_begins_there(language: str, pages: list[Visit]) -> None:
    marks = ("mistakes", "wrong", "nothing typed", "too much", "no code", "not taken", "throttled")
    returned = [visit for visit in pages if visit.page.status in (400, 429) and any(m in visit.name for m in marks)]
    assert len(returned) >= 10
    for visit in returned:
        document = visit.document
        assert document.one("title").text.startswith({"en": "Error:", "ko": "오류:"}[language]), visit.name
        boxes = [element for element in document.elements if element.get("role") == "alert"]
        mistakes = [element for element in document.all("p") if element.get("class") == "mistake"]
        assert boxes or mistakes, visit.name
        for said in (*boxes, *mistakes):
            assert said.text, visit.name
            alike = [it for it in (*boxes, *mistakes) if it.text == said.text]
            assert visit.page.text.count(said.text) == len(alike), (visit.name, said.text)
        invalid = [element for element in document.elements if element.get("aria-invalid") == "true"]
        described = [name for element in invalid for name in element.get("aria-describedby").split()]
        fieldsets = [name for it in document.all("fieldset") for name in it.get("aria-describedby").split()]
        assert {element.get("id") for element in mistakes} <= {*described, *fieldsets}, visit.name
        first = boxes or [*invalid, *(it for it in document.all("fieldset") if "autofocus" in it)]
        assert [it for it in document.elements if "autofocus" in it] == first[:1], visit.name
    for visit in pages:
        if visit not in returned:
            assert not re.match("Error:|오류:", visit.document.one("title").text), visit.name
            assert "aria-invalid" not in visit.page.html, visit.name


def test_no_sentence_runs_into_the_next(pages: list[Visit]) -> None:
    """Templates cut blanks at the end of a line of theirs, and so between two sentences."""
    together = re.compile(r"[a-z가-힣)”][.?](?=[A-Z가-힣“][a-z가-힣]|[가-힣])")
    assert together.search("it too.It was")
    assert together.search("삭제하세요.마지막")
    for visit in pages:
        for element in visit.document.all("p", "h1", "h2", "h3"):
            assert not together.search(element.text), (visit.name, element.text)


def test_a_page_with_all_that_it_loads_is_light(pages: list[Visit]) -> None:
    static = Path(provider.__file__).parent / "static"
    shared = (static / "site.css").stat().st_size + (static / "mark.svg").stat().st_size
    for visit in pages:
        scripts = sum((static / name).stat().st_size for name in scripts_of(visit))
        assert shared + scripts + len(visit.page.html.encode()) < 60_000, visit.name


def test_passwords_and_codes_are_never_sent_back(visits: list[Visit]) -> None:
    for visit in visits:
        if visit.is_html:
            for control in visit.document.all("input"):
                secretive = control.get("type") == "password" or control.get("autocomplete") == "one-time-code"
                assert not secretive or control.get("value") == "", visit.name


def test_static_files_are_kept_for_good_under_an_address_that_names_their_content(visitor: Visitor) -> None:
    page = visitor.get("/login")
    sheet = next(link.get("href") for link in visitor.document.all("link") if link.get("rel") == "stylesheet")
    assert re.fullmatch(r"/static/site\.css\?v=[0-9a-f]{12}", sheet)
    assert "mark.svg?v=" in page.html
    answer = visitor.get(sheet)
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert visitor.get("/static/site.css").headers["Cache-Control"] == "no-cache"
    assert visitor.get("/static/nothing.css").headers["Cache-Control"] == NO_STORE


def test_an_answer_that_leads_to_an_application_tells_nothing_of_where_it_came_from(site: Site) -> None:
    visitor = Visitor(site)
    visitor.sign_in(site.account("ana"))
    visitor.ask(site.client(is_trusted=True))
    assert visitor.to.startswith("https://files.example/callback?code=")
    assert visitor.page.headers["Referrer-Policy"] == NO_REFERRER
    assert visitor.page.headers["Cache-Control"] == NO_STORE
    assert ORIGIN not in visitor.to.partition("iss=")[0]
