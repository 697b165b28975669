"""The SDKs that people have run ``mcp-core-cloud`` by themselves, as their configuration files say."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3
import pytest
from azure.identity import WorkloadIdentityCredential
from botocore.exceptions import CredentialRetrievalError
from google.auth import pluggable
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request

from mcp_core_cloud import formats
from tests.cloud_command.conftest import KEY_ID, SECRET, Cloud
from tests.cloud_command.test_answers import ASSERTION, GIVE, LIST, PROVIDER, TOKEN, says
from tests.https_server import HttpsServer
from tests.serving import ROOT
from tests.waiting import HANG_SECONDS

PROGRAM = f"{shlex.quote(sys.executable)} -P -m mcp_core_cloud"
LONG_AFTER = "2100-01-01T00:00:00Z"
TENANT = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """The environment that an SDK starts the command in; nothing of this machine's own clouds."""
    for name, value in {"PYTHONPATH": str(ROOT / "verifier"), "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


@pytest.fixture
def server(variables: pytest.MonkeyPatch) -> Iterator[HttpsServer]:
    """Stands in for the provider where the account is keyless."""
    made = HttpsServer(is_plain=True)
    made.say_json(TOKEN, {"access_token": "t0ken", "token_type": "Bearer", "expires_in": 600})
    says(made, "gcp", {"assertion": ASSERTION, "expires_at": LONG_AFTER}, {"provider": PROVIDER})
    for name, value in (("ISSUER", f"{made.url}/oauth"), ("KEY_ID", "key_1"), ("KEY_SECRET", "s3cr3t")):
        variables.setenv(f"MCP_CORE_{name}", value)
    yield made
    made.close()


def test_boto3_by_credential_process(cloud: Cloud, variables: pytest.MonkeyPatch, tmp_path: Path) -> None:
    configuration = tmp_path / "config"
    configuration.write_text(
        f"[profile work]\ncredential_process = {PROGRAM} credentials work --format aws\nregion = eu-central-1\n"
        f"[profile home]\ncredential_process = {PROGRAM} credentials home --format aws\n"
    )
    variables.setenv("AWS_CONFIG_FILE", str(configuration))
    for name, value in cloud.environment.items():
        variables.setenv(name, value)
    found = boto3.Session(profile_name="work").get_credentials()
    assert found is not None
    assert (found.access_key, found.secret_key, found.method) == (KEY_ID, SECRET, "custom-process")
    with pytest.raises(CredentialRetrievalError, match="There is no cloud account 'home'"):
        boto3.Session(profile_name="home").get_credentials()


def test_boto3_asks_again_when_short_lived_credentials_end(
    server: HttpsServer, variables: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = {"access_key_id": "ASIA1", "secret_access_key": "s", "session_token": "first"}
    says(server, "aws", {"credentials": given, "expires_at": LONG_AFTER})
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {PROGRAM} credentials work --format aws\n")
    variables.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    found: Any = boto3.Session().get_credentials()
    for _ in range(3):
        assert found.get_frozen_credentials().token == "first"
    assert server.count(GIVE) == 1, "what still works is not asked for again"
    says(server, "aws", {"credentials": {**given, "session_token": "second"}, "expires_at": LONG_AFTER})
    found._expiry_time = found._expiry_time.replace(year=2000)
    assert found.get_frozen_credentials().token == "second"


def external_account(path: Path, server: HttpsServer, audience: str = PROVIDER) -> Path:
    path.write_text(
        json.dumps(
            {
                "type": "external_account",
                "audience": audience,
                "subject_token_type": formats.JWT_TYPE,
                "token_url": f"{server.url}/v1/token",
                "credential_source": {
                    "executable": {
                        "command": f"{PROGRAM} credentials work --format gcp",
                        "timeout_millis": 120_000,
                    }
                },
            }
        )
    )
    return path


def test_google_auth_by_an_executable_source(
    server: HttpsServer, variables: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    variables.setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
    server.say_json(
        "/v1/token",
        {
            "access_token": "google's",
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer",
            "expires_in": 3600,
        },
    )
    path = external_account(tmp_path / "google.json", server)
    credentials: Any = pluggable.Credentials.from_file(str(path), scopes=["https://example/"])
    credentials.refresh(Request())
    assert credentials.token == "google's"
    (exchange,) = (parse_qs(it.body.decode()) for it in server.received if it.path == "/v1/token")
    assert (exchange["subject_token"], exchange["audience"]) == ([ASSERTION], [PROVIDER])
    other = external_account(tmp_path / "other.json", server, f"{PROVIDER}-other")
    credentials = pluggable.Credentials.from_file(str(other), scopes=["https://example/"])
    with pytest.raises(RefreshError, match="audience, message: The account 'work' is for"):
        credentials.refresh(Request())


def test_azure_identity_by_an_assertion_file(server: HttpsServer, run: Any, tmp_path: Path) -> None:
    """Its own cloud is a server with a certificate: the SDK speaks to no other."""
    says(server, "azure", {"assertion": ASSERTION, "expires_at": LONG_AFTER})
    path = tmp_path / "assertion"
    said = {"MCP_CORE_ISSUER": f"{server.url}/oauth"}
    assert run("credentials", "work", "--format", "azure", "--output", str(path), **said).code == 0
    entra = HttpsServer()
    try:
        endpoint = f"{entra.url}/{TENANT}"
        entra.say_json(
            f"/{TENANT}/v2.0/.well-known/openid-configuration",
            {
                "authorization_endpoint": f"{endpoint}/authorize",
                "token_endpoint": f"{endpoint}/token",
                "issuer": f"{endpoint}/v2.0",
            },
        )
        token = {"token_type": "Bearer", "expires_in": 3600, "access_token": "azure's"}
        entra.say_json(f"/{TENANT}/oauth2/v2.0/token", token)
        credential = WorkloadIdentityCredential(
            tenant_id=TENANT,
            client_id="client",
            token_file_path=str(path),
            authority=entra.url,
            disable_instance_discovery=True,
            connection_verify=str(entra.authority),
            connection_timeout=HANG_SECONDS,
        )
        assert credential.get_token("https://management.azure.com/.default").token == "azure's"
        credential.close()
        (sent,) = (parse_qs(it.body.decode()) for it in entra.received if it.path == f"/{TENANT}/oauth2/v2.0/token")
        assert sent["client_assertion"] == [ASSERTION]
    finally:
        entra.close()
    assert server.count(LIST) == 1
