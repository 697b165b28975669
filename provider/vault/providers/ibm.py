"""IBM Cloud. It takes tokens of its own issuers alone, so an API key is the only way.

https://cloud.ibm.com/docs/account?topic=account-userapikey.
"""

from __future__ import annotations

from provider.vault.checks import lower, matching
from provider.vault.fields import CloudField
from provider.vault.providers.cloud import CloudProvider

IBM = CloudProvider(
    "ibm",
    "IBM Cloud",
    secret=(
        CloudField("api_key", matching(r"[A-Za-z0-9_-]{44}"), "secret_key", is_secret=True),
        CloudField("account_id", lower(matching(r"[0-9a-f]{32}")), "account_id", is_required=False),
        CloudField("region", lower(matching(r"[a-z]{2}-[a-z]{2,16}")), "region", is_required=False, example="us-south"),
    ),
)
