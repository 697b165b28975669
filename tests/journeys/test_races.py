"""Everything that works once, asked for by six at one moment, of two workers: one gets it, and nobody sees a fault."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.browser import Browser, Page
from tests.database_servers import DatabaseServer
from tests.journeys.application import Application, at_once, is_refusal
from tests.journeys.conftest import documented_variables
from tests.journeys.person import Person
from tests.relying_party import RelyingParty
from tests.serving import ROOT, Server, serving
from tests.waiting import HANG_SECONDS

SIX = 6


@pytest.fixture(scope="module", params=["mariadb", "mysql", "sqlite"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_name: str
) -> Iterator[Server]:
    database = {}
    if request.param != "sqlite":
        chosen: DatabaseServer = request.getfixturevalue(f"{request.param}_server")
        database = documented_variables(chosen, worker_name, "races")
    with serving(tmp_path_factory.mktemp("home"), database=database, workers=2) as running:
        yield running
        assert running.traces == ""


@pytest.fixture(scope="module")
def app(server: Server, set_up: list[Page]) -> Application:
    return Application(server, Person("rosa"))


@pytest.fixture(scope="module")
def set_up(server: Server) -> list[Page]:
    """Six people follow one setup link, each with a name of their own. First of all: it works while there is nobody."""
    browsers = [Browser() for _ in range(SIX)]
    for browser in browsers:
        browser.get(server.setup_link)

    forms = [
        {"username": name, "email": f"{name}@example.com", "password": "violet kettle 71 harbour paints"}
        for name in (f"first{number}" for number in range(SIX))
    ]
    return at_once([partial(browser.fill, form) for browser, form in zip(browsers, forms, strict=True)])


def test_one_setup_link_makes_one_account(server: Server, set_up: list[Page]) -> None:
    assert Counter(page.status for page in set_up) == {200: 1, 404: SIX - 1}
    assert [page.path for page in set_up if page.status == 200] == ["/account/second-factor"]
    assert sum(user["username"].startswith("first") for user in server.mcp_core_json("user", "list")) == 1


@pytest.mark.slow
def test_one_code_gives_one_answer_and_the_second_redemption_revokes_it(app: Application) -> None:
    for _ in range(10):
        code = app.code()
        answers = at_once([partial(app.redeem, code)] * SIX)
        given = [answer.json() for answer in answers if answer.status_code == 200]
        assert len(given) == 1, [answer.text for answer in answers]
        assert sum(map(is_refusal, answers)) == SIX - 1, [answer.text for answer in answers]
        assert not app.is_alive(given[0]["access_token"])
        assert is_refusal(app.refresh(given[0]["refresh_token"]))


@pytest.mark.slow
def test_one_refresh_token_has_one_successor(app: Application) -> None:
    """Six parallel refreshes of the newest token leave one live chain: each answer has the same next token."""
    token = app.tokens()["refresh_token"]
    for _ in range(20):
        answers = at_once([partial(app.refresh, token)] * SIX)
        given = [answer.json() for answer in answers if answer.status_code == 200]
        assert len(given) + sum(map(is_refusal, answers)) == SIX, [answer.text for answer in answers]
        successors = {fields["refresh_token"] for fields in given}
        assert len(successors) == 1
        assert all(app.is_alive(fields["access_token"]) for fields in given)
        token = successors.pop()


_PROGRAM = """
import json, sys, requests
url, client_id = sys.argv[1:]
for line in sys.stdin:
    form = {"grant_type": "refresh_token", "refresh_token": line.strip(), "client_id": client_id}
    answer = requests.post(url, data=form, timeout=30)
    print(json.dumps([answer.status_code, answer.json()]), flush=True)
