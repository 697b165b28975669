"""A provider for tests that the real one cannot serve: it counts, stalls, lies, and signs whatever it is told to.

A real HTTP server on 127.0.0.1 with real keys. ``answers`` maps a path to what is said there in place of the truth.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSAlgModel, JWSRegistry  # type: ignore[attr-defined] # exported, but not by __all__

AUDIENCE = "https://notes.example/mcp"
NOW = 1_800_000_000
Key = RSAKey | ECKey | OKPKey
Respond = Callable[[BaseHTTPRequestHandler], None]


class AnyHeader(JWSRegistry):
    """Signs headers that nobody should accept."""

    max_header_length = 100_000

    def __init__(self) -> None:
        super().__init__(strict_check_header=False)

    def get_alg(self, name: str) -> JWSAlgModel:
        return self.algorithms[name]

    def check_header(self, header: dict[str, Any]) -> None:
        return


class Clock:
    """Both clocks of a verifier."""

    def __init__(self) -> None:
        self.now: float = NOW

    def __call__(self) -> float:
        return self.now


def generate(algorithm: str) -> Key:
    if algorithm == "RS256":
        return RSAKey.generate_key(2048, auto_kid=False)
    if algorithm == "ES256":
        return ECKey.generate_key("P-256", auto_kid=False)
    return OKPKey.generate_key("Ed25519", auto_kid=False)


KEYS = {algorithm: generate(algorithm) for algorithm in ("RS256", "ES256", "EdDSA")}


def public(key: Key, kid: str, algorithm: str) -> dict[str, Any]:
    return {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": algorithm}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A caller that gave up is no fault."""


class StandIn:
    """``keys`` is its key set; ``active`` is what introspection says."""

    def __init__(self, path: str = "/oauth") -> None:
        self.requests: Counter[str] = Counter()
        self.answers: dict[str, Respond] = {}
        self.delay_seconds = 0.0
        self.active: Any = True
        self.asked: list[dict[str, Any]] = []
        self.keys = [public(key, algorithm, algorithm) for algorithm, key in KEYS.items()]
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.path, self.issuer = path, self.origin + path

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def document(self, path: str) -> dict[str, Any] | None:
        if path == f"{self.path}/jwks":
            return {"keys": self.keys}
        if path == f"/.well-known/oauth-authorization-server{self.path}":
            endpoints = {"jwks_uri": f"{self.issuer}/jwks", "introspection_endpoint": f"{self.issuer}/introspect"}
            return {"issuer": self.issuer, **endpoints}
        return None

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Those of a good token. None takes a claim away."""
        claims = {
            "iss": self.issuer,
            "sub": "0190-user",
            "aud": AUDIENCE,
            "client_id": "client-1",
            "scope": "notes:read notes:write",
            "iat": NOW - 60,
            "exp": NOW + 540,
            "jti": "token-1",
        }
        return {name: value for name, value in (claims | changed).items() if value is not None}

    def token(
        self, algorithm: str = "RS256", *, header: dict[str, Any] | None = None, key: Key | None = None, **changed: Any
    ) -> str:
        protected = {"alg": algorithm, "kid": algorithm, "typ": "at+jwt", **(header or {})}
        protected = {name: value for name, value in protected.items() if value is not None}
        return sign(protected, self.claims(**changed), key or KEYS[algorithm])


def sign(header: dict[str, Any], content: Any, key: Key) -> str:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return jws.serialize_compact(header, body, key, registry=AnyHeader())


def respond(status: int, body: bytes = b"{}", **headers: str) -> Respond:
    """A fixed answer; ``Content_Type`` becomes ``Content-Type``."""

    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        fields = {"Content_Type": "application/json", "Content_Length": str(len(body)), **headers}
        for name, value in fields.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return send


def _handler(provider: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._respond()

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            provider.asked.append({**form, "auth": self.headers["Authorization"]})
            self._respond()

        def _respond(self) -> None:
            provider.requests[self.path] += 1
            time.sleep(provider.delay_seconds)
            if self.path in provider.answers:
                provider.answers[self.path](self)
            elif self.path == f"{provider.path}/introspect":
                respond(200, json.dumps({"active": provider.active}).encode())(self)
            elif (document := provider.document(self.path)) is not None:
                respond(200, json.dumps(document).encode())(self)
            else:
                respond(404)(self)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base names it
            """Quiet."""

    return Handler
