"""What a service says about itself: protected resource metadata (RFC 9728)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import urlsplit

WELL_KNOWN = "/.well-known/oauth-protected-resource"
Answer = tuple[int, list[tuple[str, str]], bytes]
_CORS = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS"),
    ("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, MCP-Protocol-Version"),
    ("Access-Control-Max-Age", "86400"),
]


class ResourceMetadata:
    """The document, and where it is: ``url`` in challenges, ``paths`` to serve on this host.

    ``url`` is None and ``paths`` is empty for an audience that is no http(s) URL, such as a URN.
    """

    def __init__(self, issuer: str, audience: str, scopes: Iterable[str], name: str | None) -> None:
        parts = urlsplit(audience)
        self.url: str | None = None
        self.paths: tuple[str, ...] = ()
        if parts.scheme in ("http", "https") and parts.netloc:
            path = "" if parts.path == "/" else parts.path
            query = f"?{parts.query}" if parts.query else ""
            self.url = f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{path}{query}"
            self.paths = tuple(dict.fromkeys((WELL_KNOWN + path, WELL_KNOWN)))
        document: dict[str, object] = {
            "resource": audience,
            "authorization_servers": [issuer],
            "bearer_methods_supported": ["header"],
        }
        # To offer offline_access is the provider's business (MCP specification, SEP-2207).
        supported = [scope for scope in dict.fromkeys(scopes) if scope != "offline_access"]
        if supported:
            document["scopes_supported"] = supported
        if name is not None:
            document["resource_name"] = name
        self.document = document
        self._body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

    def answer(self, method: str) -> Answer:
        """Status, headers and body for a request to one of ``paths``. Scripts of any origin may read it."""
        if method == "OPTIONS":
            return 204, _CORS, b""
        if method not in ("GET", "HEAD"):
            return 405, [("Allow", "GET, HEAD, OPTIONS"), ("Content-Length", "0")], b""
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(self._body))),
            ("Cache-Control", "public, max-age=300"),
            *_CORS[:1],
        ]
        return 200, headers, self._body if method == "GET" else b""
