"""A cloud on loopback, with a certificate of its own, that gives nothing to a token that it has no reason to trust."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

from tests.clouds.trust import Distrust, Fault, Trust
from tests.https_server import HttpsServer, Received

JSON_TYPE = "application/json"


class Refused(Exception):
    """What the cloud answers in place of credentials. ``said`` is JSON, or a text of ``content_type``."""

    def __init__(self, status: int, said: Any) -> None:
        super().__init__(status)
        self.status, self.said = status, said


class StrictCloud:
    """``said`` are the fields that an account there is connected with. ``refusals`` are its words for each fault, by the
    names of the token's claims. ``given`` has whom something was given for, in order."""

    content_type = JSON_TYPE
    refusals: ClassVar[Mapping[Fault, Any]]

    def __init__(self, trust: Trust, said: Mapping[str, str]) -> None:
        self.trust, self.said = trust, dict(said)
        self.given: list[str] = []
        self.server = HttpsServer(dict.fromkeys(self.paths(), self._answer))
        self.url = self.server.url

    def close(self) -> None:
        self.server.close()

    def paths(self) -> Sequence[str]:
        return ("/",)

    def answer(self, path: str, asked: Mapping[str, str], headers: Mapping[str, str]) -> Any:
        """What is given for a question. Headers are by small letters. Raises ``Refused``, ``Distrust``."""
        raise NotImplementedError

    def refused(self, words: Any) -> Refused:
        """In the form that this cloud has, for one of its ``refusals`` or whatever else it says."""
        raise NotImplementedError

    def expect(self, is_right: bool, words: Any) -> None:
        if not is_right:
            raise self.refused(words)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        question = self.server.received[-1]
        headers = {name.lower(): value for name, value in question.headers.items()}
        try:
            status, said = 200, self.answer(urlsplit(question.path).path, fields_of(question), headers)
        except Refused as refused:
            status, said = refused.status, refused.said
        except Distrust as distrust:
            refusal = self.refused(_filled(self.refusals[distrust.fault], distrust.claims))
            status, said = refusal.status, refusal.said
        body = (said if isinstance(said, str) else json.dumps(said)).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", self.content_type)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


def fields_of(question: Received) -> dict[str, str]:
    """Of the address and the body together, each one time only."""
    if question.headers.get("Content-Type", "").startswith(JSON_TYPE):
        found: dict[str, str] = json.loads(question.body)
        return found
    pairs = parse_qsl(urlsplit(question.path).query) + parse_qsl(question.body.decode())
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


def _filled(words: Any, claims: Mapping[str, Any]) -> Any:
    """Clouds repeat what they were given."""
    if isinstance(words, str):
        return words.format_map({name: claims.get(name, "") for name in ("iss", "sub", "aud", "iat")})
    return tuple(_filled(it, claims) for it in words)
