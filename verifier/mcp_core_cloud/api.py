"""What the command asks the server: a token for the key, the account of a label, its credentials."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from mcp_core_cloud.errors import CloudError
from mcp_core_cloud.settings import CloudSettings

SCOPE = "cloud:credentials"
TIMEOUT_SECONDS = 30  # of one exchange as a whole: the server may have to ask the cloud
MAX_BYTES = 1_048_576
MAX_ACCOUNTS = 1000
_REFUSED = {
    401: "The server does not take this key (any more).",
    403: "This key was not made for cloud credentials.",
    429: "Asked too often. Try again later.",
}


@dataclass(frozen=True, slots=True)
class Account:
    """``fields`` are what is kept of it in clear."""

    id: str
    label: str
    provider: str
    mode: str
    fields: Mapping[str, str]


class CloudApi:
    """One run of the command. Nothing is asked twice and nothing is kept."""

    def __init__(self, settings: CloudSettings, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._settings = settings
        self._timeout_seconds = timeout_seconds
        parts = urlsplit(settings.issuer)
        self._accounts = f"{parts.scheme}://{parts.netloc}/api/cloud-accounts"
        self._token = ""

    def accounts(self) -> list[Account]:
        """All of the key's owner. Raises ``CloudError``."""
        found: list[Account] = []
        cursor: str | None = ""
        while cursor is not None and len(found) < MAX_ACCOUNTS:
            piece, cursor = self._piece(f"limit=100&cursor={quote(cursor)}" if cursor else "limit=100")
            found += piece
        return found

    def account(self, label: str) -> Account:
        """Raises ``CloudError`` where the owner has no account of this label."""
        found, _cursor = self._piece(f"label={quote(label, safe='')}")
        if not found:
            raise CloudError(f"There is no cloud account {label!r}. See: mcp-core-cloud list", "not_found")
        return found[0]

    def give(self, account: Account, purpose: str, want: str) -> dict[str, Any]:
        """The answer of ``POST …/credentials``. Raises ``CloudError``."""
        body = json.dumps({"purpose": purpose, "want": want}).encode()
        headers = {**self._authorization(), "Content-Type": "application/json"}
        return self._ask("POST", f"{self._accounts}/{quote(account.id, safe='')}/credentials", headers, body)

    def _piece(self, query: str) -> tuple[list[Account], str | None]:
        said = self._ask("GET", f"{self._accounts}?{query}", self._authorization())
        try:
            items = [
                Account(*(it[name] for name in ("id", "label", "provider", "mode", "fields"))) for it in said["items"]
            ]
        except (KeyError, TypeError):
            raise CloudError("The list of accounts is not what MCP Core answers.", "unreachable") from None
        following = said.get("next")
        return items, following if isinstance(following, str) and items else None

    def _authorization(self) -> dict[str, str]:
        if not self._token:
            pair = f"{self._settings.key_id}:{self._settings.key_secret}".encode()
            headers = {
                "Authorization": f"Basic {base64.b64encode(pair).decode()}",
                "Content-Type": "application/x-www-form-urlencoded",
            }
            resource = quote(self._settings.issuer, safe="")
            form = f"grant_type=client_credentials&scope={quote(SCOPE, safe='')}&resource={resource}".encode()
            token = self._ask("POST", f"{self._settings.issuer}/token", headers, form).get("access_token")
            if not isinstance(token, str):
                raise CloudError("The answer to the key is no token.", "unreachable")
            self._token = token
        return {"Authorization": f"Bearer {self._token}"}

    def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> dict[str, Any]:
        status, text = asyncio.run(self._exchange(method, url, headers, body))
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            raise CloudError(f"{urlsplit(url).netloc} did not answer as MCP Core does ({status}).", "unreachable")
        if status != 200:
            raise _refusal(status, said)
        return said

    async def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Follows no redirect. A proxy and authorities of the environment count where the connection is encrypted."""
        host, read = urlsplit(url).netloc, b""
        options: dict[str, Any] = {"trust_env": url.startswith("https:"), "timeout": self._timeout_seconds}
        sent = {**headers, "Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "mcp-core-cloud"}
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                httpx.AsyncClient(**options, follow_redirects=False) as client,
                client.stream(method, url, headers=sent, content=body) as answer,
            ):
                async for piece in answer.aiter_raw():
                    read += piece
                    if len(read) > MAX_BYTES:
                        raise CloudError(f"{host} answered too much.", "unreachable")
        except (TimeoutError, httpx.TimeoutException):
            raise CloudError(
                f"{host} did not answer within {self._timeout_seconds:g} seconds.", "unreachable"
            ) from None
        except CloudError:
            raise
        except Exception as error:  # whatever the client library makes of a strange answer
            raise CloudError(f"{host} cannot be reached ({type(error).__name__}).", "unreachable") from None
        return answer.status_code, read


def _refusal(status: int, said: Mapping[str, Any]) -> CloudError:
    """The token endpoint answers with ``error`` (RFC 6749), the API with a problem (RFC 9457)."""
    name = str(said.get("error") or said.get("type", "")).rpartition(":")[2] or str(status)
    words = said.get("error_description") or said.get("detail") or ""
    if name == "invalid_scope":
        status = 403
    plain = re.sub(r"[^ -~]", "", str(words)[:300])
    return CloudError(_REFUSED.get(status) or plain or f"The server answered {status}.", name)
