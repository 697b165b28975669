"""The authorization request that a page is in the middle of, and where to go when the page is done."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from flask import abort, current_app, g, request
from werkzeug.wrappers import Response

from provider.authorization.descriptions import RequestDescription
from provider.oauth_server import OAuthServer
from provider.security.crypto import is_secret
from provider.web import current
from provider.web.rendering import send

DESTINATIONS = {
    "account": "/account",
    "second-factor": "/account/second-factor",
    "passkeys": "/account/passkeys",
    "sessions": "/account/sessions",
    "apps": "/account/apps",
    "api-keys": "/account/api-keys",
    "preferences": "/account/preferences",
    "password": "/account/password",
    "email": "/account/email",
    "username": "/account/username",
    "security": "/account/security",
    "profile": "/account/profile",
    "picture": "/account/profile/picture",
    "new-api-key": "/account/api-keys/new",
    "clouds": "/account/clouds",
    "new-cloud": "/account/clouds/new",
    "activity": "/account/activity",
    "data": "/account/data",
    "close": "/account/close",
    "lock-down": "/account/lock-down",
}


def server() -> OAuthServer:
    found: OAuthServer = current_app.extensions["mcp_core_server"]
    return found


def handle() -> str:
    """The handle in the address, empty when there is none or when it can't be one of ours."""
    sent = request.args.get("request", "")
    return sent if is_secret("request", sent) else ""


def find() -> RequestDescription | None:
    """The waiting request, None when the page stands for itself.

    A request that is used up, expired or another browser's ends in a page that says so.
    """
    found = look()
    if found is None and request.args.get("request"):
        abort(over())
    return found


def look() -> RequestDescription | None:
    """The waiting request, None when there is none or it is over."""
    if "waiting" not in g:
        g.waiting = None
        if request.args.get("request"):
            known = current.signed_in()
            g.waiting = server().describe_request(
                current.tx(),
                current.now(),
                handle(),
                current.browser(),
                None if known is None else (known.session, known.user),
            )
            if g.waiting is not None and g.waiting.logo_uri is not None:
                g.images = (origin_of(g.waiting.logo_uri),)
    found: RequestDescription | None = g.waiting
    return found


def is_alive() -> bool:
    """Whether the request in the address is one of this browser and can be gone on with. Says nothing about it."""
    known = current.signed_in()
    signed_in = None if known is None else (known.session, known.user)
    found = server().describe_request(current.tx(), current.now(), handle(), current.browser(), signed_in)
    return bool(handle()) and found is not None


def over() -> Response:
    """The page that says so when nothing waits, with a way back to the application where this browser came from one."""
    answer = server().request_is_over(current.tx(), current.now(), handle(), current.browser())
    return send(answer)


def origin_of(uri: str) -> str:
    """Scheme and authority of an address, for the content security policy of a page that shows something from there."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"


def destination() -> str:
    """Where a finished sign-in leads: the waiting request's next step, or a page of the list above. Nowhere else."""
    if handle():
        return f"{current.settings().issuer_path}/authorize/{handle()}"
    return DESTINATIONS.get(request.args.get("to", ""), DESTINATIONS["account"])


def passed_on(path: str, **more: str) -> str:
    """``path`` with the part of the query that says where to go in the end."""
    query = dict(more)
    if handle():
        query["request"] = handle()
    elif request.args.get("to", "") in DESTINATIONS:
        query["to"] = request.args["to"]
    return f"{path}?{urlencode(query)}" if query else path