"""


def test_two_programs_share_a_refresh_token(app: Application, tmp_path: Path) -> None:
    """Two processes of one user read the same token from their disk (some coding tools do) and both refresh it."""
    script = tmp_path / "program.py"
    script.write_text(_PROGRAM)
    command = [sys.executable, str(script), f"{app.server.issuer}/token", app.client_id]
    programs = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)
    ]
    try:
        token = app.tokens()["refresh_token"]
        for _ in range(10):
            for program in programs:
                assert program.stdin is not None
                program.stdin.write(f"{token}\n")
                program.stdin.flush()
            answers: list[tuple[int, dict[str, Any]]] = []
            for program in programs:
                assert program.stdout is not None
                answers.append(json.loads(program.stdout.readline()))
            assert [status for status, _ in answers] == [200, 200], answers
            assert len({fields["refresh_token"] for _, fields in answers}) == 1
            token = answers[0][1]["refresh_token"]
    finally:
        for program in programs:
            program.communicate(timeout=HANG_SECONDS)


@pytest.mark.slow
def test_revoking_wins_against_refreshing(app: Application) -> None:
    """Whoever comes first: when both have their answers, nothing of the family works any more."""
    for _ in range(10):
        token = app.tokens()["refresh_token"]
        *answers, revoked = at_once([partial(app.refresh, token)] * (SIX - 1) + [partial(app.revoke, token)])
        assert revoked.status_code == 200
        given = [answer.json() for answer in answers if answer.status_code == 200]
        assert len(given) + sum(map(is_refusal, answers)) == SIX - 1, [answer.text for answer in answers]
        for fields in given:
            assert not app.is_alive(fields["access_token"])
            assert is_refusal(app.refresh(fields["refresh_token"]))
        assert is_refusal(app.refresh(token))


def _copies(browser: Browser, count: int) -> list[Browser]:
    """The same browser several times: one jar's cookies, one page in front of it."""
    copies = []
    for _ in range(count):
        copy = Browser(*browser.stop_at)
        copy.session.cookies.update(browser.session.cookies)
        copy.page = browser.page
        copies.append(copy)
    return copies


@pytest.mark.parametrize("sign_ins", [1, SIX])
def test_one_totp_code_signs_in_once(app: Application, sign_ins: int) -> None:
    """Six who know the password and saw one code, each with a sign-in of their own; or one form sent six times."""
    server, person = app.server, Person(f"tilda{sign_ins}")
    server.user(person.username, person.password, "--verified")
    browser = Browser()
    browser.get(f"{server.origin}/login")
    person.sign_in(browser)
    person.enrol(browser)
    browsers = [Browser() for _ in range(sign_ins)]
    for waiting in browsers:
        waiting.get(f"{server.origin}/login")
        waiting.fill({"username": person.username, "password": person.password})
    if sign_ins == 1:
        browsers = _copies(browsers[0], SIX)
    code = {"code": person.next_code()}
    pages = at_once([partial(waiting.fill, code) for waiting in browsers])
    seen = Counter(page.path if page.status == 200 else str(page.status) for page in pages)
    assert seen["/account"] == 1, seen
    assert set(seen) <= {"/account", "/login", "400", "429"}, seen
    assert sum(waiting.cookie(f"mcp_session_{server.port}") is not None for waiting in browsers) == 1


def test_one_consent_form_gives_one_code(app: Application) -> None:
    server, person = app.server, Person("carla")
    server.user(person.username, person.password, "--verified")
    callback = "https://files.example/callback"
    made = server.mcp_core_json("client", "create", "--name", "Files", "--redirect-uri", callback)
    party = RelyingParty(server.issuer, made["client_id"], callback, made["client_secret"])
    browser = Browser(callback)
    browser.get(f"{server.origin}/login")
    person.sign_in(browser)
    for _ in range(5):
        consent = browser.get(party.authorization_url(prompt="consent"))
        form = consent.form(action="/consent")
        pages = at_once([partial(copy.submit, form, button="allow") for copy in _copies(browser, SIX)])
        answered = [page for page in pages if page.status == 0]
        assert {page.status for page in pages} <= {0, 400}
        assert len({page.url for page in answered}) == 1, "whoever comes later gets the same one, while it is unused"
        assert party.redeem(party.code_from(answered[0].url)).id_token


def test_one_wrong_secret_by_six_is_counted_and_no_fault(app: Application) -> None:
    """The first failures of a window all want to begin the same counter."""

    def guess() -> requests.Response:
        return requests.post(
            f"{app.server.issuer}/token",
            data={"grant_type": "client_credentials"},
            auth=("app_nobody", "x" * 40),
            timeout=HANG_SECONDS,
        )

    assert {answer.status_code for answer in at_once([guess] * SIX)} == {401}
