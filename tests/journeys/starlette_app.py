"""A web application on Authlib's Starlette client. Settings as those of ``examples/sign_in_with_mcp``."""

from __future__ import annotations

import os
import secrets
from html import escape
from typing import Any

import uvicorn
from authlib.integrations.starlette_client import OAuth, OAuthError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

ISSUER = os.environ["MCP_ISSUER"]
PORT = int(os.environ["PORT"])
URL = f"http://localhost:{PORT}"
signed_in: dict[str, dict[str, Any]] = {}
oauth = OAuth()
oauth.register(
    "mcp",
    server_metadata_url=f"{ISSUER}/.well-known/openid-configuration",
    client_id=os.environ["CLIENT_ID"],
    client_secret=os.environ["CLIENT_SECRET"],
    client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256"},
)


async def home(request: Request) -> Response:
    user = signed_in.get(request.session.get("visit", ""))
    if user is None:
        return HTMLResponse("<a href='/login'>Sign in</a>")
    name = escape(user["profile"]["preferred_username"])
    return HTMLResponse(f"<p>{name}</p><form method=post action='/sign-out'><button>Sign out</button></form>")


async def login(request: Request) -> Response:
    answer: Response = await oauth.mcp.authorize_redirect(request, f"{URL}/callback")
    return answer


async def callback(request: Request) -> Response:
    if request.query_params.get("iss") != ISSUER:
        return HTMLResponse("from somewhere else", 400)
    try:
        token = await oauth.mcp.authorize_access_token(request)
    except OAuthError as error:
        return HTMLResponse(escape(error.error), 400)
    profile = await oauth.mcp.userinfo(token=token)
    assert profile["sub"] == token["userinfo"]["sub"]
    request.session["visit"] = secrets.token_urlsafe(16)
    signed_in[request.session["visit"]] = {"profile": profile, "id_token": token["id_token"]}
    return RedirectResponse("/", 303)


async def sign_out(request: Request) -> Response:
    user = signed_in.pop(request.session.pop("visit"))
    answer: Response = await oauth.mcp.logout_redirect(
        request, post_logout_redirect_uri=f"{URL}/signed-out", id_token_hint=user["id_token"]
    )
    return answer


async def signed_out(request: Request) -> Response:
    await oauth.mcp.validate_logout_response(request)
    return HTMLResponse("Signed out")


app = Starlette(
    routes=[
        Route("/", home),
        Route("/login", login),
        Route("/callback", callback),
        Route("/sign-out", sign_out, methods=["POST"]),
        Route("/signed-out", signed_out),
    ],
    middleware=[Middleware(SessionMiddleware, secret_key=secrets.token_hex(32), session_cookie="starlette_session")],
)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
