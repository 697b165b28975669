"""``mcp-core-cloud`` with a server that says what we want it to: tokens for clouds, and answers that are none."""

from __future__ import annotations

import contextlib
import datetime
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from mcp_core_cloud import formats
from mcp_core_cloud.api import MAX_BYTES, CloudApi
from mcp_core_cloud.errors import CloudError
from mcp_core_cloud.settings import CloudSettings
from tests.cloud_command.conftest import Ran, ran
from tests.https_server import HttpsServer
from tests.waiting import HANG_SECONDS

PROVIDER = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x"
ENDS = "2027-01-01T00:00:00Z"
ASSERTION = "eyJ.e30.x"
TOKEN, LIST = "/oauth/token", "/api/cloud-accounts"
GIVE = f"{LIST}/1/credentials"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def server() -> Iterator[HttpsServer]:
    made = HttpsServer(is_plain=True)
    made.say_json(TOKEN, {"access_token": "t0ken", "token_type": "Bearer", "expires_in": 600})
    says(made, "gcp", {"assertion": ASSERTION}, {"provider": PROVIDER})
    yield made
    made.close()


def says(server: HttpsServer, provider: str, given: dict[str, Any], fields: dict[str, str] | None = None) -> None:
    account = {"id": "1", "label": "work", "provider": provider, "mode": "keyless"}
    items = [{**account, "fields": fields or {}}]
    server.say_json(LIST, {"items": items, "next": None})
    server.say_json(GIVE, {"account": account, "expires_at": ENDS, **given})


@pytest.fixture
def run(server: HttpsServer, capsys: pytest.CaptureFixture[str]) -> Any:
    def called(*arguments: str, **variables: str) -> Ran:
        key = {"MCP_CORE_ISSUER": f"{server.url}/oauth", "MCP_CORE_KEY_ID": "key_1", "MCP_CORE_KEY_SECRET": "s3cr3t"}
        return ran(["credentials", "work", *arguments], {**key, **variables}, capsys)

    return called


# Tokens for clouds


def test_google_gets_what_an_executable_source_says(server: HttpsServer, run: Any, tmp_path: Path) -> None:
    plain = json.loads(run("--format", "gcp").out)
    ends = int(datetime.datetime.fromisoformat(ENDS).timestamp())
    assert plain == {
        "version": 1,
        "success": True,
        "token_type": formats.JWT_TYPE,
        "id_token": ASSERTION,
        "expiration_time": ends,
    }
    sent = json.loads(next(it.body for it in server.received if it.path == GIVE))
    assert sent["want"] == "assertion"
    kept = tmp_path / "google.json"
    said = {
        "GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE": PROVIDER,
        "GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE": formats.ID_TOKEN_TYPE,
        "GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE": str(kept),
    }
    done = run("--format", "gcp", **said)
    assert json.loads(done.out) == {**plain, "token_type": formats.ID_TOKEN_TYPE}
    assert kept.read_text() == done.out
    assert kept.stat().st_mode & 0o777 == 0o600


def test_google_is_told_in_its_own_form_what_is_wrong(server: HttpsServer, run: Any) -> None:
    other = {"GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE": f"{PROVIDER}-other"}
    done = run("--format", "gcp", **other)
    assert done.code == 0, "an SDK shows the message of an answer, and nothing of a program that failed"
    said = json.loads(done.out)
    assert (said["version"], said["success"], said["code"]) == (1, False, "audience")
    assert "is for" in said["message"]
    assert GIVE not in [it.path for it in server.received], "nothing is asked for that is of no use"
    problem = {
        "type": "urn:mcp-core:problem:conflict",
        "title": "Conflict",
        "status": 409,
        "detail": "It cannot be had.",
    }
    server.answers[GIVE] = (409, {"Content-Type": "application/problem+json"}, json.dumps(problem).encode())
    done = run("--format", "gcp")
    assert done.code == 1
    assert json.loads(done.out) == {"version": 1, "success": False, "code": "conflict", "message": "It cannot be had."}


@pytest.mark.parametrize("form", ["azure", "token"])
def test_who_exchanges_our_token_gets_it_alone(server: HttpsServer, run: Any, tmp_path: Path, form: str) -> None:
    says(server, "azure", {"assertion": ASSERTION})
    assert run("--format", form).out == ASSERTION
    path = tmp_path / "assertion"
    assert run("--format", form, "--output", str(path)) == (0, "", "")
    assert path.read_text() == ASSERTION


def test_kubectl_gets_our_token_and_when_it_ends(server: HttpsServer, run: Any) -> None:
    says(server, "other", {"assertion": ASSERTION})
    assert json.loads(run("--format", "kubernetes").out) == {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": ASSERTION, "expirationTimestamp": ENDS},
    }


@pytest.mark.parametrize(
    "given, expected",
    [
        (
            {"access_key_id": "STS.1", "access_key_secret": "s", "security_token": "t"},
            {"mode": "StsToken", "access_key_id": "STS.1", "access_key_secret": "s", "sts_token": "t"},
        ),
        (
            {"access_key_id": "LTAI1", "access_key_secret": "s", "region": "cn-hangzhou"},
            {"mode": "AK", "access_key_id": "LTAI1", "access_key_secret": "s"},
        ),
    ],
)
def test_alibaba_gets_what_an_external_process_says(
    server: HttpsServer, run: Any, given: dict[str, str], expected: dict[str, str]
) -> None:
    says(server, "alibaba", {"credentials": given})
    assert json.loads(run("--format", "alibaba").out) == {**expected, "expiration": ENDS}
    says(server, "alibaba", {"credentials": given, "expires_at": None})
    assert json.loads(run("--format", "alibaba").out) == expected


