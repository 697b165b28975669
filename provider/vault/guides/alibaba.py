"""Alibaba Cloud: an OIDC identity provider of RAM, and a role whose trust policy names issuer, audience and subject.

Alibaba Cloud RAM, "CreateOIDCProvider" and "Trust policies of RAM roles for OIDC IdPs".
"""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from provider.vault.guides.trust import NAME, Kind, Trust, TrustText, block, command, hcl, in_terraform, json_text

_ACCOUNT, _FINGERPRINT = "ACCOUNT_ID", "FINGERPRINT_OF_THE_CA"


def guide(trust: Trust) -> Sequence[TrustText]:
    federated = trust.said.get("oidc_provider_arn", f"acs:ram::{_ACCOUNT}:oidc-provider/{NAME}")
    provider = federated.rpartition("/")[2]
    role = trust.said.get("role_arn", trust.name).rpartition("/")[2]
    conditions = {"oidc:iss": trust.issuer, "oidc:aud": trust.audience, "oidc:sub": trust.subject}
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": [federated]},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {name: [value] for name, value in conditions.items()}},
    }
    policy = json_text({"Version": "1", "Statement": [statement]})
    commands = (
        command(
            "aliyun ims CreateOIDCProvider",
            f"--OIDCProviderName {quote(provider)}",
            f"--IssuerUrl {quote(trust.issuer)}",
            f"--ClientIds {quote(trust.audience)}",
            f"--Fingerprints {_FINGERPRINT}",
        ),
        command("aliyun ram CreateRole", f"--RoleName {quote(role)}", '--AssumeRolePolicyDocument "$(cat trust.json)"'),
    )
    resources = (
        block(
            'resource "alicloud_ims_oidc_provider" "mcp_core"',
            oidc_provider_name=hcl(provider),
            issuer_url=hcl(trust.issuer),
            client_ids=f"[{hcl(trust.audience)}]",
            fingerprints=f"[{hcl(_FINGERPRINT)}]",
        ),
        block(
            'resource "alicloud_ram_role" "mcp_core"',
            role_name=hcl(role),
            assume_role_policy_document=f"jsonencode({in_terraform(policy)})",
        ),
    )
    return (
        TrustText(Kind.POLICY, policy),
        TrustText(Kind.COMMANDS, "\n".join(commands)),
        TrustText(Kind.TERRAFORM, "\n\n".join(resources)),
    )
