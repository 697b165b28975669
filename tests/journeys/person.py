"""A person at a browser: what they remember, and what they do on our pages."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, field

import pyotp

from tests.browser import Browser, Page
from tests.waiting import eventually

STEP_SECONDS = 30


@dataclass
class Person:
    """``secret`` is what their authenticator app holds once they have set it up. ``asked``: every consent page so far."""

    username: str
    password: str = "violet kettle 71 harbour paints"
    secret: str | None = None
    asked: list[Page] = field(default_factory=list)
    _last_step: int = 0

    @property
    def email(self) -> str:
        return f"{self.username}@example.com"

    def next_code(self) -> str:
        """A code that was not used before and is good for a quarter of a minute at least.

        Steps beside the present one count too, so that nobody has to wait for a second or third code.
        """
        assert self.secret is not None
        step = max(self._last_step + 1, _step(-STEP_SECONDS / 2))
        eventually(lambda: step <= _step(STEP_SECONDS))
        self._last_step = step
        return pyotp.TOTP(self.secret).at(step * STEP_SECONDS)

    def set_up(self, browser: Browser, link: str) -> Page:
        """The first account, through the setup link."""
        browser.get(link)
        page = browser.fill({"username": self.username, "email": self.email, "password": self.password})
        assert (page.status, page.path) == (200, "/account/second-factor"), page.text
        return page

    def enrol(self, browser: Browser) -> list[str]:
        """Turns on two-step sign-in and returns the recovery codes."""
        page = browser.get(f"{_origin(browser)}/account/second-factor")
        page = browser.submit(next(form for form in page.forms if any("begin" in it[1] for it in form.buttons)))
        shown = re.search(r"\b(?:[A-Z2-7]{4} ){7,}[A-Z2-7]{1,4}\b", page.text)
        assert shown, page.text
        self.secret = shown[0].replace(" ", "")
        page = browser.fill({"code": self.next_code()}, button="confirm")
        codes = re.findall(r"<li>([0-9A-Za-z-]{10,})</li>", page.html)
        assert (page.status, len(codes)) == (200, 10), page.text
        return codes

    def sign_in(self, browser: Browser) -> Page:
        """From the sign-in page that the browser shows to whatever comes after it."""
        page = browser.fill({"username": self.username, "password": self.password})
        if self.secret is not None:
            assert page.path == "/login/code", f"{page.status} {page.url}: {page.text}"
            page = browser.fill({"code": self.next_code()})
        return page

    def answer(self, browser: Browser, url: str, *, until: int = 0) -> Page:
        """Opens an application's authorization request and does what is asked until the application has its answer.

        ``until`` is the status of the application's page, where the browser goes there instead of stopping.
        """
        page = browser.get(url)
        if page.path == "/login":
            page = self.sign_in(browser)
        if page.path == "/consent":
            self.asked.append(page)
            page = browser.submit(page.form(action="/consent"), button="allow")
        assert page.status == until, f"{page.status} {page.url}: {page.text}"
        return page


def _step(seconds: float) -> int:
    """The time step of RFC 6238 that many seconds from now."""
    return int(datetime.datetime.now(datetime.UTC).timestamp() + seconds) // STEP_SECONDS


def _origin(browser: Browser) -> str:
    assert browser.page is not None
    return browser.page.url.split("/", 3)[0] + "//" + browser.page.url.split("/", 3)[2]
