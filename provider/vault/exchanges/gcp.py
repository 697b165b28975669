"""Google Cloud: token exchange at the Security Token Service, then the access token of a service account if one is set.

Google Cloud, "Security Token Service API, Method: token" and "IAM Service Account Credentials API, generateAccessToken";
"Workload identity federation: troubleshoot".
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from provider.vault.exchanges.answers import FORM, JSON, Rules, json_object, moment, needed, refuse, seconds_from
from provider.vault.exchanges.exchange import CloudCredentials, CloudDoor, Condition, TokenDemands
from provider.vault.exchanges.oauth import ACCESS_TOKEN, JWT, TOKEN_EXCHANGE

STS, IAM = "https://sts.googleapis.com", "https://iamcredentials.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
USUAL_SECONDS = 3600
_RULES: Rules = (
    (r"error connecting to the given credential's issuer|failed to fetch|jwks", Condition.ISSUER_UNREACHABLE),
    (r"issuer in id token .* does not match|issuer", Condition.ISSUER),
    (r"audience in id token .* does not match", Condition.AUDIENCE),
    (r"rejected by the attribute condition|attribute mapping|google\.subject", Condition.SUBJECT),
    (r"stale to sign-in|expired", Condition.EXPIRED),
    (r"signature|unable to verify", Condition.SIGNATURE),
    (r"pool or provider is disabled or deleted|invalid_target|PERMISSION_DENIED|denied|NOT_FOUND", Condition.ROLE),
)


class GcpExchange:
    audiences = re.compile(r"(?:https:)?//iam\.googleapis\.com/.*", re.IGNORECASE)

    def demands(self, options: Mapping[str, str]) -> TokenDemands:
        return TokenDemands(audience=options["provider"])

    def exchange(
        self, options: Mapping[str, str], token: str, door: CloudDoor, now: datetime.datetime
    ) -> CloudCredentials:
        """An ``endpoint`` of one's own answers both questions."""
        own, scope = options.get("endpoint", "").rstrip("/"), options.get("scope", SCOPE)
        asked = {
            "grant_type": TOKEN_EXCHANGE,
            "audience": options["provider"],
            "scope": SCOPE if options.get("service_account") else scope,
            "requested_token_type": ACCESS_TOKEN,
            "subject_token": token,
            "subject_token_type": JWT,
        }
        answer = door.post(f"{own or STS}/v1/token", urlencode(asked).encode(), FORM)
        found = json_object(answer)
        if answer.status != 200:
            refuse(answer, _RULES, found.get("error"), found.get("error_description"))
        (access_token,) = needed(found, "access_token")
        if "service_account" not in options:
            ends_at = seconds_from(now, found.get("expires_in"), USUAL_SECONDS)
            return CloudCredentials({"access_token": access_token}, ends_at)
        return _impersonated(own or IAM, options["service_account"], scope, access_token, door, now)


def _impersonated(
    base: str, account: str, scope: str, federated: str, door: CloudDoor, now: datetime.datetime
) -> CloudCredentials:
    url = f"{base}/v1/projects/-/serviceAccounts/{quote(account, safe='@')}:generateAccessToken"
    body = json.dumps({"scope": scope.split(), "lifetime": f"{USUAL_SECONDS}s"}).encode()
    answer = door.post(url, body, {**JSON, "Authorization": f"Bearer {federated}"})
    found = json_object(answer)
    if answer.status != 200:
        error = found.get("error")
        said = error if isinstance(error, dict) else {}
        refuse(answer, _RULES, said.get("status"), said.get("message"))
    (access_token,) = needed(found, "accessToken")
    return CloudCredentials({"access_token": access_token}, moment(found.get("expireTime"), now))
