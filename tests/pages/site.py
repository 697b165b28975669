"""The provider in process, the people who have accounts there, and visitors with a cookie jar each.

What a test is about goes through HTTP. What has to be there first is made through the services. Time stands still
unless a test moves it.
"""

from __future__ import annotations

import datetime
import functools
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pyotp
from sqlalchemy import URL, Engine, select
from werkzeug.test import Client as WsgiClient
from werkzeug.test import TestResponse

from database import metadata
from database.connection import create_engine_for
from database.transaction import Transaction
from provider.accounts.users import User
from provider.application import create_app, services_of
from provider.protocol.client import Client
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring
from provider.settings import load_settings
from provider.sign_in.consecutive_failures import MOST, Way, WayIn
from tests.authenticator import Authenticator
from tests.browser import Page
from tests.compiled_once import share_templates
from tests.letters import Letter, letters
from tests.pages.document import Document

ORIGIN = "https://id.example"
# Less than settings allow: what a hash costs is for ``tests/accounts/test_passwords.py``.
QUICK_HASHES = {"argon2_memory_kib": 64, "argon2_time_cost": 1}
PASSWORD = "violet kettle 71 harbour paints"
# Letters are written and, since no courier runs here, stay in the outbox (``tests/letters.py``).
WITH_MAIL = {"smtp_url": "smtps://mail.example", "mail_from": "id@id.example"}
CALLBACK = "https://files.example/callback"
LOOPBACK = "http://127.0.0.1/callback"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
START = datetime.datetime(2026, 7, 1, 12, 0, tzinfo=datetime.UTC)
SESSION, STEP, BROWSER = "__Host-mcp_session", "__Host-mcp_step", "__Host-mcp_browser"
OURS = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}


@dataclass
class Account:
    """``secret`` is what the authenticator app holds; ``codes`` are the recovery codes."""

    user: User
    secret: str = ""
    codes: list[str] = field(default_factory=list)


