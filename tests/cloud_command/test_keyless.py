"""From an API key to credentials without any secret of a cloud: the command, the server and an STS that minds everything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from provider.security.crypto import Keyring
from provider.vault.credential_cache import CredentialCache
from tests.cloud_command.conftest import Cloud, ran, running
from tests.cloud_command.test_sdks import PROGRAM, variables
from tests.clouds.role_keys import AwsSts
from tests.clouds.trust import Trust
from tests.vault.samples import keyless_fields

__all__ = ["variables"]


@pytest.fixture(scope="module")
def strict() -> Iterator[AwsSts]:
    made = AwsSts(Trust(audiences=("sts.amazonaws.com",)), keyless_fields("aws"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(strict: AwsSts, tmp_path_factory: pytest.TempPathFactory, keyring: Keyring) -> Iterator[Cloud]:
    """One whose keys the STS reads over HTTP, and which has a keyless account ``lab`` there."""
    ways = {"outbound_allowed_hosts": strict.server.host, "outbound_ca_file": strict.server.authority}
    with running(tmp_path_factory.mktemp("db"), keyring, **ways) as made:
        made.connect("lab", mode="keyless", **{**strict.said, "endpoint": f"{strict.url}/"})
        yield made


@pytest.fixture
def sts(strict: AwsSts, server: Cloud) -> AwsSts:
    """It trusts the account; nothing that it gave before is kept."""
    strict.trust.issuer, strict.trust.subject = server.issuer, f"user:{server.owner.id}:cloud:lab"
    strict.given.clear()
    server.services.cloud_credentials._cache = CredentialCache()
    return strict


@pytest.fixture
def sdk(server: Cloud, sts: AwsSts, variables: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of a program whose SDK finds the key, and the STS where AWS has its own."""
    for name, value in server.environment.items():
        variables.setenv(name, value)
    variables.setenv("AWS_ENDPOINT_URL_STS", sts.url)
    variables.setenv("AWS_CA_BUNDLE", str(sts.server.authority))
    variables.setenv("AWS_REGION", "eu-central-1")
    return variables


def test_boto3_gets_what_the_cloud_gave_for_our_token(
    sts: AwsSts, sdk: pytest.MonkeyPatch, server: Cloud, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(f"[profile lab]\ncredential_process = {PROGRAM} credentials lab --format aws\n")
    sdk.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for _ in range(2):
        found: Any = boto3.Session(profile_name="lab").get_credentials()
        key = sts.keys[0]
        assert (found.access_key, found.secret_key, found.token) == (key, f"secret-of-{key}", f"session-of-{key}")
        assert found._expiry_time is not None, "the SDK knows when to come again"
    assert len(sts.given) == 1, "what still works is not asked for again"
    assert server.purposes()[-1].startswith("mcp-core-cloud on ")


def test_boto3_exchanges_our_token_by_itself(
    sts: AwsSts, sdk: pytest.MonkeyPatch, server: Cloud, capsys: Any, tmp_path: Path
) -> None:
    """Its own provider for web identities, with the file that the command writes."""
    token = tmp_path / "token"
    assert (
        ran(["credentials", "lab", "--format", "azure", "--output", str(token)], server.environment, capsys).code == 0
    )
    sdk.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    sdk.setenv("AWS_ROLE_ARN", sts.said["role_arn"])
    found: Any = boto3.Session().get_credentials()
    assert (found.method, found.get_frozen_credentials().access_key) == ("assume-role-with-web-identity", sts.keys[0])
    sts.trust.subject = "user:eve:cloud:lab"
    found = boto3.Session().get_credentials()
    with pytest.raises(ClientError, match="AccessDenied"):
        found.get_frozen_credentials()


def test_the_shell_and_a_pipe_get_all_of_it(sts: AwsSts, server: Cloud, capsys: Any) -> None:
    said = ran(["credentials", "lab", "--format", "env"], server.environment, capsys)
    for name, value in {"ACCESS_KEY_ID": sts.keys[0], "SESSION_TOKEN": f"session-of-{sts.keys[0]}"}.items():
        assert f"AWS_{name}={value}" in said.out
    assert "AWS_REGION=eu-central-1" in said.out
    answer = json.loads(ran(["credentials", "lab"], server.environment, capsys).out)
    assert answer["credentials"]["session_token"] == f"session-of-{sts.keys[0]}"
    assert answer["expires_at"].endswith("Z")


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "it does not trust the issuer": ({"issuer": "https://elsewhere.example"}, "issuer"),
    "its provider has another audience": ({"audiences": ("mcp",)}, "audience"),
    "it cannot read our keys": ({"is_reached": False}, "issuer_unreachable"),
    "it has other keys of ours": ({"has_other_keys": True}, "signature"),
    "its clock is ahead": ({"seconds_ahead": 3600}, "expired"),
    "the role does not trust the subject": ({"subject": "user:eve:cloud:lab"}, "role"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_command_says_which_condition_failed(
    sts: AwsSts, server: Cloud, capsys: Any, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    changes, condition = FAULTS[fault]
    for name, value in changes.items():
        monkeypatch.setattr(sts.trust, name, value)
    said = ran(["credentials", "lab", "--format", "aws"], server.environment, capsys)
    assert (said.code, said.out) == (1, "")
    assert f"What failed: {condition}." in said.err
    assert sts.given == []
    monkeypatch.undo()
    assert ran(["credentials", "lab", "--format", "aws"], server.environment, capsys).code == 0


def test_a_revoked_key_gets_nothing_of_what_was_given_before(sts: AwsSts, server: Cloud, capsys: Any) -> None:
    key, secret = server.cloud_key(server.owner)
    own = {**server.environment, "MCP_CORE_KEY_ID": key.client_id, "MCP_CORE_KEY_SECRET": secret}
    assert ran(["credentials", "lab"], own, capsys).code == 0
    with server.begin() as tx:
        assert server.services.api_keys.revoke(tx, server.origin, server.owner.id, key.id)
    said = ran(["credentials", "lab"], own, capsys)
    assert (said.code, said.out) == (1, "")
    assert len(sts.given) == 1
