"""What somebody types for each cloud. Nothing of it is anybody's: keys are made here, ids are made up."""

from __future__ import annotations

import functools
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from provider.vault.private_keys import fingerprint_of, pem_of

UUIDS = [f"{digit * 8}-{digit * 4}-4{digit * 3}-8{digit * 3}-{digit * 12}" for digit in "123"]
AWS_KEY_ID, AWS_SECRET = "AKIA" + "Q" * 16, "s3cr/t+" * 5 + "12345"
ROLE = "arn:aws:iam::123456789012:role/mcp-core"
POOL_PROVIDER = (
    "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/mcp-core/providers/mcp-core"
)


@functools.cache
def rsa_key(bits: int = 2048) -> RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@functools.cache
def key_pem() -> str:
    return pem_of(rsa_key())


def service_account(**changes: Any) -> dict[str, Any]:
    """A key file of Google's form. None takes a member out."""
    said = {
        "type": "service_account",
        "project_id": "house-of-ana-1",
        "private_key_id": "0" * 40,
        "private_key": key_pem(),
        "client_email": "robot@house-of-ana-1.iam.gserviceaccount.com",
        "client_id": "1" * 21,
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "universe_domain": "googleapis.com",
        **changes,
    }
    return {name: value for name, value in said.items() if value is not None}


def secret_fields(provider: str) -> dict[str, str]:
    """Every field of an account with a secret."""
    return {
        "aws": {
            "access_key_id": AWS_KEY_ID,
            "secret_access_key": AWS_SECRET,
            "region": "eu-central-1",
            "account_id": "123456789012",
        },
        "azure": {
            "tenant_id": UUIDS[0],
            "client_id": UUIDS[1],
            "client_secret": "Zx8Q~" + "a" * 35,
            "subscription_id": UUIDS[2],
            "region": "koreacentral",
        },
        "gcp": {"service_account_json": json.dumps(service_account(), indent=2)},
        "alibaba": {
            "access_key_id": "LTAI5t" + "A" * 18,
            "access_key_secret": "x" * 30,
            "region": "cn-hangzhou",
            "account_id": "1234567890123456",
        },
        "oracle": {
            "tenancy_ocid": "ocid1.tenancy.oc1.." + "a" * 60,
            "user_ocid": "ocid1.user.oc1.." + "b" * 60,
            "fingerprint": fingerprint_of(rsa_key()),
            "private_key": key_pem(),
            "region": "ap-seoul-1",
        },
        "ibm": {"api_key": "i" * 44, "account_id": "0a" * 16, "region": "us-south"},
        "other": {
            "access_key": "ana",
            "secret_key": "hush hush",
            "config_json": '{"pool": [1, 2]}',
            "endpoint": "https://api.example.com",
        },
    }[provider]


def keyless_fields(provider: str) -> dict[str, str]:
    """What has to be said of an account without one, and some of what may be."""
    return {
        "aws": {"role_arn": ROLE, "region": "eu-central-1"},
        "azure": {
            "tenant_id": UUIDS[0],
            "client_id": UUIDS[1],
            "subscription_id": UUIDS[2],
            "region": "koreacentral",
        },
        "gcp": {"provider": POOL_PROVIDER, "project_id": "house-of-ana-1"},
        "alibaba": {
            "role_arn": "acs:ram::1234567890123456:role/mcp-core",
            "oidc_provider_arn": "acs:ram::1234567890123456:oidc-provider/mcp-core",
            "region": "cn-hangzhou",
        },
        "oracle": {
            "domain_url": "https://idcs-0123.identity.oraclecloud.com",
            "client_id": "c" * 32,
            "client_secret": "idcscs-" + "d" * 36,
            "tenancy_ocid": "ocid1.tenancy.oc1.." + "a" * 60,
            "region": "ap-seoul-1",
        },
        "other": {
            "protocol": "token-exchange",
            "endpoint": "https://api.example.com/oauth/token",
            "audience": "https://api.example.com",
        },
    }[provider]


SECRET_CLOUDS = ("aws", "azure", "gcp", "alibaba", "oracle", "ibm", "other")
KEYLESS_CLOUDS = ("aws", "azure", "gcp", "alibaba", "oracle", "other")
EVERY_WAY = [(name, "secret") for name in SECRET_CLOUDS] + [(name, "keyless") for name in KEYLESS_CLOUDS]


def fields_of(provider: str, mode: str) -> dict[str, str]:
    return secret_fields(provider) if mode == "secret" else keyless_fields(provider)
