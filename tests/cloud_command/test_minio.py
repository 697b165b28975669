"""MinIO trusts our tokens: its STS gives one person's program what a policy admits, and another person's nothing."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.cloud_command.conftest import Cloud
from tests.cloud_command.minio import PROGRAM, WITHOUT, MinIO, minio

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=WITHOUT)
AUDIENCE = "minio"


@pytest.fixture(scope="module")
def trusting(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinIO]:
    """One that knows our issuer and admits the account ``lab`` of one person to one bucket."""
    openid = {
        "CONFIG_URL": f"{cloud.issuer}/.well-known/openid-configuration",
        "CLIENT_ID": AUDIENCE,
        "ROLE_POLICY": "photos-of-ada",
    }
    settings = {f"MINIO_IDENTITY_OPENID_{name}": value for name, value in openid.items()}
    with minio(tmp_path_factory.mktemp("minio"), "administrator", secrets.token_hex(20), **settings) as running:
        running.put_policy(
            "photos-of-ada",
            {
                "Effect": "Allow",
                "Action": ["s3:*"],
                "Resource": ["arn:aws:s3:::photos", "arn:aws:s3:::photos/*"],
                "Condition": {"StringEquals": {"jwt:sub": f"user:{cloud.owner.id}:cloud:lab"}},
            },
        )
        for bucket in ("photos", "letters"):
            running.client("s3").create_bucket(Bucket=bucket)
        yield running


def token_for_cloud(cloud: Cloud, subject: str, audience: str = AUDIENCE, seconds: int = 300) -> str:
    """A token as clouds get it: who asks, for which cloud, and nothing else."""
    now = datetime.datetime.now(datetime.UTC)
    claims = {
        "iss": cloud.issuer,
        "sub": subject,
        "aud": audience,
        "jti": secrets.token_hex(8),
        "iat": int(now.timestamp()),
        "exp": int(now.timestamp()) + seconds,
    }
    with cloud.begin() as tx:
        return cloud.services.signing_keys.current(tx, "RS256", now).signer.token("JWT", claims)


def exchanged(trusting: MinIO, token: str) -> Any:
    """An S3 client with what the STS gives for the token. Raises ``ClientError``."""
    sts = trusting.client("sts", aws_access_key_id="nobody", aws_secret_access_key="nothing")
    given = sts.assume_role_with_web_identity(
        RoleArn=trusting.role, RoleSessionName="mcp-core-lab", WebIdentityToken=token, DurationSeconds=900
    )["Credentials"]
    return trusting.client(
        "s3",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )


def test_a_policy_admits_one_subject_and_no_other(cloud: Cloud, trusting: MinIO) -> None:
    own = exchanged(trusting, token_for_cloud(cloud, f"user:{cloud.owner.id}:cloud:lab"))
    own.put_object(Bucket="photos", Key="sunset", Body=b"red")
    assert own.get_object(Bucket="photos", Key="sunset")["Body"].read() == b"red"
    with pytest.raises(ClientError, match="AccessDenied"):
        own.list_objects_v2(Bucket="letters")
    for other in (f"user:{cloud.owner.id}:cloud:home", f"user:{cloud.owner.id}", "user:eve:cloud:lab"):
        hers = exchanged(trusting, token_for_cloud(cloud, other))
        with pytest.raises(ClientError, match="AccessDenied"):
            hers.get_object(Bucket="photos", Key="sunset")


def test_another_audience_an_ended_and_a_forged_token_get_nothing(cloud: Cloud, trusting: MinIO) -> None:
    subject = f"user:{cloud.owner.id}:cloud:lab"
    good = token_for_cloud(cloud, subject)
    for token, words in {
        token_for_cloud(cloud, subject, "other"): "azp",  # its word for the audience
        token_for_cloud(cloud, subject, seconds=-120): "expired",
        good[:-8] + "AAAAAAAA": "verification error",
    }.items():
        with pytest.raises(ClientError, match=words):
            exchanged(trusting, token)
