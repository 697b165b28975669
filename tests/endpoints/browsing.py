"""A browser before the provider in process: cookies, the consent form, and the answers that reach an application."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from provider.accounts.users import User
from tests.endpoints.provider import REDIRECT_URI, VERIFIER, KnownClient, Provider, challenge_of
from tests.endpoints.wsgi import FORM, Answer, encoded
from tests.pages.document import Document

STATE = "s-1._~"
TOO_LONG_FOR_A_QUERY = {"ignored": "x" * 4096}


class Browser:
    """One profile. Redirects are not followed: a test says where it goes next."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.cookies: dict[str, str] = {}

    def send(self, method: str, path: str, *, body: bytes = b"", is_cross_site: bool = False, **headers: str) -> Answer:
        """``path`` may have a query. A cross-site post brings no cookies, as SameSite=Lax has it."""
        parts = urlsplit(path)
        made = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies and not is_cross_site:
            made["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.provider.send(method, parts.path, query=parts.query, body=body, headers=made)
        for line in answer.all("Set-Cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            if not value or "Max-Age=0" in line:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answer

    def get(self, path: str, **options: Any) -> Answer:
        return self.send("GET", path, **options)

    def post(self, path: str, fields: Mapping[str, str], **options: Any) -> Answer:
        return self.send("POST", path, body=encoded(fields), Content_Type=FORM, **options)

    def sign_in(self, user: User, amr: tuple[str, ...] = ("pwd",)) -> str:
        """What the last step of the sign-in pages does: the session goes on or a new one begins. Returns its id."""
        services, name = self.provider.services, self.provider.services.settings.cookie_name("session")
        with self.provider.begin() as tx:
            known = services.sessions.find(tx, self.provider.clock.now, self.cookies.get(name, ""))
            if known is not None and known[1].id == user.id:
                self.cookies[name] = services.sessions.rotate(tx, self.provider.origin, known[0], amr)
                return known[0].id
        self.cookies[name], session = self.provider.session(user, amr)
        return session.id

    def authorize(self, client: KnownClient, *, method: str = "GET", headers: Any = None, **changes: Any) -> Answer:
        """A right request but for ``changes``; None leaves a parameter out, a list sends it several times."""
        parameters = request_of(client, **changes)
        path = f"{self.provider.path}/authorize"
        if method == "POST":
            return self.send("POST", path, body=encoded(parameters), is_cross_site=True, Content_Type=FORM)
        return self.send(method, f"{path}?{urlencode(parameters)}", **(headers or {}))

    def decide(self, page: str, decision: str, **fields: str) -> Answer:
        """Opens the consent page at ``page`` and presses a button."""
        shown = self.get(page)
        assert shown.status == 200, (shown.status, shown.body[:500])
        return self.press(page, shown, decision, **fields)

    def press(self, page: str, seen: Answer, decision: str, **fields: str) -> Answer:
        """Presses a button of the consent page as it was ``seen``, however long ago."""
        hidden = dict(re.findall(r'name="(csrf_token|shown)" value="([^"]+)"', seen.text))
        assert set(hidden) == {"csrf_token", "shown"}
        made = {**hidden, "decision": decision, **fields}
        return self.post(page, made, Sec_Fetch_Site="same-origin", Origin="http://localhost:8000")

    def allow(self, page: str) -> Answer:
        """Allows, and goes where that leads: the authorization endpoint's answer."""
        answer = self.decide(page, "allow")
        assert answer.status == 303
        return self.get(answer.location)


def request_of(client: KnownClient, **changes: Any) -> list[tuple[str, str]]:
    known = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": REDIRECT_URI,
        "scope": "openid profile",
        "state": STATE,
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
        **changes,
    }
    lists = {name: value if isinstance(value, list) else [value] for name, value in known.items() if value is not None}
    return [(name, str(value)) for name, values in lists.items() for value in values]


def fields_of(answer: Answer, redirect_uri: str = REDIRECT_URI) -> dict[str, str]:
    """What an application reads of an answer that was sent to it: each parameter once, and nothing but its own URI."""
    assert answer.status == 303, (answer.status, answer.body[:500])
    location = answer.location
    assert location.startswith(redirect_uri + ("&" if "?" in redirect_uri else "?")), location
    assert "#" not in location
    assert location.isascii()
    pairs = parse_qsl(location[len(redirect_uri) + 1 :], keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


def error_of(answer: Answer, redirect_uri: str = REDIRECT_URI) -> str:
    """The error that an application is sent, with the state and the issuer that it must have, and no code."""
    fields = fields_of(answer, redirect_uri)
    assert set(fields) <= {"error", "error_description", "state", "iss"}, fields
    return fields["error"]


def code_of(answer: Answer, redirect_uri: str = REDIRECT_URI, state: str | None = STATE) -> str:
    fields = fields_of(answer, redirect_uri)
    assert set(fields) == {"code", "iss"} | ({"state"} if state is not None else set()), fields
    assert fields.get("state") == state
    return fields["code"]


def page_of(answer: Answer, path: str) -> str:
    """The page of ours that a person is sent to, with the handle of the waiting request."""
    assert answer.status == 303, (answer.status, answer.body[:500])
    assert re.fullmatch(re.escape(path) + r"\?request=mcp_request_[0-9A-Za-z]{49}", answer.location), answer.location
    return answer.location


def refusal_of(answer: Answer) -> str:
    """The words of our own page that refuses: 400, and no way that a browser would take by itself."""
    assert answer.status == 400, (answer.status, answer.headers)
    assert answer.header("Location") is None
    assert "http-equiv" not in answer.text.lower()
    assert answer.header("Referrer-Policy") == "no-referrer"
    return html.unescape(answer.text)


def form_of(answer: Answer, redirect_uri: str = REDIRECT_URI) -> dict[str, str]:
    """What an application is posted by the page that sends an answer as a form: each field once, to its own URI alone."""
    assert answer.header("Location") is None
    document = Document(answer.text)
    forms = [element for element in document.elements if element.tag == "form"]
    assert [(form.get("method"), form.get("action")) for form in forms] == [("post", redirect_uri)]
    assert "enctype" not in forms[0]
    inputs = [element for element in document.elements if element.tag == "input" and element.inside("form")]
    assert {element.get("type") for element in inputs} == {"hidden"}
    pairs = [(element.get("name"), element.get("value")) for element in inputs]
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)
