"""Google Cloud: a provider of a workload identity pool that takes one subject, and the right to act as a service account.

Google Cloud, "Configure Workload Identity Federation with other identity providers". The audience is the provider's own full
resource name, which it expects where no other is set.
"""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from provider.vault.guides.trust import Kind, Trust, TrustText, block, command, hcl

_ACCOUNT = "SERVICE_ACCOUNT_EMAIL"


def guide(trust: Trust) -> Sequence[TrustText]:
    names = trust.audience.split("/")
    project, pool, provider = names[4], names[8], names[10]
    principal = f"principal://iam.googleapis.com/projects/{project}/locations/global/workloadIdentityPools/{pool}"
    member = f"{principal}/subject/{trust.subject}"
    account = trust.said.get("service_account", _ACCOUNT)
    condition = f"assertion.sub == '{trust.subject}'"
    commands = (
        command(f"gcloud iam workload-identity-pools create {quote(pool)}", "--location=global"),
        command(
            f"gcloud iam workload-identity-pools providers create-oidc {quote(provider)}",
            "--location=global",
            f"--workload-identity-pool={quote(pool)}",
            f"--issuer-uri={quote(trust.issuer)}",
            "--attribute-mapping=google.subject=assertion.sub",
            f"--attribute-condition={quote(condition)}",
        ),
        command(
            f"gcloud iam service-accounts add-iam-policy-binding {quote(account)}",
            "--role=roles/iam.workloadIdentityUser",
            f"--member={quote(member)}",
        ),
    )
    return (
        TrustText(Kind.COMMANDS, "\n".join(commands)),
        TrustText(Kind.TERRAFORM, _terraform(trust, pool, provider, condition, member, account)),
    )


def _terraform(trust: Trust, pool: str, provider: str, condition: str, member: str, account: str) -> str:
    name = "google_iam_workload_identity_pool.mcp_core.workload_identity_pool_id"
    lines = (
        'resource "google_iam_workload_identity_pool_provider" "mcp_core" {',
        f"  workload_identity_pool_id          = {name}",
        f"  workload_identity_pool_provider_id = {hcl(provider)}",
        '  attribute_mapping                  = { "google.subject" = "assertion.sub" }',
        f"  attribute_condition                = {hcl(condition)}",
        "  oidc {",
        f"    issuer_uri = {hcl(trust.issuer)}",
        "  }",
        "}",
    )
    return "\n\n".join(
        (
            block('resource "google_iam_workload_identity_pool" "mcp_core"', workload_identity_pool_id=hcl(pool)),
            "\n".join(lines),
            block(
                'resource "google_service_account_iam_member" "mcp_core"',
                service_account_id=hcl(f"projects/-/serviceAccounts/{account}"),
                role=hcl("roles/iam.workloadIdentityUser"),
                member=hcl(member),
            ),
        )
    )
