"""Amazon Web Services."""

from __future__ import annotations

from provider.vault.checks import matching
from provider.vault.fields import CloudField
from provider.vault.providers.cloud import CloudProvider

_REGION = CloudField(
    "region", matching(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}"), "region", is_required=False, example="eu-central-1"
)

AWS = CloudProvider(
    "aws",
    "Amazon Web Services",
    secret=(
        CloudField("access_key_id", matching(r"(AKIA|ASIA)[A-Z2-7]{16}"), "access_key", example="AKIA…"),
        CloudField("secret_access_key", matching(r"[A-Za-z0-9/+=]{40}"), "secret_key", is_secret=True),
        _REGION,
    ),
    keyless=(
        CloudField(
            "role_arn",
            matching(r"arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}"),
            example="arn:aws:iam::123456789012:role/mcp-core",
        ),
        _REGION,
    ),
)