class Site:
    def __init__(
        self, folder: Path, migrated: Path, keyring: Keyring, *, engine: Engine | None = None, **settings: Any
    ) -> None:
        """On a copy of the ``migrated`` SQLite file, or on ``engine``, which its giver closes."""
        folder.mkdir(parents=True, exist_ok=True)
        database = folder / "mcp-core.db"
        shutil.copyfile(migrated, database)
        self.engine = engine or create_engine_for(URL.create("sqlite", database=str(database)))
        self.now = START
        chosen = load_settings({}, **{"issuer": f"{ORIGIN}/oauth", "home": folder, **WITH_MAIL, **settings})
        chosen = chosen.model_copy(update=QUICK_HASHES)
        self.app = create_app(chosen, self.engine, keyring, clock=lambda: self.now)
        share_templates(self.app)
        self.services = services_of(self.app)
        self.settings = chosen

    def close(self) -> None:
        self.engine.dispose()

    def later(self, **amount: float) -> None:
        self.now += datetime.timedelta(**amount)

    @property
    def by(self) -> Origin:
        return Origin(source="192.0.2.10", user_agent="pytest", request_id="request-1", now=self.now)

    def account(self, name: str, *, second_factor: bool = False, codes: bool = False, **options: Any) -> Account:
        with Transaction(self.engine) as tx:
            user = self.services.users.create(
                tx,
                self.by,
                username=name,
                email=f"{name}@example.com",
                password_hash=hash_of_the_password(),
                is_verified=True,
                **options,
            )
        made = Account(user)
        if second_factor:
            self.enrol(made, codes=codes)
        return made

    def enrol(self, account: Account, *, codes: bool = False) -> None:
        """Sets up the second factor, in a session that is over at once, and uses up the code of this half minute.

        ``codes`` makes recovery codes as well, which takes as long as ten passwords.
        """
        services = self.services
        with Transaction(self.engine) as tx:
            token = services.sessions.start(tx, self.by, account.user.id, ("pwd",))
            found = services.sessions.find(tx, self.now, token)
            assert found is not None
            account.secret = services.totp.begin(tx, found[0])
            assert services.totp.confirm(tx, self.by, *found, self.code(account))
            services.sessions.end(tx, self.by, found[0].id, user_id=account.user.id, reason="test")
            account.codes = services.recovery_codes.generate(tx, self.by, account.user.id) if codes else []

    def code(self, account: Account) -> str:
        return pyotp.TOTP(account.secret).at(self.now)

    def fresh_code(self, account: Account) -> str:
        """The code of the next half minute, which nobody can have used."""
        self.later(seconds=30)
        return self.code(account)

    def client(self, name: str = "Acme Files", **options: Any) -> Client:
        given: dict[str, Any] = {
            "kind": "application",
            "name": name,
            "token_endpoint_auth_method": "client_secret_basic",
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"],
            "scope": ("openid", "profile", "email"),
        }
        with Transaction(self.engine) as tx:
            return self.services.clients.register(tx, self.by, **{**given, **options})[0]

    def resource(self, uri: str = "https://reports.example/api", name: str = "Reports", **options: Any) -> None:
        given = {"scope": ("reports:read", "reports:write"), **options}
        with Transaction(self.engine) as tx:
            self.services.resources.add(tx, self.by, uri=uri, name=name, **given)

    def group(self, name: str, *members: Account) -> str:
        """The id of a group with these people in it."""
        with Transaction(self.engine) as tx:
            group = self.services.groups.create(tx, self.by, name=name)
            for account in members:
                self.services.groups.add(tx, self.by, group, account.user)
        return group.id

    def api_key(self, account: Account, name: str = "nightly backup") -> str:
        with Transaction(self.engine) as tx:
            made = self.services.api_keys.create(
                tx, self.by, account.user, name=name, scope=None, expires_in_days=90, resource=None
            )
        return made[0].client_id

    def setup_link(self) -> str:
        with Transaction(self.engine) as tx:
            return f"/setup/{self.services.setup_links.create(tx, self.now)[0]}"

    def letters(self, name: str | None = None, *, to: str | None = None) -> list[Letter]:
        """What was posted, in the order of writing."""
        return letters(self.engine, self.services.keyring, to=to, name=name)

    def rows(self, *tables: str) -> dict[str, list[tuple[Any, ...]]]:
        """Everything in the database, or in some tables of it."""
        assert set(tables) <= set(metadata.tables), tables
        with self.engine.connect() as connection:
            return {
                name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
                for name, table in metadata.tables.items()
                if not tables or name in tables
            }


@functools.cache
def hash_of_the_password() -> str:
    from provider.sign_in.passwords import Passwords

    cost, passes = QUICK_HASHES["argon2_memory_kib"], QUICK_HASHES["argon2_time_cost"]
    return Passwords(memory_kib=cost, time_cost=passes, parallelism=1, concurrency=1, min_length=15).hash(PASSWORD)


def close(site: Site, account: Account, way: Way, *, is_known_device: bool = False) -> None:
    """Closes a way into an account, as the last of a hundred wrong guesses does it."""
    way_in = WayIn(account.user.id, way, is_known_device)
    failures = site.services.consecutive_failures
    with Transaction(site.engine) as tx:
        number = 0
        while number < MOST:
            number = failures.count(tx, site.by, way_in) or MOST
        failures.fail(tx, site.by, way_in, MOST)


