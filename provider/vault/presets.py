"""Services that take tokens of an OpenID issuer: what each of them wants, as its own documentation says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """What is filled in where nothing is typed. ``takes_json``: the question is JSON and no form.

    ``parameters`` are the names of what the service wants beside the token, each a pair in the field of that name.
    """

    title: str
    protocol: str
    endpoint: str = ""
    audience: str = ""
    takes_json: bool = False
    parameters: tuple[str, ...] = ()


# Sources: Claude Platform, "WIF reference"; HashiCorp Vault and OpenBao, "JWT/OIDC auth method (API)"; MinIO,
# "AssumeRoleWithWebIdentity". Where no endpoint stands, it is one's own.
PRESETS: Mapping[str, Preset] = {
    "anthropic": Preset(
        "Anthropic",
        "jwt-bearer",
        "https://api.anthropic.com/v1/oauth/token",
        "https://api.anthropic.com",
        takes_json=True,
        parameters=("federation_rule_id", "organization_id", "service_account_id"),
    ),
    "vault": Preset("HashiCorp Vault", "vault-jwt"),
    "openbao": Preset("OpenBao", "vault-jwt"),
    "minio": Preset("MinIO", "aws-sts"),
}
