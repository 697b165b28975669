"""People at the servers, without a browser's screen: signing in, agreeing, coming back with a code, and redeeming it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from http.cookiejar import Cookie
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import requests
from requests.cookies import RequestsCookieJar

from bench.servers.measured import PASSWORD, REDIRECT, Ask, Client, Measured
from tests.browser import Browser

VERIFIER = "the-verifier-of-the-benchmark-and-of-nothing-else"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
MOST_PAGES = 6


def authorization_url(server: Measured, scope: str, resource: str | None) -> str:
    parameters = {
        "response_type": "code",
        "client_id": server.app.id,
        "redirect_uri": REDIRECT,
        "scope": scope,
        "state": "a-state-of-the-benchmark",
        "nonce": "a-nonce-of-the-benchmark",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    if "offline_access" in scope and server.offline_prompt is not None:
        parameters["prompt"] = server.offline_prompt
    if resource is not None:
        parameters["resource"] = resource
    return f"{server.address('authorization_endpoint')}?{urlencode(parameters)}"


def redemption_form(server: Measured, resource: str | None) -> dict[str, str]:
    """All of it but the code."""
    form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT, "code_verifier": VERIFIER}
    if server.app.secret is None:
        form["client_id"] = server.app.id
    return form | ({"resource": resource} if resource else {})


def basic(client: Client) -> str | None:
    """What stands behind ``Basic`` in the header, None for a public client."""
    if client.secret is None:
        return None
    return base64.b64encode(f"{client.id}:{client.secret}".encode()).decode()


class LoopbackCookies(RequestsCookieJar):
    """Sends cookies that are marked as secure without TLS, too, as browsers do on loopback."""

    def set_cookie(self, cookie: Cookie, *args: Any, **options: Any) -> None:
        cookie.secure = False
        super().set_cookie(cookie, *args, **options)


class Visitor:
    """Somebody with a browser of their own. Raises ``RuntimeError`` where a page is not what it has to be."""

    def __init__(self, server: Measured, name: str) -> None:
        self._server = server
        self._name = name
        self.browser = Browser(REDIRECT, *([server.pages_elsewhere] if server.pages_elsewhere else []))

        self.browser.session.cookies = LoopbackCookies()

    def code(self, scope: str, resource: str | None) -> str:
        """Does what the pages ask for, until the application has a code."""
        url = authorization_url(self._server, scope, resource)
        page = self.browser.get(url)
        for _ in range(MOST_PAGES):
            if page.url.startswith(REDIRECT):
                break
            if page.status == 0:
                page = self.browser.get(self._server.accepted(page.url))
                continue
            if page.status != 200 or not page.forms:
                raise RuntimeError(f"{self._server.name} shows {page.status} {page.url}: {page.text[:500]}")
            name, password = self._server.login_fields
            if any(form.has(password) for form in page.forms):
                page = self.browser.fill({name: self._name, password: PASSWORD})
            else:
                page = self.browser.submit(self._consent(page.forms), button=self._server.consent_button)
        code = parse_qs(urlsplit(page.url).query).get("code")
        if code is None:
            raise RuntimeError(f"{self._server.name} gave no code, but {page.url}: {page.text[:500]}")
        return code[0]

    def tokens(self, scope: str, resource: str | None) -> dict[str, Any]:
        form = redemption_form(self._server, resource) | {"code": self.code(scope, resource)}
        return post_form(self._server.address("token_endpoint"), form, self._server.app)

    def cookies(self) -> str:
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.browser.session.cookies)

    def _consent(self, forms: list[Any]) -> Any:
        wanted = self._server.consent_button
        if wanted is None:
            return forms[0]
        return next(form for form in forms if any(wanted in button[1:] for button in form.buttons))


def token_for(server: Measured, ask: Ask) -> dict[str, Any]:
    return post_form(server.address("token_endpoint"), ask.form, ask.client)


def post_form(url: str, form: Mapping[str, str], client: Client) -> dict[str, Any]:
    """Raises ``RuntimeError`` unless the answer is a success."""
    auth = (client.id, client.secret) if client.secret is not None else None
    answer = requests.post(url, data=form, auth=auth, timeout=30)
    if answer.status_code != 200:
        raise RuntimeError(f"{url} answered {answer.status_code}: {answer.text[:500]}")
    found: dict[str, Any] = answer.json()
    return found