class Visitor:
    """A browser by its requests alone: cookies, and ``page``, what it shows. Redirects are not followed by themselves."""

    def __init__(self, site: Site, *, language: str = "en", origin: str = ORIGIN) -> None:
        self.site, self.language, self.origin = site, language, origin
        self.http = WsgiClient(site.app)
        self.page: Page
        self.answer: TestResponse

    def cookie(self, name: str) -> str:
        found = self.http.get_cookie(name, urlsplit(self.origin).hostname or "")
        return found.value if found else ""

    def set_cookie(self, name: str, value: str) -> None:
        self.http.set_cookie(name, value, domain=urlsplit(self.origin).hostname or "", secure=True, httponly=True)

    def request(self, method: str, path: str, body: str = "", headers: Mapping[str, str] | None = None) -> Page:
        sent = {"User-Agent": "Firefox/140.0 (X11; Linux)", "Accept-Language": self.language, **(headers or {})}
        self.answer = self.http.open(
            path,
            method=method,
            base_url=self.origin,
            headers=sent,
            data=body or None,
            content_type="application/x-www-form-urlencoded" if body or method == "POST" else None,
        )
        self.page = Page(self.answer.status_code, path, dict(self.answer.headers), self.answer.text, [])
        self.answer.close()
        return self.page

    def get(self, path: str) -> Page:
        return self.request("GET", path)

    def post(
        self,
        path: str,
        fields: Mapping[str, str | Sequence[str]] | None = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] = OURS,
    ) -> Page:
        """Posts a form with the token of this browser as it stands, or with ``token``, and with what a consent page that
        is shown says it shows."""
        shown = re.search(r'name="shown" value="([0-9a-f]{64})"', self.page.html if hasattr(self, "page") else "")
        said = {"shown": shown[1]} if shown is not None else {}
        given = {"csrf_token": self.token() if token is None else token, **said, **(fields or {})}
        return self.request("POST", path, urlencode(given, doseq=True), headers)

    def token(self) -> str:
        """The token in the forms of a page that shows one to everybody and to the account's owner alike."""
        shown = self.http.get("/login/again" if self.cookie(SESSION) else "/login", base_url=self.origin)
        if shown.status_code != 200:
            shown = self.http.get("/login", base_url=self.origin)
        found = re.search(r'name="csrf_token" value="([0-9a-f]{64})"', shown.text)
        assert found, shown.text
        return found[1]

    @property
    def to(self) -> str:
        """Where the last answer sends the browser, empty when it does not."""
        return self.page.headers.get("Location", "")

    @property
    def document(self) -> Document:
        return Document(self.page.html)

    def follow(self) -> Page:
        """Goes on until a page is shown or the way leads to another host."""
        for _ in range(12):
            if self.page.status not in (302, 303) or not self.to.startswith("/"):
                break
            self.get(self.to)
        return self.page

    def page_like_any(self) -> str:
        """This page without what is another each time: the token of its forms and what a passkey is to sign."""
        html = self.page.html
        return re.sub('data-options="[^"]*"', "", html.replace(self.token(), ""))

    def asked(self) -> dict[str, Any]:
        """What the script of this page is told to ask an authenticator."""
        (form,) = [it for it in self.document.all("form") if "data-passkey" in it]
        found: dict[str, Any] = json.loads(form.get("data-options"))
        return found

    def add_passkey(self, name: str = "Phone", **kind: Any) -> Authenticator:
        """Adds one to the account that is signed in, as the page's script does."""
        device = Authenticator(self.origin, **kind)
        self.get("/account/passkeys")
        self.post("/account/passkeys", {"credential": device.create(self.asked()), "name": name})
        assert self.page.status == 303, self.page.text
        return device

    def sign_in(self, account: Account, path: str = "/login") -> Page:
        self.get(path)
        query = f"?{urlsplit(path).query}" if urlsplit(path).query else ""
        self.post(f"/login{query}", {"username": account.user.username, "password": PASSWORD})
        if account.secret:
            assert self.to.startswith("/login/code"), self.page.text
            self.post(self.to, {"code": self.site.fresh_code(account)})
        assert self.page.status == 303, self.page.text
        return self.page

    def ask(self, client: Client, **parameters: str) -> Page:
        """An application's authorization request, up to the first page of ours."""
        given = {
            "response_type": "code",
            "client_id": client.client_id,
            "redirect_uri": client.redirect_uris[0],
            "scope": "openid profile email",
            "state": "a state",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **parameters,
        }
        self.get(f"/oauth/authorize?{urlencode(given)}")
        return self.follow()


def handle_in(path: str) -> str:
    return dict(parse_qsl(urlsplit(path).query)).get("request", "")
