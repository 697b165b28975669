"""Any other service: what HashiCorp Vault and OpenBao are told, as an example of what others want to know, and Kubernetes.

HashiCorp Vault, "JWT/OIDC auth method (API)"; OpenBao has the same. Kubernetes, "Authenticating: OpenID Connect Tokens". The
other services of ``presets`` have pages for it and no commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from provider.vault.guides.trust import Kind, Trust, TrustText, command

_PROGRAMS = {"": "vault", "vault": "vault", "openbao": "bao"}


def guide(trust: Trust) -> Sequence[TrustText]:
    preset = trust.said.get("preset", "")
    if preset == "kubernetes":
        return (TrustText(Kind.COMMANDS, _cluster(trust)),)
    return (TrustText(Kind.COMMANDS, _vault(trust, _PROGRAMS[preset])),) if preset in _PROGRAMS else ()


def _vault(trust: Trust, program: str) -> str:
    role = trust.said.get("role", trust.name)
    lines = (
        f"{program} auth enable jwt",
        command(f"{program} write auth/jwt/config", f"oidc_discovery_url={quote(trust.issuer)}"),
        command(
            f"{program} write {quote(f'auth/jwt/role/{role}')}",
            "role_type=jwt",
            "user_claim=sub",
            f"bound_audiences={quote(trust.audience)}",
            f"bound_subject={quote(trust.subject)}",
            "token_policies=default",
        ),
    )
    return "\n".join(lines)


def _cluster(trust: Trust) -> str:
    """Flags of the API server, and a right for the one whom they let in. A name without a prefix could be one of its own."""
    lines = (
        command(
            "kube-apiserver",
            f"--oidc-issuer-url={quote(trust.issuer)}",
            f"--oidc-client-id={quote(trust.audience)}",
            f"--oidc-signing-algs={trust.said.get('algorithm', 'RS256')}",
            "--oidc-username-claim=sub",
            "--oidc-username-prefix=mcp-core:",
            f"--oidc-required-claim={quote(f'sub={trust.subject}')}",
        ),
        command(
            f"kubectl create clusterrolebinding {quote(trust.name)}",
            "--clusterrole=view",
            f"--user={quote(f'mcp-core:{trust.subject}')}",
        ),
    )
    return "\n".join(lines)
