"""Oracle Cloud: our token for a user principal session token (UPST), which is good with a key pair made for it.

OCI IAM, "Token Exchange Grant Type: Exchanging a JSON Web Token for a UPST". Requests to OCI are signed with the private
key, and name the UPST as their key id (``ST$…``).
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from provider.vault.exchanges.answers import FORM, Rules, json_object, needed, refuse, seconds_from
from provider.vault.exchanges.exchange import CloudCredentials, CloudDoor, Condition, TokenDemands
from provider.vault.exchanges.oauth import TOKEN_EXCHANGE
from provider.vault.private_keys import pem_of

UPST = "urn:oci:token-type:oci-upst"
USUAL_SECONDS = 3600
_RULES: Rules = (
    (r"audience|client ?claim", Condition.AUDIENCE),
    (r"public key endpoint|certificate|jwks", Condition.ISSUER_UNREACHABLE),
    (r"issuer|identity propagation trust", Condition.ISSUER),
    (r"expired", Condition.EXPIRED),
    (r"signature", Condition.SIGNATURE),
    (r"impersonat|subject|sub claim", Condition.SUBJECT),
    (r"invalid_client|unauthorized_client|client authentication|not authorized", Condition.ROLE),
)


class OracleExchange:
    audiences = re.compile(r"https://[^/]+\.identity\.oraclecloud\.com(?::443)?/?", re.IGNORECASE)

    def demands(self, options: Mapping[str, str]) -> TokenDemands:
        return TokenDemands(audience=options["domain_url"])

    def exchange(
        self, options: Mapping[str, str], token: str, door: CloudDoor, now: datetime.datetime
    ) -> CloudCredentials:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        asked = {
            "grant_type": TOKEN_EXCHANGE,
            "requested_token_type": UPST,
            "subject_token": token,
            "subject_token_type": "jwt",
            "public_key": base64.b64encode(public).decode(),
        }
        domain = options.get("endpoint", options["domain_url"]).rstrip("/")
        headers = {**FORM, "Authorization": _basic(options["client_id"], options["client_secret"])}
        answer = door.post(f"{domain}/oauth2/v1/token", urlencode(asked).encode(), headers)
        found = json_object(answer)
        if answer.status != 200:
            refuse(answer, _RULES, found.get("error"), found.get("error_description"))
        (session,) = needed(found, "token")
        values = {"token": session, "private_key": pem_of(key), "tenancy_ocid": options["tenancy_ocid"]}
        if "region" in options:
            values["region"] = options["region"]
        return CloudCredentials(values, _end_of(session, now))


def _basic(client_id: str, secret: str) -> str:
    """RFC 6749 §2.3.1: both are form-encoded first."""
    return "Basic " + base64.b64encode(f"{quote(client_id, safe='')}:{quote(secret, safe='')}".encode()).decode()


def _end_of(session: str, now: datetime.datetime) -> datetime.datetime:
    """When a UPST ends, as it says itself: nobody relies on it but who asks for the next one."""
    try:
        payload = session.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return seconds_from(now, int(claims["exp"]) - int(now.timestamp()), USUAL_SECONDS)
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error, OverflowError):
        return seconds_from(now, None, USUAL_SECONDS)
