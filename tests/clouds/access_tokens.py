"""Clouds that give tokens of their own: Microsoft Entra, Google, and an identity domain of Oracle.

Microsoft identity platform, "OAuth 2.0 client credentials flow" and its error codes; Google Cloud, "Method: token" and
"generateAccessToken"; OCI IAM, "Exchanging a JSON Web Token for a UPST", which has no words for what is refused.
"""

from __future__ import annotations

import base64
import datetime
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from tests.clouds.strict_cloud import Refused, StrictCloud
from tests.clouds.trust import Fault

URN = "urn:ietf:params:oauth"
EXCHANGE = f"{URN}:grant-type:token-exchange"
ACCESS_TOKEN, JWT = f"{URN}:token-type:access_token", f"{URN}:token-type:jwt"
INVALID = "invalid_request"


class Entra(StrictCloud):
    _advice = (
        "Please check your federated identity credential Subject, Audience and Issuer against the presented assertion. "
        "https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
    )
    _record = "No matching federated identity record found for presented assertion"
    refusals: ClassVar[Mapping[Fault, Any]] = {
        Fault.FORM: ("50027", "JWT token is invalid or malformed."),
        Fault.ISSUER: ("700211", f"{_record} issuer '{{iss}}'. {_advice}"),
        Fault.UNREACHABLE: ("50166", "Request to External OIDC endpoint failed."),
        Fault.SIGNATURE: ("50013", "Assertion failed signature validation. [Reason - The key was not found.]"),
        Fault.EXPIRED: ("700024", "Client assertion is not within its valid time range."),
        Fault.AUDIENCE: ("700212", f"{_record} audience '{{aud}}'. {_advice}"),
        Fault.SUBJECT: ("700213", f"{_record} subject '{{sub}}'. {_advice}"),
    }

    def paths(self) -> Sequence[str]:
        tenant = self.said["tenant_id"]
        return (f"/{tenant}/oauth2/v2.0/token", f"/{tenant}/v2.0/.well-known/openid-configuration")

    def answer(self, path: str, asked: Mapping[str, str], headers: Mapping[str, str]) -> Any:
        if path.endswith("openid-configuration"):
            own = f"{self.url}/{self.said['tenant_id']}"
            ends = {
                "authorization_endpoint": f"{own}/oauth2/v2.0/authorize",
                "token_endpoint": f"{own}/oauth2/v2.0/token",
            }
            return {"issuer": f"{own}/v2.0", **ends}
        kind = f"{URN}:client-assertion-type:jwt-bearer"
        is_right = (asked["grant_type"], asked["client_assertion_type"]) == ("client_credentials", kind)
        self.expect(is_right, ("70003", "The app requested an unsupported grant type."))
        self.expect(asked["scope"].endswith("/.default"), ("1002012", "The provided value for scope is not valid."))
        is_there = asked["client_id"] == self.said["client_id"]
        self.expect(
            is_there, ("700016", f"Application with identifier '{asked['client_id']}' was not found in the directory")
        )
        claims = self.trust.claims_of(asked["client_assertion"])
        self.given.append(claims["sub"])
        return {"token_type": "Bearer", "expires_in": 3599, "access_token": f"entra-{len(self.given)}"}

    def refused(self, words: Any) -> Refused:
        code, message = words
        said = f"AADSTS{code}: {message} Trace ID: 0 Correlation ID: 0 Timestamp: 2026-01-01 00:00:00Z"
        status, error = (400, "unauthorized_client") if code == "700016" else (401, "invalid_client")
        return Refused(status, {"error": error, "error_description": said, "error_codes": [int(code)]})


