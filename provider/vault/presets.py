"""Services that take tokens of an OpenID issuer: what each of them wants, as its own documentation says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """What is filled in where nothing is typed. ``takes_json``: the question is JSON and no form.

    ``parameters`` are the names of what the service wants beside the token, each a pair in the field of that name.
    ``is_bare``: nothing goes with the token but those, as the service lists what it takes and has no word for more.
    """

    title: str
    protocol: str
    endpoint: str = ""
    audience: str = ""
    takes_json: bool = False
    parameters: tuple[str, ...] = ()
    is_bare: bool = False


# Sources: Claude Platform, "WIF reference"; OpenAI API reference, "Workload identity token exchange", the audience as in its
# guides; OpenRouter, "Exchange a workload identity token", which takes any audience that its policy has; Kubernetes,
# "Authenticating: OpenID Connect Tokens" and "SelfSubjectReview"; HashiCorp Vault and OpenBao, "JWT/OIDC auth method (API)";
# MinIO, "AssumeRoleWithWebIdentity". Where no endpoint stands, it is one's own.
PRESETS: Mapping[str, Preset] = {
    "anthropic": Preset(
        "Anthropic",
        "jwt-bearer",
        "https://api.anthropic.com/v1/oauth/token",
        "https://api.anthropic.com",
        takes_json=True,
        parameters=("federation_rule_id", "organization_id", "service_account_id"),
    ),
    "openai": Preset(
        "OpenAI",
        "token-exchange",
        "https://auth.openai.com/oauth/token",
        "https://api.openai.com/v1",
        takes_json=True,
        parameters=("identity_provider_id", "service_account_id"),
        is_bare=True,
    ),
    "openrouter": Preset(
        "OpenRouter",
        "token-exchange",
        "https://openrouter.ai/api/v1/oauth/token",
        "https://openrouter.ai",
        parameters=("federation_policy_id",),
        is_bare=True,
    ),
    "kubernetes": Preset("Kubernetes", "kubernetes"),
    "vault": Preset("HashiCorp Vault", "vault-jwt"),
    "openbao": Preset("OpenBao", "vault-jwt"),
    "minio": Preset("MinIO", "aws-sts"),
}
