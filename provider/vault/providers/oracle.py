"""Oracle Cloud Infrastructure.

OCIDs: https://docs.oracle.com/iaas/Content/General/Concepts/identifiers.htm; keys and their fingerprints:
https://docs.oracle.com/iaas/Content/API/Concepts/apisigningkey.htm; identity domains that exchange tokens:
https://docs.oracle.com/iaas/Content/Identity/api-getstarted/json_web_token_exchange.htm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from provider.vault.checks import https_url, lower, matching, word
from provider.vault.fields import CloudField, InvalidCloudField
from provider.vault.private_keys import fingerprint_of, private_key_pem, rsa_private_key
from provider.vault.providers.cloud import SUBJECT, CloudProvider, Mode


def _ocid(kind: str) -> Callable[[str], str]:
    """``ocid1.<kind>.<realm>.[region][.future].<id>``: tenancies and users are in no region."""
    return matching(rf"ocid1\.{kind}\.oc[0-9]{{1,3}}\.\.[a-z0-9]{{20,100}}")


def _derive(mode: Mode, values: Mapping[str, str]) -> dict[str, str]:
    """Oracle finds the key by its fingerprint: one of another key is refused there, with no word about why."""
    if mode == "secret" and fingerprint_of(rsa_private_key(values["private_key"])) != values["fingerprint"]:
        raise InvalidCloudField("fingerprint", "fingerprint")
    return {}


_REGION = CloudField(
    "region",
    lower(matching(r"[a-z]{2}(-[a-z]{2,16}){1,2}-[0-9]{1,2}")),
    "region",
    is_required=False,
    example="ap-seoul-1",
)
_TENANCY = CloudField(
    "tenancy_ocid", _ocid("tenancy"), "tenant_id", example="ocid1.tenancy.oc1..aaaa…", aims_secrets=True
)

ORACLE = CloudProvider(
    "oracle",
    "Oracle Cloud",
    secret=(
        _TENANCY,
        CloudField("user_ocid", _ocid("user"), "access_key", example="ocid1.user.oc1..aaaa…", aims_secrets=True),
        CloudField(
            "fingerprint",
            lower(matching(r"[0-9a-f]{2}(:[0-9a-f]{2}){15}")),
            example="12:34:56:78:90:ab:cd:ef:12:34:56:78:90:ab:cd:ef",
        ),
        CloudField("private_key", private_key_pem, "secret_key", is_secret=True, is_multiline=True),
        _REGION,
    ),
    keyless=(
        CloudField("domain_url", https_url, example="https://idcs-….identity.oraclecloud.com", aims_secrets=True),
        CloudField("client_id", word(255), "access_key", aims_secrets=True),
        CloudField("client_secret", word(255), "secret_key", is_secret=True),
        _TENANCY,
        _REGION,
        CloudField("endpoint", https_url, is_required=False, is_advanced=True, aims_secrets=True),
        SUBJECT,
    ),
    derive=_derive,
)