@pytest.mark.parametrize("form", ["aws", "alibaba"])
def test_who_wants_keys_is_told_where_there_are_none(server: HttpsServer, run: Any, form: str) -> None:
    says(server, "azure", {"credentials": {"access_token": "x"}})
    done = run("--format", form)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("mcp-core-cloud: This account has no credentials of the form")


def test_aws_is_told_when_short_lived_credentials_end(server: HttpsServer, run: Any) -> None:
    given = {"access_key_id": "ASIA1", "secret_access_key": "s", "session_token": "t", "region": "eu-central-1"}
    says(server, "aws", {"credentials": given})
    assert json.loads(run("--format", "aws").out) == {
        "Version": 1,
        "AccessKeyId": "ASIA1",
        "SecretAccessKey": "s",
        "SessionToken": "t",
        "Expiration": ENDS,
    }


@pytest.mark.parametrize(
    "provider, given, lines",
    [
        ("azure", {"access_token": "a b", "tenant_id": "t"}, ["CLOUD_ACCESS_TOKEN='a b'", "AZURE_TENANT_ID=t"]),
        ("gcp", {"access_token": "x"}, ["CLOUDSDK_AUTH_ACCESS_TOKEN=x", "GOOGLE_OAUTH_ACCESS_TOKEN=x"]),
        ("ibm", {"api_key": "k"}, ["IBMCLOUD_API_KEY=k", "IC_API_KEY=k"]),
        ("oracle", {"private_key": "a\nb'"}, ["OCI_CLI_KEY_CONTENT='a\nb'\"'\"''"]),
        ("alibaba", {"security_token": "$(id)"}, ["ALIBABA_CLOUD_SECURITY_TOKEN='$(id)'"]),
        ("other", {"token": "`id`", "access_key_id": "A"}, ["CLOUD_TOKEN='`id`'", "AWS_ACCESS_KEY_ID=A"]),
    ],
)
def test_a_shell_takes_every_value_as_it_is(
    server: HttpsServer, run: Any, provider: str, given: dict[str, str], lines: list[str]
) -> None:
    says(server, provider, {"credentials": given})
    assert run("--format", "env").out == "".join(f"export {line}\n" for line in lines)


@pytest.mark.parametrize("name", ["a;id", "a b", "a$", "ü"])
def test_a_name_that_no_shell_takes_is_not_printed(server: HttpsServer, run: Any, name: str) -> None:
    says(server, "other", {"credentials": {name: "x"}})
    done = run("--format", "env")
    assert (done.code, done.out) == (1, "")


# Answers that are none


@pytest.mark.parametrize("path", [TOKEN, LIST, GIVE])
@pytest.mark.parametrize(
    "answer",
    [
        (200, JSON, b""),
        (200, JSON, b"[]"),
        (200, JSON, b"{}"),
        (200, JSON, b'{"items": 7, "next": null}'),
        (200, JSON, b"[" * 100_000),
        (200, JSON, b'{"a": "' + b"x" * MAX_BYTES + b'"}'),
        (302, {"Location": "http://localhost:1/"}, b""),
        (500, JSON, b'{"error": "server_error"}'),
        (429, JSON, b'{"error": "temporarily_unavailable"}'),
        (404, {"Content-Type": "text/html"}, b"<h1>no</h1>"),
        (400, JSON, json.dumps({"error": "x", "error_description": "a\x1b[31m\nb" * 100}).encode()),
    ],
    ids=lambda it: f"{it[0]} {it[2][:20]!r}",
)
def test_whatever_comes_back_is_one_line(server: HttpsServer, run: Any, path: str, answer: Any) -> None:
    server.answers[path] = answer
    done = run("--format", "aws")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith("mcp-core-cloud: ")
    assert len(done.err) < 400
    assert "\x1b" not in done.err
    assert "s3cr3t" not in done.err


@pytest.mark.parametrize("pause, words", [(0.02, "did not answer within"), (0, "answered too much")])
def test_a_server_that_never_ends_is_left(server: HttpsServer, pause: float, words: str) -> None:
    """By the deadline where it drips, however often something arrives, and by the number of bytes where it pours."""
    over = threading.Event()

    def goes_on(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        with contextlib.suppress(OSError):
            while not over.wait(pause):
                handler.wfile.write(b" " * (1 if pause else 65_536))

    server.answers[TOKEN] = goes_on
    settings = CloudSettings(f"{server.url}/oauth", "key_1", "s3cr3t")
    with pytest.raises(CloudError, match=words):
        CloudApi(settings, timeout_seconds=0.5 if pause else HANG_SECONDS).accounts()
    over.set()


def test_no_redirect_is_followed(server: HttpsServer, run: Any) -> None:
    server.say_json("/elsewhere", {"access_token": "t0ken"})
    for status in (301, 302, 303, 307, 308):
        server.answers[TOKEN] = (status, {"Location": f"{server.url}/elsewhere"}, b"")
        assert run("--format", "aws").code == 1
    assert server.count("/elsewhere") == 0


def test_the_secret_goes_to_the_token_endpoint_alone(server: HttpsServer, run: Any) -> None:
    run("--format", "gcp")
    sent = {it.path.partition("?")[0]: it.headers["Authorization"] for it in server.received}
    assert sent == {TOKEN: "Basic a2V5XzE6czNjcjN0", LIST: "Bearer t0ken", GIVE: "Bearer t0ken"}
