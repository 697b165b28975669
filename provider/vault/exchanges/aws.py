"""AWS: ``AssumeRoleWithWebIdentity`` of the Security Token Service, in the region's own endpoint.

AWS Security Token Service API Reference, "AssumeRoleWithWebIdentity"; IAM User Guide, "Create an OpenID Connect (OIDC)
identity provider in IAM". MinIO's STS speaks the same protocol.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from urllib.parse import urlencode

from provider.vault.exchanges.answers import FORM, Rules, moment, needed, refuse, xml_texts
from provider.vault.exchanges.exchange import CloudCredentials, CloudDoor, Condition, TokenDemands

AUDIENCE = "sts.amazonaws.com"
USUAL_SECONDS = "3600"
MAX_SESSION_NAME = 64
_DOMAINS = {"aws-cn": "amazonaws.com.cn"}
_HOME_REGIONS = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
# In the words of AWS, then of MinIO. A role that is not there and one that does not trust the subject are one answer of AWS.
_RULES: Rules = (
    (r"incorrect token audience|invalid.*audience|audience.*not|`azp`", Condition.AUDIENCE),
    (r"no openid ?connect provider found|unknown.*issuer|issuer.*not", Condition.ISSUER),
    (
        r"^IDPCommunicationError|retrieve verification key|failed to (?:get|fetch).*(?:keys|jwks)",
        Condition.ISSUER_UNREACHABLE,
    ),
    (r"^ExpiredToken|token.*expired", Condition.EXPIRED),
    (r"signature|verif(?:y|ied|ication).*fail|verification error", Condition.SIGNATURE),
    (r"^AccessDenied|not authorized to perform|\bRoleARN\b", Condition.ROLE),
    (r"^(?:Throttling|RequestLimitExceeded|SlowDown)", Condition.LIMIT),
)


class AwsExchange:
    audiences = re.compile(r"sts\.(?:[a-z0-9-]+\.)?amazonaws\.com(?:\.cn)?", re.IGNORECASE)

    def demands(self, options: Mapping[str, str]) -> TokenDemands:
        return TokenDemands(audience=options.get("audience", AUDIENCE))

    def exchange(
        self, options: Mapping[str, str], token: str, door: CloudDoor, now: datetime.datetime
    ) -> CloudCredentials:
        partition = _partition(options["role_arn"])
        region = options.get("region") or _HOME_REGIONS.get(partition, "us-east-1")
        endpoint = options.get("endpoint") or f"https://sts.{region}.{_DOMAINS.get(partition, 'amazonaws.com')}/"
        given = assume_role({**options, "endpoint": endpoint}, token, door, now)
        return CloudCredentials({**given.values, "region": region}, given.expires_at)


def assume_role(options: Mapping[str, str], token: str, door: CloudDoor, now: datetime.datetime) -> CloudCredentials:
    """Asks ``endpoint`` for the role ``role_arn``, which may be empty where a server finds the role in the token."""
    asked = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleSessionName": session_name(options),
        "WebIdentityToken": token,
        "DurationSeconds": options.get("session_seconds", USUAL_SECONDS),
    }
    if options["role_arn"]:
        asked["RoleArn"] = options["role_arn"]
    answer = door.post(options["endpoint"], urlencode(asked).encode(), {**FORM, "Accept": "text/xml"})
    found = xml_texts(answer)
    if answer.status != 200:
        refuse(answer, _RULES, found.get("Code"), found.get("Message"))
    key, secret, session = needed(found, "AccessKeyId", "SecretAccessKey", "SessionToken")
    values = {"access_key_id": key, "secret_access_key": secret, "session_token": session}
    return CloudCredentials(values, moment(found.get("Expiration"), now))


def session_name(options: Mapping[str, str]) -> str:
    """What the cloud's own log calls these credentials: letters, digits and dashes, as labels have."""
    return f"mcp-core-{options['label']}"[:MAX_SESSION_NAME]


def _partition(role_arn: str) -> str:
    return role_arn.split(":")[1]
