"""FastMCP's client as a program on somebody's desktop, and the desktop."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
import warnings
import webbrowser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import fastmcp
import pytest
import requests
from fastmcp.client.auth import OAuth

from tests.browser import Browser
from tests.journeys.person import Person


def answer_and_deliver(person: Person, url: str) -> None:
    """What happens in the browser, up to the request to the program that opened it."""
    callback = parse_qs(urlsplit(url).query)["redirect_uri"][0]
    page = person.answer(Browser(callback), url)
    for _ in range(200):  # the program listens a moment after it has opened the browser
        with contextlib.suppress(requests.ConnectionError):
            assert requests.get(page.url, timeout=20).status_code == 200
            return
        time.sleep(0.1)
    raise AssertionError("nobody listens at the redirect URI")


class Desktop:
    """Stands in for the desktop's browser: ``open`` returns at once, a person does the rest."""

    def __init__(self, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[str] = []
        self.problems: list[BaseException] = []
        self.person = person
        monkeypatch.setattr(webbrowser, "open", self.open)

    def open(self, url: str, *_how: object) -> bool:
        self.opened.append(url)
        threading.Thread(target=self._answer, args=(url,), daemon=True).start()
        return True

    def _answer(self, url: str) -> None:
        try:
            answer_and_deliver(self.person, url)
        except BaseException as problem:
            self.problems.append(problem)


class FastMCPProgram:
    """``options`` go to FastMCP's ``OAuth``. What it keeps is kept for as long as this lives."""

    def __init__(self, url: str, **options: Any) -> None:
        self.url = url
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Using in-memory token storage")
            self.auth = OAuth(url, callback_timeout=60, **options)
        self.refresh_tokens: list[str] = []

    @property
    def client_id(self) -> str:
        assert self.auth.context.client_info is not None
        return str(self.auth.context.client_info.client_id)

    def call(self) -> dict[str, str]:
        async def story() -> dict[str, str]:
            async with fastmcp.Client(self.url, auth=self.auth) as client:
                return await self._whoami(client)

        return asyncio.run(story())

    def call_refresh_and_call(self) -> tuple[dict[str, str], dict[str, str]]:
        """What the server said before its access token was over, and after."""

        async def story() -> tuple[dict[str, str], dict[str, str]]:
            async with fastmcp.Client(self.url, auth=self.auth) as client:
                before = await self._whoami(client)
                self.auth.context.token_expiry_time = 1
                return before, await self._whoami(client)

        return asyncio.run(story())

    async def _whoami(self, client: fastmcp.Client[Any]) -> dict[str, str]:
        said: dict[str, str] = (await client.call_tool("whoami")).data
        assert self.auth.context.current_tokens is not None
        self.refresh_tokens.append(str(self.auth.context.current_tokens.refresh_token))
        return said


if __name__ == "__main__":  # as the browser of a program in another process: who sits there, and the address
    answer_and_deliver(Person(sys.argv[1]), sys.argv[2])
