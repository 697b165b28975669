"""An API on FastAPI that lists a person's buckets, with credentials of their cloud that MCP Core gives it.

Two tokens are at work, each for one server. What callers bring is for this API, and opens nothing else. What opens the
person's cloud accounts is for MCP Core: this service is an application there, which the person has allowed at ``/connect``.

Settings from the environment: ``CLIENT_ID`` and ``CLIENT_SECRET`` as ``mcp-core client create`` printed them, ``MCP_ISSUER``
(default http://localhost:8000/oauth), ``PORT`` (default 9600).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from html import escape
from typing import Annotated, Any
from urllib.parse import urlsplit

import boto3
import httpx
import uvicorn
from authlib.integrations.starlette_client import OAuth, OAuthError
from botocore.exceptions import BotoCoreError, ClientError
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.middleware.sessions import SessionMiddleware

from mcp_core_verifier import AccessToken, Verifier
from mcp_core_verifier.fastapi import install

ISSUER = os.environ.get("MCP_ISSUER", "http://localhost:8000/oauth")
PORT = int(os.environ.get("PORT", "9600"))
URL = f"http://localhost:{PORT}"
ACCOUNTS = f"{urlsplit(ISSUER).scheme}://{urlsplit(ISSUER).netloc}/api/cloud-accounts"
SECONDS = 40  # MCP Core may have to ask the cloud

app = FastAPI(title="Buckets")
app.add_middleware(SessionMiddleware, secret_key=secrets.token_hex(32), session_cookie="buckets_session")
protect = install(app, Verifier(ISSUER, f"{URL}/api", scopes_supported=["buckets:read"], resource_name="Buckets"))
oauth = OAuth()
oauth.register(
    "mcp",
    server_metadata_url=f"{ISSUER}/.well-known/openid-configuration",
    client_id=os.environ.get("CLIENT_ID", ""),
    client_secret=os.environ.get("CLIENT_SECRET", ""),
    client_kwargs={"scope": "openid offline_access cloud:credentials", "code_challenge_method": "S256"},
)
connected: dict[str, str] = {}  # by person: the refresh token. A real service keeps it in its database, encrypted


class NotConnected(Exception):
    """The person has allowed nothing yet, or has taken it back."""


@app.exception_handler(NotConnected)
def say_where_to_connect(_request: Request, _error: Exception) -> JSONResponse:
    return JSONResponse({"detail": "Connect your clouds first.", "connect": f"{URL}/connect"}, 409)


# The person allows this application, in a browser


@app.get("/connect")
async def connect(request: Request) -> Response:
    answer: Response = await oauth.mcp.authorize_redirect(request, f"{URL}/callback")
    return answer


@app.get("/callback")
async def callback(request: Request) -> Response:
    # RFC 9207: an answer that does not name our provider may come from another one.
    if request.query_params.get("iss") != ISSUER:
        return page("The answer did not come from our provider.", 400)
    try:
        token = await oauth.mcp.authorize_access_token(request)
    except OAuthError as error:
        return page(f"Connecting did not work: {error.error}", 400)
    if "cloud:credentials" not in token["scope"].split() or "refresh_token" not in token:
        return page("Without these permissions there is nothing that this service could do.", 400)
    connected[token["userinfo"]["sub"]] = token["refresh_token"]
    return page("Connected. This service can list your buckets now.")


def page(words: str, status: int = 200) -> Response:
    return HTMLResponse(f"<!doctype html><title>Buckets</title><p>{escape(words)}</p>", status)


# Their programs ask this API


@app.get("/api/buckets")
async def buckets(token: Annotated[AccessToken, protect("buckets:read")], account: str = "") -> list[str]:
    """The buckets of the AWS account that is called ``account``; without a name, of the first one."""
    # Of an API key its owner; both are the same id that the person has at every application.
    person = str(token.claims.get("owner", token.subject))
    credentials = await credentials_of(person, account, f"list the buckets for {token.client_id}")
    try:
        return await run_in_threadpool(list_buckets, credentials)
    except (BotoCoreError, ClientError) as error:
        raise HTTPException(502, "The cloud gave no list.") from error


async def credentials_of(person: str, label: str, purpose: str) -> Mapping[str, str]:
    """Credentials of the person's cloud account. MCP Core keeps short-lived ones until they end: ask each time."""
    async with httpx.AsyncClient(timeout=SECONDS) as client:
        bearer = {"Authorization": f"Bearer {await access_token_of(client, person)}"}
        found = await said(client.get(ACCOUNTS, params={"label": label} if label else {}, headers=bearer))
        ids = [it["id"] for it in found["items"] if it["provider"] == "aws"]
        if not ids:
            raise HTTPException(404, "There is no such AWS account.")
        asked = client.post(f"{ACCOUNTS}/{ids[0]}/credentials", json={"purpose": purpose}, headers=bearer)
        credentials: Mapping[str, str] = (await said(asked))["credentials"]
        return credentials


async def access_token_of(client: httpx.AsyncClient, person: str) -> str:
    """A token for MCP Core itself: no ``resource`` is named."""
    if person not in connected:
        raise NotConnected
    form = {"grant_type": "refresh_token", "refresh_token": connected[person]}
    auth = (os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"])
    answer = await client.post(f"{ISSUER}/token", data=form, auth=auth)
    if answer.status_code == 400:
        del connected[person]
        raise NotConnected
    answer.raise_for_status()
    tokens = answer.json()
    connected[person] = tokens.get("refresh_token", connected[person])
    return str(tokens["access_token"])


async def said(call: Any) -> Any:
    """The answer of MCP Core, or what it refuses passed on: 404, 409, 429."""
    answer = await call
    if answer.status_code >= 400:
        raise HTTPException(answer.status_code if answer.status_code < 500 else 502, answer.json().get("detail"))
    return answer.json()


def list_buckets(credentials: Mapping[str, str]) -> list[str]:
    s3 = boto3.client(
        "s3",
        aws_access_key_id=credentials["access_key_id"],
        aws_secret_access_key=credentials["secret_access_key"],
        aws_session_token=credentials.get("session_token"),
        region_name=credentials.get("region", "us-east-1"),
    )
    return [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


if __name__ == "__main__":
    if not {"CLIENT_ID", "CLIENT_SECRET"} <= set(os.environ):
        raise SystemExit("Set CLIENT_ID and CLIENT_SECRET first, as README.md says.")
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
