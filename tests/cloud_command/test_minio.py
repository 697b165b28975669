"""MinIO trusts our tokens: its STS gives one person's program what a policy admits, and another person's nothing."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from provider.security.crypto import Keyring
from provider.vault.credential_cache import CredentialCache
from tests.cloud_command.conftest import Cloud, ran, running
from tests.cloud_command.minio import PROGRAM, WITHOUT, MinIO, minio
from tests.database_servers import free_port, make_certificates

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=WITHOUT)
AUDIENCE = "minio"
Worlds = tuple[Cloud, MinIO]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, keyring: Keyring) -> Iterator[Worlds]:
    """A server, and a MinIO that knows its issuer and admits the account ``lab`` of one person to one bucket."""
    home, port, certificates = tmp_path_factory.mktemp("minio"), free_port(), tmp_path_factory.mktemp("certificates")
    make_certificates(certificates)
    ways = {"outbound_allowed_hosts": f"localhost:{port}", "outbound_ca_file": certificates / "ca.pem"}
    with running(tmp_path_factory.mktemp("db"), keyring, **ways) as cloud:
        openid = {
            "CONFIG_URL": f"{cloud.issuer}/.well-known/openid-configuration",
            "CLIENT_ID": AUDIENCE,
            "ROLE_POLICY": "photos-of-ada",
        }
        settings = {f"MINIO_IDENTITY_OPENID_{name}": value for name, value in openid.items()}
        root = ("administrator", secrets.token_hex(20))
        with minio(home, *root, port=port, certificates=certificates, **settings) as trusting:
            trusting.put_policy(
                "photos-of-ada",
                {
                    "Effect": "Allow",
                    "Action": ["s3:*"],
                    "Resource": ["arn:aws:s3:::photos", "arn:aws:s3:::photos/*"],
                    "Condition": {"StringEquals": {"jwt:sub": f"user:{cloud.owner.id}:cloud:lab"}},
                },
            )
            for bucket in ("photos", "letters"):
                trusting.client("s3").create_bucket(Bucket=bucket)
            for label, audience in (("lab", AUDIENCE), ("home", AUDIENCE), ("elsewhere", "another-minio")):
                cloud.connect(
                    label,
                    "other",
                    "keyless",
                    preset="minio",
                    protocol="aws-sts",
                    endpoint=trusting.url,
                    audience=audience,
                    role=trusting.role,
                )
            yield cloud, trusting


@pytest.fixture
def given(worlds: Worlds, capsys: pytest.CaptureFixture[str]) -> Any:
    """An S3 client of the program that has asked for an account's credentials."""
    cloud, trusting = worlds
    cloud.services.cloud_credentials._cache = CredentialCache()

    def called(label: str) -> Any:
        said = ran(["credentials", label], cloud.environment, capsys)
        assert said.code == 0, said.err
        return s3(trusting, json.loads(said.out)["credentials"])

    return called


def s3(trusting: MinIO, found: dict[str, str]) -> Any:
    return trusting.client(
        "s3",
        aws_access_key_id=found["access_key_id"],
        aws_secret_access_key=found["secret_access_key"],
        aws_session_token=found["session_token"],
    )


def test_a_policy_admits_one_subject_and_no_other(given: Any) -> None:
    own = given("lab")
    own.put_object(Bucket="photos", Key="sunset", Body=b"red")
    assert own.get_object(Bucket="photos", Key="sunset")["Body"].read() == b"red"
    with pytest.raises(ClientError, match="AccessDenied"):
        own.list_objects_v2(Bucket="letters")
    hers = given("home")
    with pytest.raises(ClientError, match="AccessDenied"):
        hers.get_object(Bucket="photos", Key="sunset")


def test_boto3_exchanges_our_token_there_by_itself(worlds: Worlds, capsys: pytest.CaptureFixture[str]) -> None:
    cloud, trusting = worlds
    sts = trusting.client("sts", aws_access_key_id="nobody", aws_secret_access_key="nothing")
    good, other = (
        ran(["credentials", label, "--format", "azure"], cloud.environment, capsys).out.strip()
        for label in ("lab", "elsewhere")
    )

    def exchanged(token: str) -> Any:
        return sts.assume_role_with_web_identity(
            RoleArn=trusting.role, RoleSessionName="mcp-core-lab", WebIdentityToken=token, DurationSeconds=900
        )["Credentials"]

    assert exchanged(good)["SessionToken"]
    with pytest.raises(ClientError, match="azp"):  # its word for the audience
        exchanged(other)
    with pytest.raises(ClientError, match="verification error"):
        exchanged(good[:-8] + "AAAAAAAA")


def test_another_audience_gets_nothing_and_the_command_says_so(
    worlds: Worlds, capsys: pytest.CaptureFixture[str]
) -> None:
    said = ran(["credentials", "elsewhere"], worlds[0].environment, capsys)
    assert (said.code, said.out) == (1, "")
    assert "What failed: audience." in said.err
