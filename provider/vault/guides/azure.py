"""Azure: a federated credential of an app registration.

Microsoft Entra Workload ID, "Configure an app to trust an external identity provider".
"""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from provider.vault.guides.trust import Kind, Trust, TrustText, block, command, hcl, json_text

_CLIENT, _SUBSCRIPTION = "CLIENT_ID", "SUBSCRIPTION_ID"


def guide(trust: Trust) -> Sequence[TrustText]:
    credential = {
        "name": trust.name,
        "issuer": trust.issuer,
        "subject": trust.subject,
        "audiences": [trust.audience],
    }
    scope = f"/subscriptions/{trust.said.get('subscription_id', _SUBSCRIPTION)}"
    commands = (
        command("az ad app federated-credential create", f"--id {_CLIENT}", "--parameters trust.json"),
        command("az role assignment create", f"--assignee {_CLIENT}", "--role Reader", f"--scope {quote(scope)}"),
    )
    resource = block(
        'resource "azuread_application_federated_identity_credential" "mcp_core"',
        application_id="azuread_application.mcp_core.id",
        display_name=hcl(trust.name),
        issuer=hcl(trust.issuer),
        subject=hcl(trust.subject),
        audiences=f"[{hcl(trust.audience)}]",
    )
    return (
        TrustText(Kind.POLICY, json_text(credential)),
        TrustText(Kind.COMMANDS, "\n".join(commands)),
        TrustText(Kind.TERRAFORM, resource),
    )
