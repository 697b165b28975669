"""A browser without a screen: real HTTP, forms that are read and filled in, redirects one by one, cookies kept.

It sends what browsers send on their own (``Origin``, ``Referer``, ``Sec-Fetch-*``, ``Accept``), and it refuses what a
person could not do: filling in a field that the form does not have, following a link that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urldefrag, urlencode, urljoin, urlsplit

import requests

from tests.waiting import HANG_SECONDS

MAX_REDIRECTS = 12
_SILENT = {"script", "style", "template", "head"}
_ISOLATED = "bdi"  # no blank is seen around it


@dataclass
class Form:
    """A form as it stands on the page: ``fields`` are what would be sent if a person changed nothing."""

    action: str
    method: str
    fields: dict[str, list[str]] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)
    buttons: list[tuple[str, str, str]] = field(default_factory=list)  # name, value, words

    def has(self, *names: str) -> bool:
        return all(name in self.fields or name in self.choices for name in names)


class _PageParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[Form] = []
        self.links: list[tuple[str, str]] = []
        self.title = ""
        self.words: list[str] = []
        self._goes_on = False
        self._form: Form | None = None
        self._open: list[str] = []
        self._button: tuple[str, str] | None = None
        self._select: str | None = None
        self._area: str | None = None
        self._link: str | None = None
        self._buffer: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        have = {name: value or "" for name, value in attributes}
        self._goes_on = tag == _ISOLATED
        if tag in _SILENT or tag == "title":
            self._open.append(tag)
        elif tag == "form":
            self._form = Form(have.get("action", ""), have.get("method", "get").lower())
            self.forms.append(self._form)
        elif tag == "a" and "href" in have:
            self._link, self._buffer = have["href"], []
        elif self._form is not None and "disabled" not in have:
            self._field(self._form, tag, have)

    def _field(self, form: Form, tag: str, have: Mapping[str, str]) -> None:
        name, value, kind = have.get("name", ""), have.get("value", ""), have.get("type", "")
        if tag == "button" or (tag == "input" and kind in ("submit", "image")):
            if tag == "button" and kind in ("", "submit"):
                self._button, self._buffer = (name, value), []
            elif tag == "input":
                form.buttons.append((name, value, value))
        elif tag == "input" and name and kind in ("checkbox", "radio"):
            form.choices.setdefault(name, []).append(value or "on")
            if "checked" in have:
                form.fields.setdefault(name, []).append(value or "on")
        elif tag == "input" and name and kind not in ("button", "reset", "file"):
            form.fields.setdefault(name, []).append(value)
        elif tag == "select" and name:
            self._select = name
        elif tag == "option" and self._select:
            form.choices.setdefault(self._select, []).append(value)
            if "selected" in have or self._select not in form.fields:
                form.fields[self._select] = [value]
        elif tag == "textarea" and name:
            self._area, self._buffer = name, []

    def handle_endtag(self, tag: str) -> None:
        self._goes_on = tag == _ISOLATED
        if self._open and self._open[-1] == tag:
            self._open.pop()
        elif tag == "form":
            self._form = None
        elif tag == "a" and self._link is not None:
            self.links.append((self._link, _joined(self._buffer)))
            self._link = None
        elif tag == "button" and self._button and self._form is not None:
            self._form.buttons.append((*self._button, _joined(self._buffer)))
            self._button = None
        elif tag == "select":
            self._select = None
        elif tag == "textarea" and self._area and self._form is not None:
            self._form.fields.setdefault(self._area, []).append("".join(self._buffer))
            self._area = None

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "title":
            self.title += data
        elif not self._open:
            self.words.append(self.words.pop() + data if self._goes_on and self.words else data)
            self._buffer.append(data)


def _joined(parts: list[str]) -> str:
    return " ".join("".join(parts).split())


@dataclass
class Page:
    """What the browser shows: the last response, and ``trail``, the address of every response on the way to it."""

    status: int
    url: str
    headers: Mapping[str, str]
    html: str
    trail: list[tuple[int, str]]

    def __post_init__(self) -> None:
        parser = _PageParser()
        if "html" in self.headers.get("Content-Type", "html"):
            parser.feed(self.html)
        self.forms, self.links, self.title = parser.forms, parser.links, parser.title.strip()
        self.text = " ".join(" ".join(parser.words).split())

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    def form(self, *names: str, action: str | None = None) -> Form:
        """The first form that has the fields ``names`` (and whose action ends in ``action``)."""
        for form in self.forms:
            if form.has(*names) and (action is None or urlsplit(form.action or self.url).path.endswith(action)):
                return form
        raise AssertionError(f"no form with {names} {action or ''} on {self.status} {self.url}: {self.text[:500]}")

    def link(self, words: str) -> str:
        for target, text in self.links:
            if words in text:
                return urljoin(self.url, target)
        raise AssertionError(f"no link {words!r} on {self.url}: {self.links}")


class Browser:
    """One profile with its cookies. ``stop_at``: addresses that begin so belong to an application; redirects to them
    are not followed, the page's ``url`` is where the browser would have gone."""

    def __init__(self, *stop_at: str, language: str = "en") -> None:
        self.stop_at = stop_at
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers.update(
            {
                "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                "Accept-Language": language,
                "Upgrade-Insecure-Requests": "1",
            }
        )
        self.page: Page | None = None

    def cookie(self, name: str) -> str | None:
        return next((cookie.value for cookie in self.session.cookies if cookie.name == name), None)

    def get(self, url: str) -> Page:
        """Types ``url`` into the address bar."""
        return self._go("GET", url, None, came_from=None)

    def follow(self, words: str) -> Page:
        """Clicks the link that says ``words``."""
        assert self.page is not None
        return self._go("GET", self.page.link(words), None, came_from=self.page)

    def submit(
        self, form: Form, fields: Mapping[str, str | list[str] | None] | None = None, *, button: str | None = None
    ) -> Page:
        """Fills in ``fields`` (None unticks) and presses ``button``, named by its value or its words, or the first."""
        assert self.page is not None
        values = {name: list(value) for name, value in form.fields.items()}
        for name, value in (fields or {}).items():
            assert form.has(name), f"the form has no field {name!r}, only {sorted(form.fields)} {sorted(form.choices)}"
            values[name] = [] if value is None else value if isinstance(value, list) else [value]
        pressed = next((it for it in form.buttons if button is None or button in it[1:]), None)
        assert pressed or (button is None and not form.buttons), f"no button {button!r}, only {form.buttons}"
        if pressed and pressed[0]:
            values.setdefault(pressed[0], []).append(pressed[1])
        body = urlencode(values, doseq=True)
        target = urljoin(self.page.url, form.action or self.page.url)
        if form.method == "get":
            return self._go("GET", f"{target.partition('?')[0]}?{body}", None, came_from=self.page)
        return self._go("POST", target, body, came_from=self.page)

    def fill(self, fields: Mapping[str, str | list[str] | None], *, button: str | None = None) -> Page:
        """Submits the form of this page that has all of ``fields``."""
        assert self.page is not None
        return self.submit(self.page.form(*fields), fields, button=button)

    def _go(self, method: str, url: str, body: str | None, *, came_from: Page | None) -> Page:
        trail: list[tuple[int, str]] = []
        site = "none"
        for _ in range(MAX_REDIRECTS):
            url = urldefrag(url).url
            if url.startswith(self.stop_at or ("\0",)):
                self.page = Page(0, url, {}, "", trail)
                return self.page
            headers = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"}
            if came_from is not None:
                site = _relation(came_from.url, url, site)
                policy = came_from.headers.get("Referrer-Policy", "strict-origin-when-cross-origin")
                if policy != "no-referrer" and (policy != "same-origin" or site == "same-origin"):
                    headers["Referer"] = urldefrag(came_from.url).url
                if method == "POST":
                    opaque = policy == "no-referrer" or (policy == "same-origin" and site != "same-origin")
                    headers["Origin"] = "null" if opaque else _origin(came_from.url)
            headers["Sec-Fetch-Site"] = site
            if body is not None:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            answer = self.session.request(
                method, url, data=body, headers=headers, allow_redirects=False, timeout=HANG_SECONDS
            )
            trail.append((answer.status_code, url))
            if answer.status_code in (301, 302, 303, 307, 308) and "Location" in answer.headers:
                if answer.status_code not in (307, 308):
                    method, body = "GET", None
                url = urljoin(url, answer.headers["Location"])
                continue
            answer.encoding = "utf-8"
            self.page = Page(answer.status_code, url, answer.headers, answer.text, trail)
            return self.page
        raise AssertionError(f"more than {MAX_REDIRECTS} redirects: {trail}")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _relation(here: str, there: str, so_far: str) -> str:
    """``Sec-Fetch-Site``: once a hop was cross-site, the rest of the chain is. Another port is the same site."""
    if so_far == "cross-site" or urlsplit(here).hostname != urlsplit(there).hostname:
        return "cross-site"
    return "same-site" if so_far == "same-site" or _origin(here) != _origin(there) else "same-origin"
