"""Azure: our token as a client's assertion, for an access token of Microsoft Entra.

Microsoft identity platform, "OAuth 2.0 client credentials flow", third case: access token request with a federated
credential; "Microsoft Entra authentication and authorization error codes".
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from urllib.parse import urlencode

from provider.vault.exchanges.answers import FORM, Rules, json_object, needed, refuse, seconds_from
from provider.vault.exchanges.exchange import CloudCredentials, CloudDoor, Condition, TokenDemands

AUDIENCE = "api://AzureADTokenExchange"
AUTHORITY = "https://login.microsoftonline.com"
SCOPE = "https://management.azure.com/.default"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
USUAL_SECONDS = 3600
# One digit more is the same, of a comparison that tells capitals from small letters. 70021 is of before there were three: it
# repeats all that is in the assertion, and not which of it has no match.
_RULES: Rules = (
    (r"AADSTS700211\d?\b|presented assertion issuer", Condition.ISSUER),
    (r"AADSTS700212\d?\b|presented assertion audience", Condition.AUDIENCE),
    (r"AADSTS700213\d?\b|AADSTS70021\b|no matching federated identity", Condition.SUBJECT),
    (r"AADSTS700024\b|not within its valid time range", Condition.EXPIRED),
    (r"AADSTS50166\b|external OIDC endpoint", Condition.ISSUER_UNREACHABLE),
    (r"AADSTS(?:50013|700027)\b|signature", Condition.SIGNATURE),
    (r"AADSTS(?:700016|90002|900021|7000112|500011|1002016)\b|was not found in the directory", Condition.ROLE),
    (r"AADSTS90033\b|temporarily_unavailable", Condition.CLOUD_UNREACHABLE),
)


class AzureExchange:
    audiences = re.compile(r"api://AzureADTokenExchange\w*", re.IGNORECASE)

    def demands(self, options: Mapping[str, str]) -> TokenDemands:
        return TokenDemands(audience=options.get("audience", AUDIENCE))

    def exchange(
        self, options: Mapping[str, str], token: str, door: CloudDoor, now: datetime.datetime
    ) -> CloudCredentials:
        tenant, client = options["tenant_id"], options["client_id"]
        asked = {
            "grant_type": "client_credentials",
            "client_id": client,
            "scope": options.get("scope", SCOPE),
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": token,
        }
        authority = options.get("endpoint", AUTHORITY).rstrip("/")
        answer = door.post(f"{authority}/{tenant}/oauth2/v2.0/token", urlencode(asked).encode(), FORM)
        found = json_object(answer)
        if answer.status != 200:
            refuse(answer, _RULES, found.get("error"), found.get("error_description"))
        (access_token,) = needed(found, "access_token")
        values = {"access_token": access_token, "tenant_id": tenant, "client_id": client}
        return CloudCredentials(values, seconds_from(now, found.get("expires_in"), USUAL_SECONDS))
