"""Texts to paste into clouds: each pins audience and subject, and nothing in them breaks out of its own syntax."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from provider.vault.guides import GUIDES, IssuerProblem, Kind, Trust, audience_of, issuer_problem
from provider.vault.guides.trust import hcl
from provider.vault.presets import PRESETS
from provider.vault.providers import PROVIDERS
from provider.vault.subjects import subject_of

ISSUER, USER = "https://id.example/oauth", "01900000-0000-7000-8000-000000000000"
SUBJECT = f"user:{USER}:cloud:work"
SAID: dict[str, dict[str, str]] = {
    "aws": {"role_arn": "arn:aws-cn:iam::123456789012:role/deep/mcp", "audience": "sts.amazonaws.com"},
    "azure": {"subscription_id": "00000000-0000-4000-8000-000000000000"},
    "gcp": {
        "provider": "//iam.googleapis.com/projects/7/locations/global/workloadIdentityPools/pool-1/providers/prov-1",
        "service_account": "me@project.iam.gserviceaccount.com",
    },
    "alibaba": {"role_arn": "acs:ram::12345:role/mcp", "oidc_provider_arn": "acs:ram::12345:oidc-provider/ours"},
    "oracle": {"domain_url": "https://idcs-1.identity.oraclecloud.com"},
    "other": {"audience": "https://vault.example", "role": "mcp"},
}


def texts(name: str, said: dict[str, str], issuer: str = ISSUER, audience: str = "") -> dict[Kind, str]:
    trust = Trust(issuer, audience or audience_of(PROVIDERS[name], said), SUBJECT, "work", said)
    return {it.kind: it.text for it in GUIDES[name](trust)}


def strings(value: Any) -> Iterator[str]:
    """Every string of a JSON document, keys included."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value


def test_every_cloud_that_needs_no_secret_has_a_guide() -> None:
    assert set(GUIDES) == {cloud.name for cloud in PROVIDERS.values() if cloud.keyless} == set(SAID)


@pytest.mark.parametrize("is_known", [False, True], ids=["before anything is typed", "with the account's own fields"])
@pytest.mark.parametrize("name", GUIDES)
def test_issuer_audience_and_subject_are_conditions_of_each_text(name: str, is_known: bool) -> None:
    said = SAID[name] if is_known else {}
    audience = audience_of(PROVIDERS[name], said)
    found = texts(name, said)
    assert Kind.COMMANDS in found
    for kind, text in found.items():
        is_helped = kind is Kind.COMMANDS and Kind.POLICY in found  # the commands read the policy from its file
        is_pool = name == "gcp"  # whose audience is its own name
        assert is_helped or SUBJECT in text, (kind, text)
        assert is_helped or is_pool or audience in text, (kind, text)
        assert ISSUER.removeprefix("https://") in text or (name in ("azure", "oracle") and is_helped)
        assert kind is not Kind.COMMANDS or shlex.split(text.replace("\\\n", " "))


def test_a_policy_of_aws_is_exactly_this() -> None:
    assert json.loads(texts("aws", {})[Kind.POLICY]) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": "arn:aws:iam::ACCOUNT_ID:oidc-provider/id.example/oauth"},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {
                    "StringEquals": {"id.example/oauth:aud": "sts.amazonaws.com", "id.example/oauth:sub": SUBJECT}
                },
            }
        ],
    }


def test_what_is_known_of_the_account_is_filled_in() -> None:
    policy, commands = texts("aws", SAID["aws"])[Kind.POLICY], texts("aws", SAID["aws"])[Kind.COMMANDS]
    assert "arn:aws-cn:iam::123456789012:oidc-provider/id.example/oauth" in policy
    assert "--role-name mcp" in commands
    assert "workload-identity-pools create pool-1" in texts("gcp", SAID["gcp"])[Kind.COMMANDS]
    assert "projects/7/" in texts("gcp", SAID["gcp"])[Kind.COMMANDS]
    assert "acs:ram::12345:oidc-provider/ours" in texts("alibaba", SAID["alibaba"])[Kind.POLICY]
    assert "https://idcs-1.identity.oraclecloud.com/admin/v1/" in texts("oracle", SAID["oracle"])[Kind.COMMANDS]
    assert "auth/jwt/role/mcp" in texts("other", SAID["other"])[Kind.COMMANDS]


