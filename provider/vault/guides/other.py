"""Any other service: what HashiCorp Vault and OpenBao are told, as an example of what others want to know.

HashiCorp Vault, "JWT/OIDC auth method (API)"; OpenBao has the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from provider.vault.guides.trust import Kind, Trust, TrustText, command


def guide(trust: Trust) -> Sequence[TrustText]:
    role = trust.said.get("role", trust.name)
    lines = (
        "vault auth enable jwt",
        command("vault write auth/jwt/config", f"oidc_discovery_url={quote(trust.issuer)}"),
        command(
            f"vault write {quote(f'auth/jwt/role/{role}')}",
            "role_type=jwt",
            "user_claim=sub",
            f"bound_audiences={quote(trust.audience)}",
            f"bound_subject={quote(trust.subject)}",
            "token_policies=default",
        ),
    )
    return (TrustText(Kind.COMMANDS, "\n".join(lines)),)
