"""ASGI: a middleware that lets nothing through without a good token. For Starlette and whatever else speaks ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from mcp_core_verifier.errors import AccessDenied
from mcp_core_verifier.resource import Answer
from mcp_core_verifier.token import AccessToken
from mcp_core_verifier.verifier import Verifier, checked_scopes

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

KEY = "mcp_core_access_token"


def access_token(scope: Scope) -> AccessToken:
    """The token of the connection that ``scope`` describes. Raises ``LookupError`` where nothing is protected."""
    found: AccessToken | None = scope.get(KEY)
    if found is None:
        raise LookupError("this path is not protected")
    return found


class Protect:
    """Requests and websockets need a token with all ``scopes``; paths in ``public`` (exact) need none.

    Serves the metadata itself. A browser's preflight goes through to ``app``: it cannot carry a token.
    """

    def __init__(self, app: App, verifier: Verifier, scopes: Iterable[str] = (), public: Iterable[str] = ()) -> None:
        self.app = app
        self.verifier = verifier
        self.scopes = checked_scopes(scopes)
        self.public = frozenset((public,) if isinstance(public, str) else public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in self.verifier.metadata.paths:
            await send_answer(send, self.verifier.metadata.answer(scope["method"]))
            return
        if scope["type"] in ("http", "websocket") and scope["path"] not in self.public and not _is_preflight(scope):
            values = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"authorization"]
            try:
                token = await self.verifier.authenticate_async(values, *self.scopes)
            except AccessDenied as refusal:
                await _refuse(scope, receive, send, refusal)
                return
            scope = {**scope, KEY: token}
        await self.app(scope, receive, send)


def _is_preflight(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] == "OPTIONS"
        and any(name.lower() == b"access-control-request-method" for name, _ in scope["headers"])
    )


async def _refuse(scope: Scope, receive: Receive, send: Send, refusal: AccessDenied) -> None:
    if scope["type"] == "http":
        await send_answer(send, refusal.answer)
        return
    await receive()  # websocket.connect
    if "websocket.http.response" in scope.get("extensions", {}):
        await send_answer(send, refusal.answer, kind="websocket.http.response")
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.description})


async def send_answer(send: Send, answer: Answer, *, kind: str = "http.response") -> None:
    """Sends a complete answer."""
    status, headers, body = answer
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": f"{kind}.start", "status": status, "headers": encoded})
    await send({"type": f"{kind}.body", "body": body})
