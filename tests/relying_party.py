"""A strict client: PKCE, and every check that OpenID Connect and RFC 9207 ask of a relying party.

What it refuses, a real client refuses too, so a journey that gets through it says something.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import requests
from joserfc import jwk, jws, jwt

from tests.waiting import HANG_SECONDS

_HASHES = {"RS256": "sha256", "ES256": "sha256", "EdDSA": "sha512", "Ed25519": "sha512"}


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Refused(AssertionError):
    """The client does not believe what it got."""


class TokenError(Exception):
    """The token endpoint said no: ``status`` and ``error``."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(status, body)
        self.status, self.error, self.body = status, str(body.get("error")), body


@dataclass
class Tokens:
    """A checked token response. ``claims`` are those of the ID token, empty when there was none."""

    access_token: str
    scope: str | None
    expires_in: int
    refresh_token: str | None = None
    id_token: str | None = None
    claims: dict[str, Any] = field(default_factory=dict)


@dataclass
class RelyingParty:
    """``redirect_uri`` is only ever compared, never served: the browser stops there."""

    issuer: str
    client_id: str
    redirect_uri: str
    client_secret: str | None = None
    scope: str | None = "openid profile email"
    auth_method: str = "client_secret_basic"
    resource: str | None = None
    id_token_alg: str = "RS256"

    def __post_init__(self) -> None:
        self.http = requests.Session()
        self.http.trust_env = False
        self.verifier = self.state = self.nonce = ""
        answer = self.http.get(f"{self.issuer}/.well-known/openid-configuration", timeout=HANG_SECONDS)
        _must(answer.status_code == 200, f"discovery: {answer.status_code}")
        self.metadata: dict[str, Any] = answer.json()
        _must(self.metadata["issuer"] == self.issuer, f"issuer {self.metadata['issuer']!r} is not {self.issuer!r}")
        _must(self.metadata["code_challenge_methods_supported"] == ["S256"], "S256 and nothing else")
        if self.client_secret is not None:
            _must(self.auth_method in self.metadata["token_endpoint_auth_methods_supported"], "auth method")

    def authorization_url(self, **extra: str) -> str:
        """A fresh request with its own state, nonce and PKCE verifier."""
        self.verifier, self.state, self.nonce = (secrets.token_urlsafe(64) for _ in range(3))
        parameters = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": b64url(hashlib.sha256(self.verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        if self.scope:
            parameters["scope"] = self.scope
        if self.resource:
            parameters["resource"] = self.resource
        return f"{self.metadata['authorization_endpoint']}?{urlencode({**parameters, **extra})}"

    def read_answer(self, url: str) -> dict[str, str]:
        """The parameters of an authorization response, success or not: its place, ``state`` and ``iss`` are checked."""
        _must(url.startswith(self.redirect_uri), f"{url} is not our redirect URI")
        pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
        answer = dict(pairs)
        _must(len(pairs) == len(answer), f"a parameter came twice: {pairs}")
        _must(answer.get("state") == self.state, "state differs")
        _must(self.metadata["authorization_response_iss_parameter_supported"] is True, "iss is not announced")
        _must(answer.get("iss") == self.issuer, f"iss {answer.get('iss')!r}")
        _must("#" not in url, "a fragment")
        return answer

    def code_from(self, url: str) -> str:
        answer = self.read_answer(url)
        _must("error" not in answer and bool(answer.get("code")), f"no code: {answer}")
        return answer["code"]

    def redeem(self, code: str) -> Tokens:
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri}
        return self.checked(self.token_request({**fields, "code_verifier": self.verifier}), nonce=self.nonce)

    def refresh(self, token: str, **extra: str) -> Tokens:
        return self.checked(self.token_request({"grant_type": "refresh_token", "refresh_token": token, **extra}))

    def token_request(self, fields: dict[str, str]) -> requests.Response:
        """One unchecked request, on a connection of its own so that threads can call it together."""
        auth = None
        if self.resource:
            fields = {**fields, "resource": self.resource}
        if self.client_secret is None:
            fields = {**fields, "client_id": self.client_id}
        elif self.auth_method == "client_secret_post":
            fields = {**fields, "client_id": self.client_id, "client_secret": self.client_secret}
        else:
            auth = (quote(self.client_id, safe=""), quote(self.client_secret, safe=""))
        return requests.post(self.metadata["token_endpoint"], data=fields, auth=auth, timeout=HANG_SECONDS)

    def checked(self, answer: requests.Response, *, nonce: str | None = None) -> Tokens:
        """Raises ``TokenError`` for an error response and ``Refused`` for a response that breaks a rule."""
        _must("no-store" in answer.headers.get("Cache-Control", ""), "token responses must not be stored")
        _must(answer.headers.get("Content-Type", "").startswith("application/json"), "not JSON")
        body = answer.json()
        if answer.status_code != 200:
            raise TokenError(answer.status_code, body)
        _must(None not in body.values(), f"null members: {body}")
        _must(body["token_type"] == "Bearer", "token_type")
        _must(isinstance(body["expires_in"], int) and 1 <= body["expires_in"] <= 31536000, "expires_in")
        tokens = Tokens(
            body["access_token"], body.get("scope"), body["expires_in"], body.get("refresh_token"), body.get("id_token")
        )
        if tokens.id_token:
            tokens.claims = self.check_id_token(tokens.id_token, tokens.access_token, nonce)
        return tokens

    def keys(self) -> jwk.KeySet:
        document = self.http.get(self.metadata["jwks_uri"], timeout=HANG_SECONDS).json()
        identifiers = [key["kid"] for key in document["keys"]]
        _must(len(set(identifiers)) == len(identifiers), "every key has its own kid")
        _must(not any({"d", "p", "q", "k"} & set(key) for key in document["keys"]), "public keys only")
        return jwk.KeySet.import_key_set(document)

    def check_id_token(self, token: str, access_token: str, nonce: str | None) -> dict[str, Any]:
        """OpenID Connect Core §3.1.3.7 and §3.1.3.8."""
        decoded = jwt.decode(token, self.keys(), algorithms=[self.id_token_alg])
        claims, header, now = decoded.claims, decoded.header, datetime.datetime.now(datetime.UTC).timestamp()
        _must(claims["iss"] == self.issuer, "iss")
        _must(claims["aud"] == self.client_id or self.client_id in claims["aud"], "aud")
        _must(claims.get("azp", self.client_id) == self.client_id, "azp")
        _must(now < claims["exp"] < now + 86400, "exp")
        _must(now - 300 <= claims["iat"] <= now + 5, "iat")
        _must(claims["sub"].isascii() and 0 < len(claims["sub"]) <= 255, "sub")
        _must(claims.get("nonce") == nonce or nonce is None, "nonce")
        _must(isinstance(claims.get("auth_time", 0), int), "auth_time")
        _must(claims.get("acr") != "", "acr")
        digest = hashlib.new(_HASHES[header["alg"]], access_token.encode()).digest()
        _must(claims.get("at_hash") == b64url(digest[: len(digest) // 2]), "at_hash")
        return dict(claims)

    def access_token_claims(self, token: str, *, audience: str, algorithm: str = "RS256") -> dict[str, Any]:
        """What a resource server does with an access token (RFC 9068 §4)."""
        decoded = jwt.decode(token, self.keys(), algorithms=[algorithm])
        _must(decoded.header.get("typ") == "at+jwt", "typ")
        claims = decoded.claims
        _must(claims["iss"] == self.issuer and claims["aud"] == audience, f"iss or aud: {claims}")
        _must(claims["iat"] - 5 <= datetime.datetime.now(datetime.UTC).timestamp() < claims["exp"], "exp")
        _must({"sub", "client_id", "jti", "scope"} <= set(claims), f"claims: {sorted(claims)}")
        return dict(claims)

    def userinfo(self, tokens: Tokens) -> dict[str, Any]:
        answer = self.http.get(
            self.metadata["userinfo_endpoint"],
            headers={"Authorization": f"Bearer {tokens.access_token}"},
            timeout=HANG_SECONDS,
        )
        _must(answer.status_code == 200, f"userinfo: {answer.status_code} {answer.text}")
        profile: dict[str, Any] = answer.json()
        _must(not tokens.claims or profile["sub"] == tokens.claims["sub"], "the profile is someone else's")
        return profile

    def introspect(self, token: str) -> dict[str, Any]:
        assert self.client_secret is not None
        answer = self.http.post(
            self.metadata["introspection_endpoint"],
            data={"token": token},
            auth=(self.client_id, self.client_secret),
            timeout=HANG_SECONDS,
        )
        _must(answer.status_code == 200, f"introspection: {answer.status_code} {answer.text}")
        body: dict[str, Any] = answer.json()
        return body

    def logout_url(self, id_token: str, post_logout_redirect_uri: str) -> str:
        self.state = secrets.token_urlsafe(16)
        fields = {"id_token_hint": id_token, "post_logout_redirect_uri": post_logout_redirect_uri, "state": self.state}
        return f"{self.metadata['end_session_endpoint']}?{urlencode(fields)}"


def unverified_header(token: str) -> dict[str, Any]:
    return dict(jws.extract_compact(token.encode()).headers())


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise Refused(what)
