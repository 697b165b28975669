"""The page that posts an answer, in a real Chromium, which enforces the policy beside it. With scripts and without."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Request, Route
from sqlalchemy import Engine

from tests.endpoints.browsing import Browser, request_of
from tests.endpoints.provider import REDIRECT_URI, ProviderFactory
from tests.endpoints.wsgi import encoded

pytestmark = [pytest.mark.browser, pytest.mark.slow]
STATE = "글 '\"><script>window.evil=1</script>&amp; +%25"


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("changes", [{}, {"scope": "unknown"}], ids=["code", "error"])
def test_chromium_posts_the_answer(
    sqlite_engine: Engine, make_provider: ProviderFactory, chromium: Chromium, scripts: bool, changes: dict[str, str]
) -> None:
    ours = Browser(make_provider(sqlite_engine))
    ours.sign_in(ours.provider.user())
    client = ours.provider.client(is_trusted=True)
    asked = request_of(client, response_mode="form_post", state=STATE, **changes)
    arrived: list[Request] = []
    problems: list[str] = []

    def answer(route: Route) -> None:
        parts = urlsplit(route.request.url)
        if parts.netloc != "localhost:8000":
            arrived.append(route.request)
            route.fulfill(status=200, content_type="text/html", body="<title>arrived</title>")
            return
        made = ours.get(f"{parts.path}?{parts.query}")
        route.fulfill(status=made.status, headers=dict(made.headers), body=made.body)

    page = chromium.new_page(java_script_enabled=scripts)
    page.on("console", lambda message: problems.append(message.text))
    page.route("**/*", answer)
    page.goto(f"http://localhost:8000/oauth/authorize?{encoded(asked).decode()}")
    if not scripts:
        page.get_by_role("button", name="Continue").or_(page.get_by_role("button", name="계속")).click()
    page.wait_for_url(REDIRECT_URI)
    assert page.title() == "arrived"
    (request,) = [item for item in arrived if item.url.startswith(REDIRECT_URI)]
    assert (request.method, request.url) == ("POST", REDIRECT_URI)
    fields = dict(parse_qsl(request.post_data or "", strict_parsing=True))
    assert fields["state"] == STATE
    assert fields["iss"] == ours.provider.issuer
    assert ("code" in fields) is not bool(changes)
    assert "referer" not in request.headers
    assert problems == []
