"""An application that many threads use at once: codes without a page, and what the token endpoint says, unchecked.

It is a trusted client of somebody who is signed in, so that a code costs one request. What answers mean, tests say.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit

import requests

from tests.browser import Browser
from tests.journeys.person import Person
from tests.relying_party import b64url
from tests.serving import Server
from tests.waiting import HANG_SECONDS

CALLBACK = "http://127.0.0.1/callback"
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Code:
    value: str
    verifier: str


class Application:
    """A public native client with refresh tokens, and the browser of ``person``, who is made and signed in."""

    def __init__(self, server: Server, person: Person) -> None:
        self.server, self.person = server, person
        server.user(person.username, person.password, "--verified")
        made = server.mcp_core_json(
            *("client", "create", "--name", f"The app of {person.username}", "--public", "--native", "--trusted"),
            *("--redirect-uri", CALLBACK),
        )
        self.client_id: str = made["client_id"]
        self.browser = Browser()
        self.browser.get(f"{server.origin}/login")
        page = person.sign_in(self.browser)
        assert (page.status, page.path) == (200, "/account"), page.text
        self._cookies = {cookie.name: str(cookie.value) for cookie in self.browser.session.cookies}

    def code(self) -> Code:
        made = self.try_code()
        assert isinstance(made, Code), made.text
        return made

    def try_code(self) -> Code | requests.Response:
        """A code, or what was answered instead."""
        verifier = secrets.token_urlsafe(48)
        fields = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "scope": "openid offline_access",
            "code_challenge": b64url(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        answer = requests.get(
            f"{self.server.issuer}/authorize?{urlencode(fields)}",
            cookies=self._cookies,
            allow_redirects=False,
            timeout=HANG_SECONDS,
        )
        if answer.status_code != 303:
            return answer
        return Code(parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0], verifier)

    def codes(self, count: int) -> list[Code]:
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda _: self.code(), range(count)))

    def tokens(self) -> dict[str, Any]:
        """A fresh family of its own."""
        answer = self.redeem(self.code())
        assert answer.status_code == 200, answer.text
        fields: dict[str, Any] = answer.json()
        return fields

    def redeem(self, code: Code) -> requests.Response:
        return self.post(
            "token",
            grant_type="authorization_code",
            code=code.value,
            redirect_uri=CALLBACK,
            code_verifier=code.verifier,
        )

    def refresh(self, token: str) -> requests.Response:
        return self.post("token", grant_type="refresh_token", refresh_token=token)

    def revoke(self, token: str) -> requests.Response:
        return self.post("revoke", token=token)

    def post(self, endpoint: str, **fields: str) -> requests.Response:
        """One request on a connection of its own, which any worker may get."""
        form = {**fields, "client_id": self.client_id}
        return requests.post(f"{self.server.issuer}/{endpoint}", data=form, timeout=HANG_SECONDS)

    def is_alive(self, access_token: str) -> bool:
        """Whether the server still believes an access token: a public client may not introspect, but has a profile."""
        headers = {"Authorization": f"Bearer {access_token}"}
        answer = requests.get(f"{self.server.issuer}/userinfo", headers=headers, timeout=HANG_SECONDS)
        assert answer.status_code in (200, 401), answer.text
        return answer.status_code == 200


def is_refusal(answer: requests.Response) -> bool:
    return answer.status_code == 400 and answer.json()["error"] == "invalid_grant"


def at_once(calls: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """Calls all of them, each in a thread of its own, at one moment. The answers come in the order of ``calls``."""
    gate = threading.Barrier(len(calls))

    def through_the_gate(call: Callable[[], Answer]) -> Answer:
        gate.wait(HANG_SECONDS)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(through_the_gate, calls))


class Storm:
    """Threads that call ``step`` again and again, each with its number, until they are told to stop.

    A step that raises ends the test with its error.
    """

    def __init__(self, threads: int, step: Callable[[int], None]) -> None:
        self._over = threading.Event()
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(number, step)) for number in range(threads)]

    def _run(self, number: int, step: Callable[[int], None]) -> None:
        try:
            while not self._over.is_set():
                step(number)
        except BaseException as error:
            self._errors.append(error)

    def __enter__(self) -> Storm:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(HANG_SECONDS * 2)
        assert not any(thread.is_alive() for thread in self._threads)
        with contextlib.suppress(IndexError):
            raise self._errors[0]
