"""What is known of the request at hand. Everything is looked up once, and only when a page asks for it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from flask import current_app, g, request

from database.transaction import Transaction
from provider.accounts.users import User
from provider.protocol.headers import cookies
from provider.protocol.messages import Origin
from provider.security.crypto import is_secret, new_secret
from provider.services import Services
from provider.settings import Settings
from provider.sign_in.sessions import Session


@dataclass(frozen=True)
class SignedIn:
    """The browser's living session and its user."""

    session: Session
    user: User


def services() -> Services:
    found: Services = current_app.extensions["mcp_core"]
    return found


def settings() -> Settings:
    return services().settings


def tx() -> Transaction:
    """The request's transaction: begun by its first statement, ended by ``web.transactions``."""
    found: Transaction = g.tx
    return found


def origin() -> Origin:
    found: Origin = g.origin
    return found


def now() -> datetime.datetime:
    return origin().now


def cookie(name: str) -> str:
    """The value of one of our cookies, empty when absent."""
    return cookies(request.environ.get("HTTP_COOKIE", "")).get(settings().cookie_name(name), "")


def sends_cookies() -> bool:
    """Whether the browser has sent back any of our cookies. Every page that has a form sets one."""
    return any(cookie(name) for name in ("browser", "session", "step", "locale", "device"))


def browser() -> str:
    """The random id of this browser: ties forms and stored authorization requests to it. Set by the answer when new."""
    if "browser" not in g:
        sent = cookie("browser")
        g.browser = sent if is_secret("browser", sent) else new_secret("browser")
    found: str = g.browser
    return found


def signed_in() -> SignedIn | None:
    """The current session, None when there is none, when it ended, or when its user was disabled."""
    if "signed_in" not in g:
        found = None
        token = cookie("session")
        if is_secret("session", token):
            found = services().sessions.find(tx(), now(), token)
        g.signed_in = SignedIn(*found) if found else None
    known: SignedIn | None = g.signed_in
    return known


def known_user() -> User | None:
    """The user if this request has already looked for one: asks the database nothing, so that error pages can call it."""
    known: SignedIn | None = g.get("signed_in")
    return known.user if known else None
