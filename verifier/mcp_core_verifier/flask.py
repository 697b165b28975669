"""Flask: ``@protect(...)`` lets a view run only for a good token, which ``access_token()`` then returns."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

from flask import Flask, Response, current_app, g, request

from mcp_core_verifier.errors import AccessDenied
from mcp_core_verifier.token import AccessToken
from mcp_core_verifier.verifier import Verifier, checked_scopes

_P = ParamSpec("_P")
Decorator = Callable[[Callable[_P, Any]], Callable[_P, Any]]
Protect = Callable[..., Decorator[...]]


def access_token() -> AccessToken:
    """The token of this request. Raises ``LookupError`` where nothing is protected."""
    found: AccessToken | None = g.get("mcp_core_access_token")
    if found is None:
        raise LookupError("this view is not protected")
    return found


def install(app: Flask, verifier: Verifier) -> Protect:
    """Serves the metadata, answers refusals, and returns ``protect``.

    ``@protect("notes:read", "notes:write")`` needs all of them, ``@protect()`` any good token; it belongs below
    ``@app.get``. ``app`` must be at the root of its host, for the sake of the well-known addresses.
    """

    def metadata() -> Response:
        status, headers, body = verifier.metadata.answer(request.method)
        return Response(body, status, headers)

    def refuse(refusal: AccessDenied) -> Response:
        return Response(refusal.body, refusal.status, refusal.headers)

    def protect(*scopes: str) -> Decorator[...]:
        needed = checked_scopes(scopes)

        def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(view)
            def protected(*args: Any, **kwargs: Any) -> Any:
                # WSGI joins repeated headers with a comma, which no token contains.
                g.mcp_core_access_token = verifier.authenticate(request.headers.get("Authorization"), *needed)
                return current_app.ensure_sync(view)(*args, **kwargs)

            return protected

        return decorate

    for number, path in enumerate(verifier.metadata.paths):
        app.add_url_rule(
            path,
            f"mcp_core_metadata_{number}",
            metadata,
            methods=["GET", "HEAD", "OPTIONS"],
            provide_automatic_options=False,
        )
    app.register_error_handler(AccessDenied, refuse)
    return protect
