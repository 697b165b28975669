"""AWS's Security Token Service as it documents ``AssumeRoleWithWebIdentity``, on loopback and without mercy.

It knows one role with a trust policy, and one OpenID Connect provider, whose keys it reads over HTTP as that provider says.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.https_server import HttpsServer
from tests.waiting import HANG_SECONDS

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
ACTION = "sts:AssumeRoleWithWebIdentity"


class Refused(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


@functools.cache
def _another_key() -> Mapping[str, str]:
    made = rsa.generate_private_key(public_exponent=65_537, key_size=2048).public_key()
    found = jwt.algorithms.RSAAlgorithm.to_jwk(made, as_dict=True)
    return {name: found[name] for name in ("n", "e")}


@dataclass
class StrictSts:
    """``audiences`` are the client ids that the provider of ``issuer`` has in IAM, ``trust`` is the role's policy.

    ``seconds_ahead``: its clock. Not ``is_reached``: it cannot read our keys; ``has_other_keys``: it still has old ones.
    """

    issuer: str = ""
    audiences: tuple[str, ...] = ("sts.amazonaws.com",)
    role: str = "arn:aws:iam::123456789012:role/mcp-core"
    trust: Mapping[str, Any] = field(default_factory=dict)
    is_reached: bool = True
    has_other_keys: bool = False
    seconds_ahead: int = 0
    given: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server = HttpsServer({"/": self._answer})
        self.url = self.server.url

    def close(self) -> None:
        self.server.close()

    def trust_subject(self, subject: str) -> None:
        """As the page's trust policy has it, for this subject."""
        name = self.issuer.removeprefix("https://")
        self.trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{name}"},
                    "Action": ACTION,
                    "Condition": {"StringEquals": {f"{name}:aud": self.audiences[0], f"{name}:sub": subject}},
                }
            ],
        }

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = {name: values[0] for name, values in parse_qs(self.server.received[-1].body.decode()).items()}
        try:
            status, said = 200, self._credentials(asked)
        except Refused as refusal:
            error = f"<Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message>"
            status = refusal.status
            said = f'<ErrorResponse xmlns="{NAMESPACE}"><Error><Type>Sender</Type>{error}</Error></ErrorResponse>'
        body = said.encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "text/xml")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _credentials(self, asked: Mapping[str, str]) -> str:
        if (asked.get("Action"), asked.get("Version")) != ("AssumeRoleWithWebIdentity", "2011-06-15"):
            raise Refused(400, "InvalidAction", "Could not find operation")
        seconds = int(asked.get("DurationSeconds", "3600"))
        if not 900 <= seconds <= 43_200 or not 2 <= len(asked["RoleSessionName"]) <= 64:
            raise Refused(400, "ValidationError", "1 validation error detected")
        claims = self._verified(asked["WebIdentityToken"])
        if asked["RoleArn"] != self.role or not self._is_trusted(claims):
            raise Refused(403, "AccessDenied", f"Not authorized to perform {ACTION}")
        key = f"ASIA{len(self.given):016}"
        self.given.append(key)
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
        found = {
            "AccessKeyId": key,
            "SecretAccessKey": f"secret-of-{key}",
            "SessionToken": f"session-of-{key}",
            "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        values = "".join(f"<{name}>{value}</{name}>" for name, value in found.items())
        name = "AssumeRoleWithWebIdentity"
        subject = f"<SubjectFromWebIdentityToken>{escape(claims['sub'])}</SubjectFromWebIdentityToken>"
        result = f"<{name}Result>{subject}<Credentials>{values}</Credentials></{name}Result>"
        return f'<{name}Response xmlns="{NAMESPACE}">{result}</{name}Response>'

    def _verified(self, token: str) -> Mapping[str, Any]:
        """The claims, in the order of IAM: issuer, keys, signature, expiry, audience. ``azp`` counts before ``aud``."""
        try:
            header, unproved = jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            raise Refused(400, "InvalidIdentityToken", "The ID Token provided is not a valid JWT.") from None
        if unproved.get("iss") != self.issuer:
            words = f"No OpenIDConnect provider found in your account for {unproved.get('iss')}"
            raise Refused(400, "InvalidIdentityToken", words)
        if not self.is_reached:
            raise Refused(
                400,
                "IDPCommunicationError",
                "Couldn't retrieve verification key from your identity provider, please reference "
                "AssumeRoleWithWebIdentity documentation for requirements",
            )
        try:
            claims = jwt.decode(
                token,
                self._key(str(header.get("kid"))),
                algorithms=["RS256"],
                leeway=-self.seconds_ahead,
                options={"verify_aud": False, "verify_iat": False, "require": ["exp", "iat", "sub", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            words = "Token expired: current date/time must be before the expiration date/time"
            raise Refused(400, "ExpiredTokenException", words) from None
        except jwt.InvalidTokenError:
            raise Refused(400, "InvalidIdentityToken", "Provided Token's signature could not be verified.") from None
        if claims.get("azp", claims["aud"]) not in self.audiences:
            raise Refused(400, "InvalidIdentityToken", "Incorrect token audience")
        return dict(claims)

    def _key(self, kid: str) -> Any:
        """Over HTTP, from where the provider's metadata says that its keys are."""
        metadata = requests.get(f"{self.issuer}/.well-known/openid-configuration", timeout=HANG_SECONDS).json()
        assert metadata["issuer"] == self.issuer
        keys = requests.get(metadata["jwks_uri"], timeout=HANG_SECONDS).json()["keys"]
        known = next(key for key in keys if key["kid"] == kid)
        return jwt.PyJWK({**known, **_another_key()} if self.has_other_keys else known)

    def _is_trusted(self, claims: Mapping[str, Any]) -> bool:
        """The role's trust policy: each condition has to be met by the claim that it names."""
        name = self.issuer.removeprefix("https://")
        known = {f"{name}:{claim}": value for claim, value in claims.items()}
        for statement in self.trust.get("Statement", ()):
            federated = statement["Principal"]["Federated"]
            wanted: Mapping[str, str] = statement["Condition"]["StringEquals"]
            is_ours = federated.endswith(f":oidc-provider/{name}") and statement["Action"] == ACTION
            if is_ours and statement["Effect"] == "Allow" and wanted.items() <= known.items():
                return True
        return False
