"""AWS: an OpenID Connect provider of IAM, and a role whose trust policy names audience and subject.

IAM User Guide, "Create an OpenID Connect (OIDC) identity provider in IAM" and "Create a role for OpenID Connect federation".
"""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from provider.vault.guides.trust import Kind, Trust, TrustText, block, command, hcl, json_text

_ACCOUNT = "ACCOUNT_ID"


def guide(trust: Trust) -> Sequence[TrustText]:
    issuer = trust.issuer.removeprefix("https://")
    role = trust.said.get("role_arn", "").split(":")
    partition = role[1] if len(role) > 5 else "aws"
    account = role[4] if len(role) > 5 else _ACCOUNT
    name = role[5].rpartition("/")[2] if len(role) > 5 else trust.name
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:{partition}:iam::{account}:oidc-provider/{issuer}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{issuer}:aud": trust.audience, f"{issuer}:sub": trust.subject}},
    }
    policy = json_text({"Version": "2012-10-17", "Statement": [statement]})
    return (
        TrustText(Kind.POLICY, policy),
        TrustText(Kind.COMMANDS, _commands(trust, name, partition)),
        TrustText(Kind.TERRAFORM, _terraform(trust, name, issuer)),
    )


def _commands(trust: Trust, name: str, partition: str) -> str:
    return "\n".join(
        (
            command(
                "aws iam create-open-id-connect-provider",
                f"--url {quote(trust.issuer)}",
                f"--client-id-list {quote(trust.audience)}",
            ),
            command(
                "aws iam create-role",
                f"--role-name {quote(name)}",
                "--assume-role-policy-document file://trust.json",
            ),
            command(
                "aws iam attach-role-policy",
                f"--role-name {quote(name)}",
                f"--policy-arn {quote(f'arn:{partition}:iam::aws:policy/ReadOnlyAccess')}",
            ),
        )
    )


def _terraform(trust: Trust, name: str, issuer: str) -> str:
    document = "data.aws_iam_policy_document.mcp_core_trust.json"
    provider = "aws_iam_openid_connect_provider.mcp_core.arn"
    return "\n\n".join(
        (
            block(
                'resource "aws_iam_openid_connect_provider" "mcp_core"',
                url=hcl(trust.issuer),
                client_id_list=f"[{hcl(trust.audience)}]",
            ),
            "\n".join(
                (
                    'data "aws_iam_policy_document" "mcp_core_trust" {',
                    "  statement {",
                    '    actions = ["sts:AssumeRoleWithWebIdentity"]',
                    "    principals {",
                    '      type        = "Federated"',
                    f"      identifiers = [{provider}]",
                    "    }",
                    *_condition(f"{issuer}:aud", trust.audience),
                    *_condition(f"{issuer}:sub", trust.subject),
                    "  }",
                    "}",
                )
            ),
            block('resource "aws_iam_role" "mcp_core"', name=hcl(name), assume_role_policy=document),
        )
    )


def _condition(variable: str, value: str) -> tuple[str, ...]:
    return (
        "    condition {",
        '      test     = "StringEquals"',
        f"      variable = {hcl(variable)}",
        f"      values   = [{hcl(value)}]",
        "    }",
    )
