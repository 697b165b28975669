"""Alibaba Cloud: ``AssumeRoleWithOIDC`` of the Security Token Service. Nobody signs the call: our token is the proof.

Alibaba Cloud, "Resource Access Management: AssumeRoleWithOIDC" and the error codes of the same service.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from urllib.parse import urlencode

from provider.vault.exchanges.answers import FORM, Rules, json_object, moment, needed, refuse
from provider.vault.exchanges.aws import session_name
from provider.vault.exchanges.exchange import CloudCredentials, CloudDoor, Condition, TokenDemands

AUDIENCE = "sts.aliyuncs.com"
USUAL_SECONDS = "3600"
_RULES: Rules = (
    (r"AudienceNotMatch", Condition.AUDIENCE),
    (r"IssuerNotMatch|No such OIDC Provider|EntityNotExist\.OIDCProvider", Condition.ISSUER),
    (r"OIDCToken\.Expired", Condition.EXPIRED),
    (r"HttpsUrlInvalid|Fingerprint", Condition.ISSUER_UNREACHABLE),
    (r"InvalidSignature", Condition.SIGNATURE),
    (r"SubjectNotMatch", Condition.SUBJECT),
    (r"NoPermission|EntityNotExist|not authorized|ImplicitDeny|AssumeRolePolicy", Condition.ROLE),
    (r"^Throttling", Condition.LIMIT),
)


class AlibabaExchange:
    audiences = re.compile(r"sts\.(?:[a-z0-9-]+\.)?aliyuncs\.com", re.IGNORECASE)

    def demands(self, options: Mapping[str, str]) -> TokenDemands:
        return TokenDemands(audience=options.get("audience", AUDIENCE))

    def exchange(
        self, options: Mapping[str, str], token: str, door: CloudDoor, now: datetime.datetime
    ) -> CloudCredentials:
        call = {
            "Action": "AssumeRoleWithOIDC",
            "Version": "2015-04-01",
            "Format": "JSON",
            "Timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        asked = {
            "RoleArn": options["role_arn"],
            "OIDCProviderArn": options["oidc_provider_arn"],
            "OIDCToken": token,
            "RoleSessionName": session_name(options),
            "DurationSeconds": options.get("session_seconds", USUAL_SECONDS),
        }
        host = f"sts.{options['region']}.aliyuncs.com" if "region" in options else "sts.aliyuncs.com"
        base = options.get("endpoint", f"https://{host}").rstrip("/")
        answer = door.post(f"{base}/?{urlencode(call)}", urlencode(asked).encode(), FORM)
        found = json_object(answer)
        if answer.status != 200:
            refuse(answer, _RULES, found.get("Code"), found.get("Message"))
        given = found.get("Credentials")
        given = given if isinstance(given, dict) else {}
        key, secret, session = needed(given, "AccessKeyId", "AccessKeySecret", "SecurityToken")
        values = {"access_key_id": key, "access_key_secret": secret, "security_token": session}
        if "region" in options:
            values["region"] = options["region"]
        return CloudCredentials(values, moment(given.get("Expiration"), now))