class Google(StrictCloud):
    """``may_impersonate``: whether the subject is bound to the service account."""

    may_impersonate = True
    refusals: ClassVar[Mapping[Fault, Any]] = {
        Fault.FORM: ("invalid_request", "Invalid subject token."),
        Fault.ISSUER: ("invalid_grant", "The issuer in ID Token {iss} does not match the expected ones."),
        Fault.UNREACHABLE: ("invalid_grant", "Error connecting to the given credential's issuer."),
        Fault.SIGNATURE: ("invalid_grant", "Invalid signature for ID Token."),
        Fault.EXPIRED: ("invalid_grant", "ID Token issued at {iat} is stale to sign-in."),
        Fault.AUDIENCE: ("invalid_grant", "The audience in ID Token [{aud}] does not match the expected audience."),
        Fault.SUBJECT: ("unauthorized_client", "The given credential is rejected by the attribute condition."),
    }

    @property
    def _account(self) -> str:
        return f"/v1/projects/-/serviceAccounts/{self.said.get('service_account')}:generateAccessToken"

    def paths(self) -> Sequence[str]:
        return ("/v1/token", self._account)

    def answer(self, path: str, asked: Mapping[str, Any], headers: Mapping[str, str]) -> Any:
        return self._of_account(asked, headers) if path == self._account else self._federated(asked)

    def _federated(self, asked: Mapping[str, str]) -> Any:
        is_there = asked["audience"] == self.said["provider"]
        words = (
            'The target service indicated by the "audience" parameters is invalid. This might either be because the '
        )
        self.expect(is_there, ("invalid_target", f"{words}pool or provider is disabled or deleted."))
        wanted = {"grant_type": EXCHANGE, "requested_token_type": ACCESS_TOKEN, "subject_token_type": JWT}
        self.expect(wanted.items() <= asked.items(), (INVALID, "Request contains an invalid argument."))
        self.expect(bool(asked["scope"]), ("invalid_scope", "Scope is missing."))
        claims = self.trust.claims_of(asked["subject_token"])
        self.given.append(claims["sub"])
        token = f"federated-{len(self.given)}"
        return {"access_token": token, "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 3600}

    def _of_account(self, asked: Mapping[str, Any], headers: Mapping[str, str]) -> Any:
        said = {"code": 401, "status": "UNAUTHENTICATED", "message": "Request had invalid authentication credentials."}
        if headers.get("authorization") != f"Bearer federated-{len(self.given)}":
            raise Refused(401, {"error": said})
        if not self.may_impersonate or not isinstance(asked["scope"], list):
            words = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."
            raise Refused(403, {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": words}})
        until = self.trust.now + datetime.timedelta(hours=1)
        return {"accessToken": f"robot-{len(self.given)}", "expireTime": until.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def refused(self, words: Any) -> Refused:
        return oauth_error(words)


class OracleDomain(StrictCloud):
    refusals: ClassVar[Mapping[Fault, Any]] = {
        Fault.FORM: ("invalid_request", "The subject token is malformed."),
        Fault.ISSUER: ("invalid_request", "No Identity Propagation Trust is there for the issuer {iss}."),
        Fault.UNREACHABLE: ("invalid_request", "The public key endpoint of the trust could not be read."),
        Fault.SIGNATURE: ("invalid_grant", "The signature of the subject token could not be verified."),
        Fault.EXPIRED: ("invalid_grant", "The subject token has expired."),
        Fault.AUDIENCE: ("invalid_request", "The client claim has none of the trust's values."),
        Fault.SUBJECT: ("invalid_grant", "No impersonation rule of the trust matches."),
    }

    def paths(self) -> Sequence[str]:
        return ("/oauth2/v1/token",)

    def answer(self, path: str, asked: Mapping[str, str], headers: Mapping[str, str]) -> Any:
        pair = f"{self.said['client_id']}:{self.said['client_secret']}".encode()
        is_known = headers.get("authorization") == f"Basic {base64.b64encode(pair).decode()}"
        self.expect(is_known, ("invalid_client", "Client authentication failed."))
        wanted = {
            "grant_type": EXCHANGE,
            "requested_token_type": "urn:oci:token-type:oci-upst",
            "subject_token_type": "jwt",
        }
        self.expect(wanted.items() <= asked.items(), (INVALID, "The request is not one for a UPST."))
        public = load_der_public_key(base64.b64decode(asked["public_key"]))
        assert isinstance(public, rsa.RSAPublicKey)
        claims = self.trust.claims_of(asked["subject_token"])
        self.given.append(claims["sub"])
        now = int(self.trust.now.timestamp())
        own = {"sub": "ocid1.user.oc1..robot", "jwk": jwt.algorithms.RSAAlgorithm.to_jwk(public)}
        return {"token": jwt.encode({**own, "iat": now, "exp": now + 3600}, _own_key(), algorithm="RS256")}

    def refused(self, words: Any) -> Refused:
        return oauth_error(words)


def oauth_error(words: tuple[str, str]) -> Refused:
    """RFC 6749 §5.2."""
    error, description = words
    status = 401 if error == "invalid_client" else 400
    return Refused(status, {"error": error, "error_description": description})


@functools.cache
def _own_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)
