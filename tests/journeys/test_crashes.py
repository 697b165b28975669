"""The end that nobody expects, under load: of the server, of its database; and the ordinary end. Nothing is lost or doubled.

Clients remember what they got. Afterwards the tokens they hold must work, and what they asked for without an answer can be
asked for again.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import text

from database.connection import create_engine_for
from tests.browser import Browser, Page
from tests.database_servers import MariaDBServer
from tests.journeys.application import Application, Code, Storm, is_refusal
from tests.journeys.conftest import documented_variables
from tests.journeys.person import Person
from tests.serving import Server, serving
from tests.waiting import HANG_SECONDS, eventually

CLIENTS = 6
CODES_OF_A_STORM = 300  # more than are redeemed until the server that was told to stop takes no more

Rows = Callable[[str], list[Any]]


@pytest.fixture(params=["mariadb", "sqlite"])
def crashing(request: pytest.FixtureRequest, tmp_path: Path, worker_name: str) -> Iterator[tuple[Application, Rows]]:
    """A server of two workers that a test may kill, and a look into its database."""
    database, url = {}, f"sqlite:///{tmp_path / 'instance' / 'mcp-core.db'}"
    if request.param == "mariadb":
        mariadb: MariaDBServer = request.getfixturevalue("mariadb_server")
        database = documented_variables(mariadb, worker_name, "crashes")
        url = mariadb.url(database["MYSQL_DATABASE"]).render_as_string(hide_password=False)
    with serving(tmp_path, database=database, workers=2) as server:
        engine = create_engine_for(url)

        def rows(statement: str) -> list[Any]:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(text(statement))]

        yield Application(server, Person("rosa")), rows
        engine.dispose()
        assert server.traces == ""


class Redemptions:
    """Clients that redeem ``codes`` one after the other, and what each code has given them."""

    def __init__(self, app: Application, codes: list[Code]) -> None:
        self._app = app
        self._left = iter(codes)
        self.given: dict[Code, dict[str, Any]] = {}
        self.unanswered: list[Code] = []

    def step(self, _number: int) -> None:
        code = next(self._left, None)
        if code is None:
            time.sleep(0.01)
            return
        try:
            answer = self._app.redeem(code)
        except requests.RequestException:
            self.unanswered.append(code)
        else:
            assert answer.status_code == 200, answer.text
            self.given[code] = answer.json()


@pytest.mark.slow
def test_a_killed_server_has_given_each_code_its_tokens_once_or_not_at_all(crashing: tuple[Application, Rows]) -> None:
    app, rows = crashing
    for _ in range(2):
        clients = Redemptions(app, app.codes(80))
        with Storm(CLIENTS, clients.step):
            eventually(lambda given=clients.given: len(given) >= 20)  # type: ignore[misc]
            app.server.kill()
        app.server.start()
        assert clients.unanswered, "the server was killed after the storm"
        for fields in clients.given.values():
            assert app.is_alive(fields["access_token"]), "a token that was handed out is gone"
        again = [app.redeem(code) for code in clients.unanswered]
        refused = [answer for answer in again if answer.status_code != 200]
        assert all(map(is_refusal, refused)), [answer.text for answer in refused]
        assert len(refused) <= CLIENTS, "only a request that was under way may have used its code up"
        assert all(app.is_alive(answer.json()["access_token"]) for answer in again if answer.status_code == 200)
        print(f"{len(clients.given)} answered, {len(again)} asked again, {len(refused)} of them had been used up")

    doubled = "SELECT grant_id FROM {} GROUP BY grant_id HAVING COUNT(*) > 1"
    assert rows(doubled.format("issued_tokens")) == []
    assert rows(doubled.format("refresh_tokens")) == []
    used = sorted(rows("SELECT grant_id FROM authorization_codes WHERE used_at IS NOT NULL"))
    assert used == sorted(rows("SELECT grant_id FROM issued_tokens"))
    assert used == sorted(rows("SELECT grant_id FROM refresh_tokens"))


@pytest.mark.slow
def test_refreshing_goes_on_after_a_killed_server(crashing: tuple[Application, Rows]) -> None:
    """Who got no answer, or lost it, asks again with the token at hand. No family ends, none has two living tokens."""
    app, rows = crashing
    held = [app.tokens()["refresh_token"] for _ in range(CLIENTS)]
    seen: Counter[str] = Counter()

    def refresh(number: int) -> None:
        seen["asked"] += 1
        try:
            answer = app.refresh(held[number])
        except requests.RequestException:
            seen["unanswered"] += 1
            time.sleep(0.02)
            return
        assert answer.status_code == 200, answer.text
        if seen["asked"] % 5 == 0:
            seen["lost"] += 1  # the client ended before it wrote the answer down
            return
        held[number] = answer.json()["refresh_token"]
        seen["refreshed"] += 1

    with Storm(CLIENTS, refresh):
        for _ in range(3):
            goal = seen["refreshed"] + 30
            eventually(lambda goal=goal: seen["refreshed"] >= goal)  # type: ignore[misc]
            app.server.kill()
            app.server.start()
        goal = seen["refreshed"] + 30
        eventually(lambda: seen["refreshed"] >= goal)
    print(dict(seen))
    assert seen["unanswered"]
    assert seen["lost"]
    assert all(app.refresh(token).status_code == 200 for token in held)
    families = defaultdict(list)
    for grant_id, generation, used_at in rows("SELECT grant_id, generation, used_at FROM refresh_tokens"):
        families[grant_id].append((generation, used_at is not None))
    assert len(families) == CLIENTS
    for family in families.values():
        assert sorted(family) == [(number, number < len(family) - 1) for number in range(len(family))]
    assert rows("SELECT id FROM oauth_grants WHERE revoked_at IS NOT NULL") == []


class Watched:
    """Answers by kind of request, in a time of faults. ``good`` is what a kind says when all is well."""

    def __init__(self, good: dict[str, int]) -> None:
        self.good = good
        self.seen: Counter[tuple[str, int]] = Counter()

    def note(self, kind: str, answer: requests.Response | Page) -> bool:
        """Whether it was the good answer. Anything but that or an honest 503 ends the test."""
        status = answer.status if isinstance(answer, Page) else answer.status_code
        self.seen[kind, status] += 1
        if status == self.good[kind]:
            return True
        assert status == 503, f"{kind}: {status}"
        assert int(answer.headers["Retry-After"]) > 0
        time.sleep(0.05)
        return False

    def all_good_from_now_on(self) -> Callable[[], bool]:
        """Whether every kind has had its good answer after this call."""
        before = self.seen.copy()
        return lambda: all(self.seen[answer] > before[answer] for answer in self.good.items())


@pytest.fixture(scope="module")
def own_mariadb() -> Iterator[MariaDBServer]:
    server = MariaDBServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def on_mariadb(
    own_mariadb: MariaDBServer, tmp_path_factory: pytest.TempPathFactory, worker_name: str
) -> Iterator[Application]:
    database = documented_variables(own_mariadb, worker_name, "outage")
    with serving(tmp_path_factory.mktemp("home"), database=database, workers=2) as server:
        yield Application(server, Person("rosa"))
        # Lost connections may leave traces in the log, of the pool's. What is said of a 500 must not be there.
        assert " failed [" not in server.log_text()


@pytest.mark.slow
def test_the_service_comes_back_by_itself_after_its_database(
    on_mariadb: Application, own_mariadb: MariaDBServer
) -> None:
    app, server = on_mariadb, on_mariadb.server
    person = Person("paula")
    server.user(person.username, person.password, "--verified")
    service = server.mcp_core_json("client", "create", "--name", "Backup", "--grant", "client_credentials")
    secret = (service["client_id"], service["client_secret"])
    held = [app.tokens()["refresh_token"] for _ in range(2)]
    watched = Watched({"refresh": 200, "service": 200, "code": 200, "sign in": 200, "metadata": 200, "jwks": 200})

    def step(number: int) -> None:
        if number < 2:
            answer = app.refresh(held[number])
            if watched.note("refresh", answer):
                held[number] = answer.json()["refresh_token"]
        elif number == 2:
            form = {"grant_type": "client_credentials"}
            watched.note(
                "service", requests.post(f"{server.issuer}/token", data=form, auth=secret, timeout=HANG_SECONDS)
            )
        elif number == 3:
            code = app.try_code()
            if not isinstance(code, Code):
                watched.note("code", code)
            else:
                watched.note("code", app.redeem(code))
        elif number == 4:
            browser = Browser()
            page = browser.get(f"{server.origin}/login")
            if page.status == 200:
                page = browser.fill({"username": person.username, "password": person.password})
                assert page.status != 200 or page.path == "/account"
            watched.note("sign in", page)
            time.sleep(0.3)
        else:
            for kind, path in (("metadata", "/.well-known/openid-configuration"), ("jwks", "/jwks")):
                watched.note(kind, requests.get(server.issuer + path, timeout=HANG_SECONDS))

    with Storm(6, step):
        for _ in range(2):
            eventually(watched.all_good_from_now_on())
            own_mariadb.kill()
            time.sleep(2)
            own_mariadb.start()
            eventually(watched.all_good_from_now_on())
    print(dict(watched.seen))
    assert {kind for kind, status in watched.seen if status == 503} >= {"refresh", "service", "code", "sign in"}
    for kind in ("metadata", "jwks"):
        assert watched.seen[kind, 503] == 0, "what is published needs no database"
    with own_mariadb.connect(server.database["MYSQL_DATABASE"]) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM user_audit_log WHERE outcome <> 'ok'")
        assert cursor.fetchone() == (0,), "a fault was taken for somebody's mistake"


def test_a_fault_of_the_database_is_no_wrong_password_and_no_wrong_secret(
    on_mariadb: Application, own_mariadb: MariaDBServer
) -> None:
    """More right passwords than wrong ones would be allowed, all during an outage: nobody is locked out by them."""
    server, person = on_mariadb.server, on_mariadb.person
    service = server.mcp_core_json("client", "create", "--name", "Backup", "--grant", "client_credentials")

    def service_token() -> requests.Response:
        return requests.post(
            f"{server.issuer}/token",
            data={"grant_type": "client_credentials"},
            auth=(service["client_id"], service["client_secret"]),
            timeout=HANG_SECONDS,
        )

    browser = Browser()
    login = browser.get(f"{server.origin}/login")

    def sign_in() -> Page:
        browser.page = login  # as somebody does who goes back and tries again
        return browser.fill({"username": person.username, "password": person.password})

    own_mariadb.kill()
    for _ in range(12):
        page = sign_in()
        assert page.status == 503, page.text
        assert page.headers.get("Retry-After") in ("5", "2"), "2 for who has been refused very often"
        assert "wrong" not in page.text.lower()
    for _ in range(22):
        assert service_token().status_code == 503
    own_mariadb.start()
    page = eventually(lambda: found if (found := sign_in()).status != 503 else None)
    assert (page.status, page.path) == (200, "/account")
    assert eventually(lambda: found if (found := service_token()).status_code != 503 else None).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_lets_the_requests_in_hand_be_answered(tmp_path: Path, workers: int) -> None:
    """Sign-ins whose password hash takes a while are finished. What gets no answer any more was not begun either."""
    with serving(tmp_path, workers=workers, threads=6, settings={"MCP_ARGON2_TIME_COST": "40"}) as server:
        app = Application(server, Person("rosa"))
        browsers = [Browser(f"{server.origin}/account") for _ in range(3)]
        for browser in browsers:
            browser.get(f"{server.origin}/login")
        clients = Redemptions(app, app.codes(CODES_OF_A_STORM))
        with ThreadPoolExecutor(len(browsers)) as pool:
            right = {"username": app.person.username, "password": app.person.password}
            sign_ins = [pool.submit(browser.fill, right) for browser in browsers]
            eventually(lambda: hashing_threads(server) == len(browsers))
            with Storm(CLIENTS, clients.step):  # the last to begin: its codes are not to be used up before the signal
                eventually(lambda: len(clients.given) >= 4)
                assert not any(sign_in.done() for sign_in in sign_ins), "they are to be under way"
                os.kill(server.pid, signal.SIGTERM)
                assert [sign_in.result().trail[-1][0] for sign_in in sign_ins] == [303] * len(browsers)
                eventually(lambda: server.has_ended)
        assert all(browser.cookie(f"mcp_session_{server.port}") for browser in browsers)
        server.kill()
        server.start()
        assert len(clients.given) < CODES_OF_A_STORM, "the storm went on"
        assert all(app.is_alive(fields["access_token"]) for fields in clients.given.values())
        assert {app.redeem(code).status_code for code in clients.unanswered} == {200}
        print(f"{len(clients.given)} answered, {len(clients.unanswered)} not")


def hashing_threads(server: Server) -> int:
    """How many sign-ins are being looked at: hashes are made by threads that let others go first, and stay when they have
    made one (proc(5))."""
    found = 0
    for pid in server.processes():
        usual = niceness_and_state(Path(f"/proc/{pid}/stat"))[0]
        threads = [niceness_and_state(task / "stat") for task in Path(f"/proc/{pid}/task").iterdir()]
        found += sum(niceness > usual and state == "R" for niceness, state in threads)
    return found


def niceness_and_state(stat: Path) -> tuple[int, str]:
    fields = stat.read_text().rpartition(")")[2].split()
    return int(fields[16]), fields[0]
