"""The clouds' own SDKs, with what our command gives them, against clouds that mind each condition of a token."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import WorkloadIdentityCredential
from botocore.exceptions import ClientError
from google.auth import pluggable
from google.auth.exceptions import OAuthError
from google.auth.transport.requests import Request

from mcp_core_cloud import formats
from provider.security.crypto import Keyring
from tests.cloud_command.conftest import Cloud, ran, running
from tests.cloud_command.test_sdks import PROGRAM, variables
from tests.clouds.access_tokens import Entra, Google
from tests.clouds.role_keys import AwsSts
from tests.clouds.strict_cloud import StrictCloud
from tests.clouds.trust import Trust
from tests.vault.samples import keyless_fields
from tests.waiting import HANG_SECONDS

__all__ = ["variables"]
ROBOT = "robot@house-of-ana-1.iam.gserviceaccount.com"
KINDS: Mapping[str, tuple[type[StrictCloud], dict[str, str]]] = {
    "aws": (AwsSts, {}),
    "azure": (Entra, {}),
    "gcp": (Google, {"service_account": ROBOT}),
}
AUDIENCES = {
    "aws": "sts.amazonaws.com",
    "azure": "api://AzureADTokenExchange",
    "gcp": keyless_fields("gcp")["provider"],
}
Worlds = tuple[Cloud, dict[str, StrictCloud]]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, keyring: Keyring) -> Iterator[Worlds]:
    """A server with an account in each cloud, which has its name, and the clouds."""
    clouds = {name: kind(Trust(), {**keyless_fields(name), **more}) for name, (kind, more) in KINDS.items()}
    folder = tmp_path_factory.mktemp("clouds")
    (folder / "ca.pem").write_text("".join(it.server.authority.read_text() for it in clouds.values()))
    hosts = " ".join(it.server.host for it in clouds.values())
    with running(folder, keyring, outbound_allowed_hosts=hosts, outbound_ca_file=folder / "ca.pem") as server:
        for name, cloud in clouds.items():
            server.connect(name, name, "keyless", **{**cloud.said, "endpoint": f"{cloud.url}/"})
        yield server, clouds
    for cloud in clouds.values():
        cloud.close()


@pytest.fixture
def trusting(worlds: Worlds) -> Callable[[str], StrictCloud]:
    """The cloud of this name, which trusts its account."""
    server, clouds = worlds

    def set_up(name: str) -> StrictCloud:
        clouds[name].trust = Trust(server.issuer, (AUDIENCES[name],), f"user:{server.owner.id}:cloud:{name}")
        clouds[name].given.clear()
        return clouds[name]

    return set_up


@pytest.fixture
def written(worlds: Worlds, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str, str], Path]:
    """A file that the command has written, for an account, in a format."""

    def write(name: str, form: str) -> Path:
        path = tmp_path / name
        said = ran(["credentials", name, "--format", form, "--output", str(path)], worlds[0].environment, capsys)
        assert said.code == 0, said.err
        return path

    return write


def by_boto3(cloud: StrictCloud, token: Path) -> str:
    """With its provider for web identities, as on a Kubernetes node."""
    sts = boto3.client(
        "sts",
        region_name="eu-central-1",
        endpoint_url=cloud.url,
        verify=str(cloud.server.authority),
        aws_access_key_id="none",
        aws_secret_access_key="none",
    )
    found = sts.assume_role_with_web_identity(
        RoleArn=cloud.said["role_arn"], RoleSessionName="work", WebIdentityToken=token.read_text()
    )
    return str(found["Credentials"]["SessionToken"])


def by_azure_identity(cloud: StrictCloud, token: Path) -> str:
    credential = WorkloadIdentityCredential(
        tenant_id=cloud.said["tenant_id"],
        client_id=cloud.said["client_id"],
        token_file_path=str(token),
        authority=cloud.url,
        disable_instance_discovery=True,
        connection_verify=str(cloud.server.authority),
        connection_timeout=HANG_SECONDS,
    )
    try:
        return credential.get_token("https://management.azure.com/.default").token
    finally:
        credential.close()


def by_google_auth(cloud: StrictCloud, token: Path) -> str:
    """The command writes what it would print, and the SDK runs it no more while that is good."""
    said = {
        "type": "external_account",
        "audience": cloud.said["provider"],
        "subject_token_type": formats.JWT_TYPE,
        "token_url": f"{cloud.url}/v1/token",
        "service_account_impersonation_url": f"{cloud.url}/v1/projects/-/serviceAccounts/{ROBOT}:generateAccessToken",
        "credential_source": {
            "executable": {
                "command": f"{PROGRAM} credentials gcp --format gcp",
                "timeout_millis": 120_000,
                "output_file": str(token),
            }
        },
    }
    credentials: Any = pluggable.Credentials.from_info(said, scopes=["https://www.googleapis.com/auth/cloud-platform"])
    with requests.Session() as session:
        session.verify, session.trust_env = str(cloud.server.authority), False
        credentials.refresh(Request(session))
    return str(credentials.token)


SDKS: Mapping[str, tuple[Callable[[StrictCloud, Path], str], str, type[Exception]]] = {
    "aws": (by_boto3, "azure", ClientError),
    "azure": (by_azure_identity, "azure", ClientAuthenticationError),
    "gcp": (by_google_auth, "gcp", OAuthError),
}
GIVEN = {"aws": "session-of-ASIA0000000000000000", "azure": "entra-1", "gcp": "robot-1"}
# What each is told where something is wrong: by the cloud, in its words, which the SDK passes on.
WRONG: Mapping[str, tuple[Mapping[str, Any], Mapping[str, str]]] = {
    "audience": (
        {"audiences": ("another",)},
        {"aws": "Incorrect token audience", "azure": "AADSTS700212", "gcp": "The audience in ID Token"},
    ),
    "subject": (
        {"subject": "user:eve:cloud:work"},
        {"aws": "AccessDenied", "azure": "AADSTS700213", "gcp": "attribute condition"},
    ),
    "issuer": (
        {"issuer": "https://id.example.com/oauth"},
        {"aws": "No OpenIDConnect provider", "azure": "AADSTS700211", "gcp": "The issuer in ID Token"},
    ),
    "expired": (
        {"seconds_ahead": 301},
        {"aws": "ExpiredToken", "azure": "AADSTS700024", "gcp": "stale to sign-in"},
    ),
    "key": (
        {"has_other_keys": True},
        {"aws": "signature", "azure": "AADSTS50013", "gcp": "Invalid signature"},
    ),
}


@pytest.fixture
def settled(variables: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    variables.setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
    return variables


@pytest.mark.parametrize("name", SDKS)
def test_an_sdk_gets_what_the_cloud_gives_for_our_token(
    settled: pytest.MonkeyPatch,
    trusting: Callable[[str], StrictCloud],
    written: Callable[[str, str], Path],
    name: str,
) -> None:
    cloud, (get, form, _) = trusting(name), SDKS[name]
    assert get(cloud, written(name, form)) == GIVEN[name]
    assert cloud.given == [cloud.trust.subject]


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", SDKS)
def test_an_sdk_gets_nothing_from_a_cloud_that_was_told_something_else(
    settled: pytest.MonkeyPatch,
    trusting: Callable[[str], StrictCloud],
    written: Callable[[str, str], Path],
    name: str,
    wrong: str,
) -> None:
    cloud, (get, form, refused) = trusting(name), SDKS[name]
    changes, words = WRONG[wrong]
    for attribute, value in changes.items():
        setattr(cloud.trust, attribute, value)
    with pytest.raises(refused, match=words[name]):
        get(cloud, written(name, form))
    assert cloud.given == []


@pytest.mark.parametrize("name", SDKS)
def test_a_token_that_was_changed_on_its_way_gets_nothing(
    settled: pytest.MonkeyPatch,
    trusting: Callable[[str], StrictCloud],
    written: Callable[[str, str], Path],
    name: str,
) -> None:
    cloud, (get, form, refused) = trusting(name), SDKS[name]
    path = written(name, form)
    token = json.loads(path.read_text())["id_token"] if form == "gcp" else path.read_text()
    path.write_text(path.read_text().replace(token, f"{token[:-8]}AAAAAAAA"))
    with pytest.raises(refused, match=WRONG["key"][1][name]):
        get(cloud, path)
    assert cloud.given == []


@pytest.mark.parametrize("trusts", [True, False])
def test_google_auth_runs_our_command_and_acts_as_a_service_account(
    settled: pytest.MonkeyPatch,
    worlds: Worlds,
    trusting: Callable[[str], StrictCloud],
    tmp_path: Path,
    trusts: bool,
) -> None:
    """With nothing written before: the SDK starts the command by itself, and is told what our server or the cloud says."""
    cloud = trusting("gcp")
    cloud.trust.is_reached = trusts
    for variable, value in worlds[0].environment.items():
        settled.setenv(variable, value)
    if trusts:
        assert by_google_auth(cloud, tmp_path / "none") == "robot-1"
    else:
        with pytest.raises(OAuthError, match="Error connecting to the given credential's issuer"):
            by_google_auth(cloud, tmp_path / "none")
