"""Other services that take our tokens: any endpoint of OAuth's grants, those that list what they take, a cluster.

RFC 8693 and RFC 7523; OpenAI API reference, "Workload identity token exchange"; OpenRouter, "Exchange a workload identity
token"; Kubernetes, "Authenticating: OpenID Connect Tokens" and "SelfSubjectReview".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tests.clouds.access_tokens import ACCESS_TOKEN, EXCHANGE, JWT, URN, oauth_error
from tests.clouds.strict_cloud import JSON_TYPE, Refused, StrictCloud
from tests.clouds.trust import Fault

BEARER = f"{URN}:grant-type:jwt-bearer"
GRANT = frozenset({"grant_type", "subject_token", "subject_token_type"})


class OAuthEndpoint(StrictCloud):
    """Takes both grants."""

    refusals: ClassVar[Mapping[Fault, Any]] = {
        Fault.FORM: ("invalid_request", "The token is malformed."),
        Fault.ISSUER: ("invalid_grant", "The issuer {iss} is not trusted."),
        Fault.UNREACHABLE: ("invalid_grant", "The JWKS of the issuer could not be fetched."),
        Fault.SIGNATURE: ("invalid_grant", "The signature of the token could not be verified."),
        Fault.EXPIRED: ("invalid_grant", "The token has expired."),
        Fault.AUDIENCE: ("invalid_grant", "The audience {aud} is not one of ours."),
        Fault.SUBJECT: ("invalid_grant", "The subject {sub} is bound to nothing here."),
    }

    def answer(self, path: str, asked: Mapping[str, str], headers: Mapping[str, str]) -> Any:
        by_exchange = asked["grant_type"] == EXCHANGE and asked.get("subject_token_type") == JWT
        is_known = by_exchange or asked["grant_type"] == BEARER
        self.expect(is_known, ("unsupported_grant_type", "Ask for a token by RFC 8693 or RFC 7523."))
        claims = self.trust.claims_of(asked["subject_token" if by_exchange else "assertion"])
        self.given.append(claims["sub"])
        token = f"token-{len(self.given)}"
        return {"access_token": token, "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 900}

    def refused(self, words: Any) -> Refused:
        return oauth_error(words)


class OpenAI(OAuthEndpoint):
    """Takes nothing but what its reference lists."""

    content = JSON_TYPE

    def answer(self, path: str, asked: Mapping[str, str], headers: Mapping[str, str]) -> Any:
        wanted = dict(pair.split("=") for pair in self.said["parameters"].split())
        self.expect(headers["content-type"] == self.content, ("invalid_request", f"Not {self.content}."))
        self.expect(asked.keys() == GRANT | wanted.keys(), ("invalid_request", "Unknown or missing parameters."))
        self.expect(wanted.items() <= asked.items(), ("invalid_request", "Nothing is configured by this id."))
        return super().answer(path, asked, headers)


class OpenRouter(OpenAI):
    content = "application/x-www-form-urlencoded"


class Cluster(StrictCloud):
    """Says to whoever asks no more than that it does not know them. What was wrong is in its log."""

    refusals: ClassVar[Mapping[Fault, Any]] = dict.fromkeys(Fault, "Unauthorized")

    def paths(self) -> Sequence[str]:
        return ("/apis/authentication.k8s.io/v1/selfsubjectreviews",)

    def answer(self, path: str, asked: Mapping[str, str], headers: Mapping[str, str]) -> Any:
        kind = (asked["apiVersion"], asked["kind"])
        self.expect(kind == ("authentication.k8s.io/v1", "SelfSubjectReview"), "BadRequest")
        claims = self.trust.claims_of(headers.get("authorization", "").removeprefix("Bearer "))
        self.given.append(claims["sub"])
        user = {"username": f"mcp-core:{claims['sub']}", "groups": ["system:authenticated"]}
        return {**asked, "metadata": {}, "status": {"userInfo": user}}

    def refused(self, words: Any) -> Refused:
        status = {"Unauthorized": 401, "BadRequest": 400}[words]
        return Refused(
            status, {"kind": "Status", "status": "Failure", "message": words, "reason": words, "code": status}
        )
