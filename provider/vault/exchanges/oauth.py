"""Any endpoint that takes tokens of an OpenID issuer: RFC 8693, RFC 7523, the login of HashiCorp Vault, or AWS's own form.

OpenBao has Vault's login ("JWT/OIDC auth method (API): JWT Login"), MinIO has AWS's ("AssumeRoleWithWebIdentity"). A cluster
of Kubernetes takes the token itself, and is asked who that is ("SelfSubjectReview").
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import urlencode

from provider.vault.exchanges.answers import FORM, JSON, Rules, cleaned, json_object, needed, refuse, seconds_from
from provider.vault.exchanges.aws import assume_role
from provider.vault.exchanges.exchange import Answer, CloudCredentials, CloudDoor, Condition, TokenDemands
from provider.vault.presets import PRESETS

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name
JWT = "urn:ietf:params:oauth:token-type:jwt"
CREATED = 201
REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
USUAL_SECONDS = 3600
_RULES: Rules = (
    (r"audience", Condition.AUDIENCE),
    (r"jwks|fetch(?:ing)? (?:the )?keys|oidc discovery|oidc provider|well-known", Condition.ISSUER_UNREACHABLE),
    (r"\bissuer\b|\biss\b", Condition.ISSUER),
    (r"expired|\bexp\b", Condition.EXPIRED),
    (r"signature|no known key", Condition.SIGNATURE),
    (r"subject|\bsub\b|claim .* does not match", Condition.SUBJECT),
    (r"role .* could not be found|unknown role|permission denied|access_denied|unauthorized_client", Condition.ROLE),
    (r"invalid_client|not authorized|\bforbidden\b", Condition.ROLE),
    (r"slow_down|rate limit", Condition.LIMIT),
)


class OtherExchange:
    audiences: re.Pattern[str] | None = None

    def demands(self, options: Mapping[str, str]) -> TokenDemands:
        return TokenDemands(audience=options["audience"], algorithm=options.get("algorithm", "RS256"))

    def exchange(
        self, options: Mapping[str, str], token: str, door: CloudDoor, now: datetime.datetime
    ) -> CloudCredentials:
        match options["protocol"]:
            case "aws-sts":
                return assume_role({**options, "role_arn": options.get("role", "")}, token, door, now)
            case "vault-jwt":
                return _log_in(options, token, door, now)
            case "kubernetes":
                _review(options, token, door)
                ends_at = now + datetime.timedelta(seconds=self.demands(options).seconds)
                return CloudCredentials({"token": token}, ends_at)
            case protocol:
                return _ask(options, _question(protocol, options, token), door, now)


def _question(protocol: str, options: Mapping[str, str], token: str) -> dict[str, str]:
    named = {name: options[name] for name in ("client_id", "scope") if name in options}
    if protocol == "jwt-bearer":
        return {"grant_type": JWT_BEARER, "assertion": token, **named}
    asked = {"grant_type": TOKEN_EXCHANGE, "subject_token": token, "subject_token_type": JWT}
    preset = PRESETS.get(options.get("preset", ""))
    if preset is None or not preset.is_bare:
        asked |= {"requested_token_type": ACCESS_TOKEN, "audience": options["audience"]}
    return {**asked, **named}


def _ask(
    options: Mapping[str, str], asked: Mapping[str, str], door: CloudDoor, now: datetime.datetime
) -> CloudCredentials:
    more = dict(pair.split("=", 1) for pair in options.get("parameters", "").split())
    preset = PRESETS.get(options.get("preset", ""))
    if preset is not None and preset.takes_json:
        body, headers = json.dumps({**more, **asked}).encode(), JSON
    else:
        body, headers = urlencode({**more, **asked}).encode(), FORM
    answer = door.post(options["endpoint"], body, headers)
    found = json_object(answer)
    if answer.status != 200:
        _refuse(answer, found)
    (access_token,) = needed(found, "access_token")
    return CloudCredentials({"access_token": access_token}, seconds_from(now, found.get("expires_in"), USUAL_SECONDS))


def _log_in(options: Mapping[str, str], token: str, door: CloudDoor, now: datetime.datetime) -> CloudCredentials:
    """The address is that of the login itself, such as ``https://vault.example.com/v1/auth/jwt/login``."""
    body = json.dumps({"role": options["role"], "jwt": token}).encode()
    answer = door.post(options["endpoint"], body, JSON)
    found = json_object(answer)
    if answer.status != 200:
        errors = found.get("errors")
        refuse(answer, _RULES, "", " ".join(map(cleaned, errors)) if isinstance(errors, list) else "")
    given = found.get("auth")
    given = given if isinstance(given, dict) else {}
    (client_token,) = needed(given, "client_token")
    return CloudCredentials({"token": client_token}, seconds_from(now, given.get("lease_duration"), USUAL_SECONDS))


def _review(options: Mapping[str, str], token: str, door: CloudDoor) -> None:
    """Raises ``ExchangeRefused`` where the API server, whose address this is, knows nobody by the token."""
    body = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).encode()
    url = options["endpoint"].rstrip("/") + REVIEW
    answer = door.post(url, body, {**JSON, "Authorization": f"Bearer {token}"})
    found = json_object(answer)
    if answer.status not in (200, CREATED):
        refuse(answer, _RULES, found.get("reason"), found.get("message"))
    status = found.get("status")
    known = status.get("userInfo") if isinstance(status, dict) else None
    needed(known if isinstance(known, dict) else {}, "username")


def _refuse(answer: Answer, found: Mapping[str, object]) -> NoReturn:
    """Errors of RFC 6749 §5.2, and of those who put an object in their place."""
    error = found.get("error")
    if isinstance(error, dict):
        refuse(answer, _RULES, error.get("type"), error.get("message"))
    refuse(answer, _RULES, error, found.get("error_description"))
