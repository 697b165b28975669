"""Microsoft Azure.

The names of things: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow; the audience:
https://learn.microsoft.com/entra/workload-id/workload-identity-federation-create-trust.
"""

from __future__ import annotations

import re

from provider.vault.checks import https_url, matching, pasted, uuid, word
from provider.vault.fields import CloudField
from provider.vault.providers.cloud import SUBJECT, CloudProvider

_ID = "00000000-0000-0000-0000-000000000000"


def _client_secret(text: str) -> str:
    """Printable ASCII of 16 characters or more. The portal shows a secret's id beside its value, and people paste that."""
    value = pasted(text)
    if re.fullmatch(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", value):
        raise ValueError("secret_id")
    return matching(r"[!-~]{16,255}")(value)


def _region(text: str) -> str:
    """``koreacentral``; "Korea Central", as the portal shows it, is the same."""
    return matching(r"[a-z]{2,32}[0-9]{0,2}")("".join(pasted(text).split()).lower())


_TENANT = CloudField("tenant_id", uuid(), "tenant_id", example=_ID, aims_secrets=True)
_CLIENT = CloudField("client_id", uuid(), "access_key", example=_ID, aims_secrets=True)
_SUBSCRIPTION = CloudField("subscription_id", uuid(), "account_id", is_required=False, example=_ID)
_REGION = CloudField("region", _region, "region", is_required=False, example="koreacentral")

AZURE = CloudProvider(
    "azure",
    "Microsoft Azure",
    secret=(
        _TENANT,
        _CLIENT,
        CloudField("client_secret", _client_secret, "secret_key", is_secret=True),
        _SUBSCRIPTION,
        _REGION,
    ),
    keyless=(
        _TENANT,
        _CLIENT,
        _SUBSCRIPTION,
        _REGION,
        CloudField(
            "scope", word(255), is_required=False, default="https://management.azure.com/.default", is_advanced=True
        ),
        CloudField("audience", word(255), is_required=False, default="api://AzureADTokenExchange", is_advanced=True),
        CloudField(
            "endpoint", https_url, is_required=False, default="https://login.microsoftonline.com", is_advanced=True
        ),
        SUBJECT,
    ),
)
