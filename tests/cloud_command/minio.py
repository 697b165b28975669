"""MinIO: an S3 whose STS takes tokens of an OpenID Provider, run by the tests on loopback where it is installed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.database_servers import free_port
from tests.serving import answers
from tests.waiting import HANG_SECONDS, eventually

PROGRAM = os.environ.get("MINIO_PROGRAM") or shutil.which("minio")
WITHOUT = "MinIO is not installed: put `minio` on PATH, or its path into MINIO_PROGRAM"
REGION = "us-east-1"


@dataclass
class MinIO:
    """``key_id`` and ``secret`` may do everything. ``authority`` signed its certificate, where it has one."""

    url: str
    key_id: str
    secret: str
    log: Path
    authority: Path | None = None

    def client(self, name: str, **credentials: str) -> Any:
        own = {"aws_access_key_id": self.key_id, "aws_secret_access_key": self.secret}
        return boto3.client(
            name, endpoint_url=self.url, region_name=REGION, verify=self._trusted, **(credentials or own)
        )

    @property
    def _trusted(self) -> str | None:
        return str(self.authority) if self.authority else None

    @property
    def role(self) -> str:
        """What its OpenID Provider's tokens can be exchanged for; it says so once it has started."""
        eventually(lambda: "IAM Roles:" in self.log.read_text(), self.log.read_text)
        return re.findall(r"arn:minio:iam:::role/[A-Za-z0-9_-]+", self.log.read_text())[0]

    def put_policy(self, name: str, statement: Mapping[str, Any]) -> None:
        """``PUT /minio/admin/v3/add-canned-policy``, for which AWS's SDK has no call. Just started, it says 503."""
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]}).encode()
        request = AWSRequest("PUT", f"{self.url}/minio/admin/v3/add-canned-policy?name={name}", data=policy)
        S3SigV4Auth(Credentials(self.key_id, self.secret), "s3", REGION).add_auth(request)

        def put() -> int:
            headers = dict(request.headers)
            return requests.put(
                request.url, data=policy, headers=headers, timeout=HANG_SECONDS, verify=self._trusted
            ).status_code

        eventually(lambda: put() == 200, self.log.read_text)


@contextlib.contextmanager
def minio(
    home: Path, key_id: str, secret: str, *, port: int = 0, certificates: Path | None = None, **settings: str
) -> Iterator[MinIO]:
    """A running MinIO with an empty disk, stopped at the end. ``settings`` are variables of its environment.

    ``certificates`` is a folder as ``make_certificates`` fills it: then it speaks TLS.
    """
    assert PROGRAM is not None, WITHOUT
    port = port or free_port()
    url, ways, authority = f"http://127.0.0.1:{port}", [], None
    if certificates is not None:
        shutil.copy(certificates / "server.pem", home / "public.crt")
        shutil.copy(certificates / "server.key", home / "private.key")
        url, ways = f"https://localhost:{port}", ["--certs-dir", str(home)]
        authority = certificates / "ca.pem"
    own = {
        "MINIO_ROOT_USER": key_id,
        "MINIO_ROOT_PASSWORD": secret,
        "HOME": str(home),
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
        "MINIO_CALLHOME_ENABLE": "off",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MINIO_")}
    log = home / "minio.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PROGRAM, "server", str(home / "disk"), "--address", f"127.0.0.1:{port}", *ways],
            env={**kept, **own, **settings},
            cwd=home,
            stdout=output,
            stderr=output,
        )
    try:
        ready = f"{url}/minio/health/ready"
        eventually(lambda: answers(ready, authority) or process.poll() is not None, log.read_text)
        assert process.poll() is None, log.read_text()
        yield MinIO(url, key_id, secret, log, authority)
    finally:
        process.terminate()
        try:
            process.wait(HANG_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(HANG_SECONDS)
