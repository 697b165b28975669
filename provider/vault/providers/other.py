"""Any other service: secrets of which no form is known, or an endpoint that takes tokens of an OpenID issuer."""

from __future__ import annotations

import re
from collections.abc import Mapping

from provider.vault.checks import https_url, json_document, one_of, secret_text, word, words
from provider.vault.fields import CloudField, InvalidCloudField
from provider.vault.presets import PRESETS
from provider.vault.providers.cloud import SUBJECT, CloudProvider, Mode

# RFC 8693; RFC 7523 §2.1; login of HashiCorp Vault and OpenBao; AssumeRoleWithWebIdentity, as MinIO has it too; no exchange.
PROTOCOLS = ("token-exchange", "jwt-bearer", "vault-jwt", "aws-sts", "kubernetes")
ALGORITHMS = ("RS256", "ES256", "EdDSA")
_NEEDS_ROLE = ("vault-jwt",)


# What each protocol says itself.
_OWN = frozenset({"grant_type", "assertion", "subject_token", "subject_token_type", "requested_token_type", "audience"})
_PAIR = re.compile(r"(?P<name>[A-Za-z0-9_.-]{1,64})=[!-~]{1,512}")


def _parameters(text: str) -> str:
    """Pairs of the form ``name=value`` with a blank between them, at most ten."""
    pairs = text.split()
    found = [_PAIR.fullmatch(pair) for pair in pairs]
    names = [pair["name"] for pair in found if pair is not None]
    if len(names) != len(pairs) or len(names) > 10 or len(set(names)) != len(names) or _OWN & set(names):
        raise ValueError("form")
    return " ".join(pairs)


def _prefill(mode: Mode, said: Mapping[str, str]) -> Mapping[str, str]:
    """What a preset says where nothing is typed; how the token is given is the preset's alone."""
    preset = PRESETS.get(said.get("preset", "").strip()) if mode == "keyless" else None
    if preset is None:
        return said
    usual = {"endpoint": preset.endpoint, "audience": preset.audience}
    typed = {name: value for name, value in said.items() if value.strip()}
    return {**said, **usual, **typed, "protocol": preset.protocol}


def _derive(mode: Mode, values: Mapping[str, str]) -> dict[str, str]:
    if mode == "secret":
        if not any(name in values for name in ("access_key", "secret_key", "config_json")):
            raise InvalidCloudField("secret_key", "missing")
        return {}
    wanted = ["endpoint", "audience", *(["role"] if values["protocol"] in _NEEDS_ROLE else [])]
    missing = [InvalidCloudField(name, "missing") for name in wanted if name not in values]
    parameters = PRESETS[values["preset"]].parameters if "preset" in values else ()
    if not {pair.partition("=")[0] for pair in values.get("parameters", "").split()}.issuperset(parameters):
        missing.append(InvalidCloudField("parameters", "parameters", wanted=parameters))
    if missing:
        raise InvalidCloudField.of(missing)
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
        CloudField("preset", one_of(*PRESETS), is_required=False, choices=tuple(PRESETS)),
        CloudField("protocol", one_of(*PROTOCOLS), choices=PROTOCOLS),
        CloudField("endpoint", https_url, is_required=False, example="https://api.example.com/oauth/token"),
        CloudField("audience", word(1024), is_required=False, example="https://api.example.com"),
        CloudField("role", word(2048), is_required=False),
        CloudField("client_id", word(255), is_required=False),
        CloudField("scope", words(1024), is_required=False),
        CloudField("parameters", _parameters, is_required=False, is_advanced=True, example="organization_id=…"),
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
    prefill=_prefill,
)