PRESET_TEXTS = {
    "openbao": "bao write auth/jwt/role/mcp-core-work",
    "vault": "vault write auth/jwt/role/mcp-core-work",
    "kubernetes": f"--oidc-required-claim=sub={SUBJECT}",
}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_service_that_is_known_has_its_own_commands_or_none(preset: str) -> None:
    found = texts("other", {"preset": preset, "audience": "aud-1"})
    assert found.keys() == ({Kind.COMMANDS} if preset in PRESET_TEXTS else set())
    if found:
        words = shlex.split(found[Kind.COMMANDS].replace("\\\n", " "))
        assert PRESET_TEXTS[preset] in " ".join(words)
        assert all(any(value in word for word in words) for value in ("aud-1", ISSUER, SUBJECT))


def test_a_hostile_audience_breaks_out_of_no_flag_of_a_cluster() -> None:
    words = shlex.split(texts("other", {"preset": "kubernetes"}, audience=HOSTILE)[Kind.COMMANDS].replace("\\\n", " "))
    assert f"--oidc-client-id={HOSTILE}" in words


HOSTILE = 'x\'; rm -rf "$HOME" `id` ${file("x")} %{ if true }\n'


@pytest.mark.parametrize("name", [name for name in GUIDES if name != "gcp"])
def test_a_hostile_audience_breaks_out_of_no_syntax(name: str) -> None:
    found = texts(name, {}, audience=HOSTILE)
    if Kind.POLICY in found:
        assert HOSTILE in list(strings(json.loads(found[Kind.POLICY])))
    words = shlex.split(found[Kind.COMMANDS])
    assert Kind.POLICY in found or any(HOSTILE in word for word in words)
    assert "rm" not in words
    terraform = found.get(Kind.TERRAFORM, hcl(HOSTILE))
    assert hcl(HOSTILE) in terraform
    assert "${file" not in terraform.replace("$${", "")
    assert "%{ if" not in terraform.replace("%%{", "")


@pytest.mark.parametrize("form, expected", [("", SUBJECT), ("user-and-label", SUBJECT), ("user", f"user:{USER}")])
def test_the_subject_is_one_of_two_documented_forms(form: str, expected: str) -> None:
    assert subject_of(USER, "work", form) == expected


@pytest.mark.parametrize(
    "issuer, expected",
    [
        ("https://id.example.com/oauth", None),
        ("https://id.example.com:443/oauth", None),
        ("https://8.8.8.8/oauth", None),
        ("http://localhost:8000/oauth", IssuerProblem.LOOPBACK),
        ("https://127.0.0.1/oauth", IssuerProblem.LOOPBACK),
        ("https://[::1]/oauth", IssuerProblem.LOOPBACK),
        ("https://app.localhost", IssuerProblem.LOOPBACK),
        ("https://10.1.2.3/oauth", IssuerProblem.PRIVATE),
        ("https://192.168.0.4", IssuerProblem.PRIVATE),
        ("https://[fd00::1]", IssuerProblem.PRIVATE),
        ("https://intranet/oauth", IssuerProblem.PRIVATE),
        ("https://id.corp.internal", IssuerProblem.PRIVATE),
        ("http://id.example.com/oauth", IssuerProblem.PLAIN_HTTP),
        ("https://id.example.com:8443/oauth", IssuerProblem.PORT),
    ],
)
def test_what_keeps_clouds_from_reading_our_keys(issuer: str, expected: IssuerProblem | None) -> None:
    assert issuer_problem(issuer) == expected
