"""``examples/cloud_service`` end to end: a person allows it, their program calls it, and it lists what is in their cloud."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import requests

from provider.security.crypto import Keyring
from tests.browser import Browser
from tests.cloud_command.conftest import KEY_ID, SECRET, Cloud, running
from tests.cloud_command.minio import PROGRAM, WITHOUT, minio
from tests.clouds.role_keys import AwsSts
from tests.clouds.trust import Trust
from tests.database_servers import free_port
from tests.https_server import HttpsServer
from tests.journeys.person import Person
from tests.vault.samples import keyless_fields
from tests.verifier.services import example
from tests.waiting import HANG_SECONDS

World = tuple[Cloud, str]
BUCKETS = ("letters", "photos")
LISTED = (
    '<?xml version="1.0" encoding="UTF-8"?><ListAllMyBucketsResult><Buckets>'
    + "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in BUCKETS)
    + "</Buckets></ListAllMyBucketsResult>"
).encode()


def little_s3(is_known: Callable[[Mapping[str, str]], bool]) -> HttpsServer:
    """Lists two buckets for whoever signs with credentials that are known."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200 if is_known(dict(handler.headers)) else 403)
        handler.send_header("Content-Length", str(len(LISTED)))
        handler.end_headers()
        handler.wfile.write(LISTED)

    return HttpsServer({"/": answer}, is_plain=True)


@contextlib.contextmanager
def kept(cloud: Cloud, _home: Path, _keyring: Keyring) -> Iterator[World]:
    """The access key that is in the vault."""
    server = little_s3(lambda sent: f"Credential={KEY_ID}/" in sent["Authorization"])
    yield cloud, server.url
    server.close()


@contextlib.contextmanager
def kept_for_minio(cloud: Cloud, home: Path, _keyring: Keyring) -> Iterator[World]:
    """MinIO, whose administrator has the access key and the secret that are in the vault."""
    with minio(home, KEY_ID, SECRET) as serving:
        for name in BUCKETS:
            serving.client("s3").create_bucket(Bucket=name)
        yield cloud, serving.url


@contextlib.contextmanager
def keyless(_cloud: Cloud, home: Path, keyring: Keyring) -> Iterator[World]:
    """An account without a secret: a strict STS gives short-lived credentials for a token of ours."""
    sts = AwsSts(Trust(audiences=("sts.amazonaws.com",)), keyless_fields("aws"))

    def is_known(sent: Mapping[str, str]) -> bool:
        token = sent.get("X-Amz-Security-Token", "")
        return any(f"Credential={it}/" in sent["Authorization"] and token == f"session-of-{it}" for it in sts.keys)

    server = little_s3(is_known)
    ways = {"outbound_allowed_hosts": sts.server.host, "outbound_ca_file": sts.server.authority}
    with running(home, keyring, **ways) as own:
        with own.begin() as tx:
            (account,) = own.services.cloud_accounts.list(tx, own.owner.id)
            assert own.services.cloud_accounts.remove(tx, own.origin, account)
        own.connect("work", mode="keyless", **{**sts.said, "endpoint": f"{sts.url}/"})
        sts.trust.issuer, sts.trust.subject = own.issuer, f"user:{own.owner.id}:cloud:work"
        yield own, server.url
        assert len(sts.given) == 1, "asked once for all the lists"
    server.close()
    sts.close()


@pytest.fixture(
    scope="module",
    params=[
        kept,
        pytest.param(kept_for_minio, marks=pytest.mark.skipif(PROGRAM is None, reason=WITHOUT)),
        keyless,
    ],
)
def world(
    request: pytest.FixtureRequest, cloud: Cloud, tmp_path_factory: pytest.TempPathFactory, keyring: Keyring
) -> Iterator[World]:
    with request.param(cloud, tmp_path_factory.mktemp("s3"), keyring) as made:
        yield made


def test_a_service_lists_the_buckets_of_whoever_allowed_it(world: World, tmp_path: Path) -> None:
    cloud, s3 = world
    port = free_port()
    url = f"http://localhost:{port}"
    services, origin = cloud.services, cloud.origin
    with cloud.begin() as tx:
        services.resources.add(tx, origin, uri=f"{url}/api", name="Buckets", scope=("buckets:read",))
        app, secret = services.clients.register(
            tx,
            origin,
            kind="application",
            name="Buckets",
            token_endpoint_auth_method="client_secret_basic",
            grant_types=("authorization_code", "refresh_token"),
            redirect_uris=(f"{url}/callback",),
            scope=("openid", "offline_access", "cloud:credentials"),
        )
        key, key_secret = services.api_keys.create(
            tx, origin, cloud.owner, name=f"try {port}", scope=None, expires_in_days=None, resource=f"{url}/api"
        )
    settings = {
        "MCP_ISSUER": cloud.issuer,
        "CLIENT_ID": app.client_id,
        "CLIENT_SECRET": str(secret),
        "AWS_ENDPOINT_URL_S3": s3,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    form = {"grant_type": "client_credentials"}
    answer = requests.post(f"{cloud.issuer}/token", data=form, auth=(key.client_id, key_secret), timeout=HANG_SECONDS)
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def ask(**query: str) -> requests.Response:
        return requests.get(f"{url}/api/buckets", params=query, headers=bearer, timeout=HANG_SECONDS)

    with example("cloud_service/app.py", port, tmp_path, **settings):
        assert requests.get(f"{url}/api/buckets", timeout=HANG_SECONDS).status_code == 401
        assert (ask().status_code, ask().json()["connect"]) == (409, f"{url}/connect")
        own = requests.get(f"{cloud.origin_url}/api/cloud-accounts", headers=bearer, timeout=HANG_SECONDS)
        assert own.status_code == 401, "what callers bring opens nothing of ours"
        person = Person("ada")
        page = person.answer(Browser(f"{url}/nowhere"), f"{url}/connect", until=200)
        assert page.text.startswith("Connected.")
        assert len(person.asked) == 1
        assert (ask().status_code, ask().json()) == (200, list(BUCKETS))
        assert ask(account="work").json() == list(BUCKETS)
        assert ask(account="nothing").status_code == 404
        assert cloud.purposes()[-1] == f"list the buckets for {key.client_id}"
        with cloud.begin() as tx:
            (consent,) = [it for it in services.consents.list(tx, cloud.owner.id) if it.client_row_id == app.id]
            assert services.consents.withdraw(tx, cloud.origin, cloud.owner.id, consent.id)
        assert ask().status_code == 409, "the person has taken it back"
