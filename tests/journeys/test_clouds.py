"""In a real Chromium: AWS connected without a secret, tested in vain, mended in the cloud, and tested well."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from provider.vault.guides import Kind
from tests.clouds.printed import told
from tests.clouds.role_keys import AwsSts
from tests.clouds.trust import Trust
from tests.journeys.person import Person
from tests.journeys.test_chromium import MISFITS, PHONE, Open, complaints, open_browser
from tests.serving import Server, serving
from tests.vault.samples import keyless_fields

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["open_browser"]
WORDS = {
    "en": (
        "Cloud accounts",
        "It works: Amazon Web Services gave credentials",
        "did not let this service take the role",
    ),
    "ko": ("클라우드 계정", "연결되었습니다. Amazon", "역할 또는 계정 사용을 허용하지 않았습니다"),
}


@pytest.fixture
def sts() -> Iterator[AwsSts]:
    made = AwsSts(Trust(), keyless_fields("aws"))
    yield made
    made.close()


@pytest.fixture
def server(tmp_path: Path, sts: AwsSts) -> Iterator[Server]:
    """One that may ask the local STS, as operators allow hosts that are not on the public internet."""
    ways = {"MCP_OUTBOUND_ALLOWED_HOSTS": sts.server.host, "MCP_OUTBOUND_CA_FILE": str(sts.server.authority)}
    with serving(tmp_path / "home", settings=ways) as running:
        yield running


def sign_in(page: Page, server: Server, person: Person, language: str) -> None:
    server.user(person.username, person.password, "--verified")
    page.goto(f"{server.origin}/login")
    with page.expect_navigation():
        page.locator(f"button[name=language][value={language}]").click()
    page.locator("#username").fill(person.username)
    page.locator("#password").fill(person.password)
    with page.expect_navigation():
        page.locator("#password").press("Enter")


@pytest.mark.parametrize("language, scripts", [("en", True), ("en", False), ("ko", False)])
def test_aws_from_a_trust_policy_to_a_test_that_works(
    server: Server, sts: AwsSts, open_browser: Open, language: str, scripts: bool
) -> None:
    heading, works, refused = WORDS[language]
    page = open_browser(viewport=PHONE, is_mobile=True, java_script_enabled=scripts).new_page()
    wrong = complaints(page, server)
    sign_in(page, server, Person("ana"), language)
    page.goto(f"{server.origin}/account/clouds")
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    page.goto(f"{server.origin}/account/clouds/new/aws/keyless?label=work")
    expect(page.get_by_text(server.issuer).first).to_be_visible()

    # The person has copied the policy, and changed one letter of the subject.
    policy, commands = (str(page.locator("pre").nth(index).text_content()) for index in range(2))
    shown = told("aws", {Kind.POLICY: policy, Kind.COMMANDS: commands})
    assert shown.issuer == server.issuer
    sts.trust.issuer, sts.trust.audiences, sts.trust.subject = shown.issuer, shown.audiences, shown.subject[:-1]
    page.locator("#role_arn").fill(sts.said["role_arn"])
    page.locator("details", has=page.locator("#endpoint")).locator("summary").click()
    page.locator("#endpoint").fill(f"{sts.url}/")
    with page.expect_navigation():
        page.locator("#typed button.button").first.click()

    def test() -> None:
        with page.expect_navigation():
            page.locator("#test button").click()

    test()
    alert = page.get_by_role("alert").filter(has_text=re.compile(refused))
    expect(alert).to_be_visible()
    expect(alert).to_contain_text(":cloud:work")
    expect(page.locator("#test pre")).to_have_text(
        "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity"
    )
    assert page.evaluate(MISFITS) == []

    sts.trust.is_reached = False
    test()
    expect(page.locator("#test pre")).to_contain_text("IDPCommunicationError")
    sts.trust.is_reached, sts.trust.subject = True, shown.subject
    test()
    expect(page.get_by_role("status").filter(has_text=works)).to_be_visible()
    assert page.evaluate(MISFITS) == []
    assert sts.given == [shown.subject]
    assert "ASIA" not in page.content(), "what the cloud gave is thrown away"
    assert wrong == []
