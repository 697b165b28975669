"""Any other service: secrets of which no form is known, or an endpoint that takes tokens of an OpenID issuer."""

from __future__ import annotations

from collections.abc import Mapping

from provider.vault.checks import https_url, json_document, matching, one_of, secret_text, word, words
from provider.vault.fields import CloudField, InvalidCloudField
from provider.vault.providers.cloud import SUBJECT, CloudProvider, Mode

# RFC 8693; RFC 7523 §2.1; login of HashiCorp Vault and OpenBao; AssumeRoleWithWebIdentity, as MinIO has it too.
PROTOCOLS = ("token-exchange", "jwt-bearer", "vault-jwt", "aws-sts")
ALGORITHMS = ("RS256", "ES256", "EdDSA")
_NEEDS_ROLE = ("vault-jwt",)


def _derive(mode: Mode, values: Mapping[str, str]) -> dict[str, str]:
    if mode == "secret" and not any(name in values for name in ("access_key", "secret_key", "config_json")):
        raise InvalidCloudField("secret_key", "missing")
    if mode == "keyless" and values["protocol"] in _NEEDS_ROLE and "role" not in values:
        raise InvalidCloudField("role", "missing")
    return {}


OTHER = CloudProvider(
    "other",
    "Another service",
    secret=(
        CloudField("access_key", secret_text, "access_key", is_required=False, aims_secrets=True),
        CloudField("secret_key", secret_text, "secret_key", is_secret=True, is_required=False, is_multiline=True),
        CloudField("config_json", json_document, "config_json", is_secret=True, is_required=False, is_multiline=True),
        CloudField("endpoint", https_url, is_required=False, example="https://api.example.com", aims_secrets=True),
    ),
    keyless=(
        CloudField("preset", matching(r"[a-z0-9-]{1,32}"), is_required=False),
        CloudField("protocol", one_of(*PROTOCOLS), choices=PROTOCOLS),
        CloudField("endpoint", https_url, example="https://api.example.com/oauth/token"),
        CloudField("audience", word(1024), example="https://api.example.com"),
        CloudField("role", word(2048), is_required=False),
        CloudField("client_id", word(255), is_required=False),
        CloudField("scope", words(1024), is_required=False),
        CloudField(
            "algorithm",
            one_of(*ALGORITHMS),
            is_required=False,
            default=ALGORITHMS[0],
            choices=ALGORITHMS,
            is_advanced=True,
        ),
        SUBJECT,
    ),
    derive=_derive,
)
