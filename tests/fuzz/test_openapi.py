"""``docs/openapi.yaml`` against the application: what it says is so, and there is nothing that it does not say."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
import yaml
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from provider.endpoints.discovery import metadata, well_known_paths
from tests.fuzz import hostile
from tests.fuzz.expectations import check
from tests.fuzz.world import API, Answer, Sent, World, call, form, post

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"
CHECKS: list[Any] = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
    checks.allow_header_conformance,
]
OWN, CLOUDS = "/api/me", "/api/cloud-accounts"
OUR_METHODS = {"get", "post", "put", "patch", "delete", "options", "trace"}


LOADED: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))


class Served:
    """The application, once there is one: schemathesis wants to know it before there are fixtures."""

    world: World | None = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        assert self.world is not None
        # For an application in this process schemathesis knows the servers of the document alone, and none of a path.
        environ["PATH_INFO"] = environ["PATH_INFO"].replace("/oauth/api/", "/api/", 1)
        return self.world.app(environ, start_response)


served = Served()
api = schemathesis.openapi.from_dict(LOADED)
api.app = served


@pytest.fixture(autouse=True)
def application(world: World) -> None:
    served.world = world


@pytest.fixture
def document() -> dict[str, Any]:
    return LOADED


@api.parametrize()
@hostile.bounded(25)
def test_the_application_answers_as_documented(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(checks=CHECKS)


def test_nothing_stands_in_the_document_twice() -> None:
    """Of two members with one name a reader of YAML takes the last, and says nothing."""
    waiting: list[Any] = [yaml.compose(DOCUMENT.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            names = [name.value for name, _value in node.value]
            assert len(names) == len(set(names)), node.start_mark
            waiting += [value for _name, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def address(path: str) -> str:
    """Where a path of the document is on this host."""
    return path if path.startswith("/api/") else f"/oauth{path}"


def mounted(world: World) -> dict[str, set[str]]:
    """Paths as in the document, and the methods that are answered there."""
    found = {}
    for mounted_at in world.endpoints():
        if mounted_at.startswith(("/oauth/", "/api/")):
            path = mounted_at.removeprefix("/oauth").replace("<", "{").replace(">", "}")
            answers = {name: call(world.app, Sent(name.upper(), address(path))) for name in OUR_METHODS}
            found[path] = {name for name, answer in answers.items() if answer.status != 405}
    return found


def test_every_endpoint_and_every_method_is_documented(document: dict[str, Any], world: World) -> None:
    described = {path: set(item) & OUR_METHODS for path, item in document["paths"].items()}
    assert described == mounted(world)


def test_every_form_of_the_metadatas_address_is_documented(document: dict[str, Any]) -> None:
    text = document["info"]["description"]
    for path in well_known_paths(""):
        assert path in text
        assert path in document["paths"]
    assert set(well_known_paths("/oauth")) == {
        f"{before}{path}{behind}"
        for path in well_known_paths("")
        for before, behind in (("", ""), ("", "/oauth"), ("/oauth", ""))
    }


def test_the_metadata_names_only_documented_endpoints(document: dict[str, Any], world: World) -> None:
    said = metadata(world.services.settings)
    ends = {value.removeprefix(said["issuer"]) for name, value in said.items() if name.endswith(("_endpoint", "_uri"))}
    assert ends <= set(document["paths"])


def test_every_other_method_is_refused_with_what_is_allowed(document: dict[str, Any], world: World) -> None:
    for path, item in document["paths"].items():
        for name in (*OUR_METHODS, "propfind", "connect"):
            if name not in item:
                sent = Sent(name.upper(), address(path).replace("{handle}", "x"))
                for door in ("wsgi", "asynchronous"):
                    answer = world.through(door, sent)
                    check(answer, sent)
                    assert answer.status == 405, f"{name} {path}"
                    assert set(answer.get("Allow").lower().split(", ")) == set(item) & OUR_METHODS - {"options"}


def validated(path: str, sent: Sent, answer: Answer) -> None:
    """The successful answers, which nothing made up reaches."""
    case = api[path][sent.method].Case()
    response = schemathesis.Response(
        status_code=answer.status,
        headers={name.lower(): [value] for name, value in answer.headers},
        content=answer.body,
        request=requests.Request(sent.method, f"http://localhost:8000{sent.path}").prepare(),
        elapsed=0.0,
        verify=False,
    )
    case.validate_response(response, checks=CHECKS[1:5])


def test_what_succeeds_is_as_documented(world: World) -> None:
    refresh = {"grant_type": "refresh_token", "refresh_token": world.fresh_refresh_token()}
    bearer = [("Authorization", f"Bearer {world.tokens['access']}")]
    posted = {**world.authorization_request(), "response_mode": "form_post"}
    succeed = [
        ("/token", post("/oauth/token", {"grant_type": "client_credentials"}, world.basic("machine"))),
        ("/token", post("/oauth/token", refresh, world.basic("web"))),
        ("/introspect", post("/oauth/introspect", {"token": world.tokens["access"]}, world.basic("web"))),
        ("/introspect", post("/oauth/introspect", {"token": world.fresh_refresh_token()}, world.basic("web"))),
        ("/introspect", post("/oauth/introspect", {"token": "nothing"}, world.basic("web"))),
        ("/revoke", post("/oauth/revoke", {"token": "nothing"}, world.basic("web"))),
        ("/userinfo", Sent("GET", "/oauth/userinfo", headers=bearer)),
        ("/userinfo", Sent("POST", "/oauth/userinfo", headers=bearer)),
        ("/jwks", Sent("GET", "/oauth/jwks")),
    ]
    pushed = {name: value for name, value in world.authorization_request().items() if name != "client_id"}
    succeed += [
        ("/par", post("/oauth/par", pushed, world.basic("web"))),
        ("/authorize", Sent("GET", "/oauth/authorize", form(posted).decode(), [world.signed_in])),
    ]
    own = {"Authorization": f"Bearer {world.tokens['account']}"}
    keyed = {**own, "Content-Type": "application/json"}
    named = json.dumps({"name": "nightly", "scope": "read", "resource": API, "expires_in_days": 30}).encode()
    succeed += [
        *((path, Sent("GET", path, headers=[*own.items()])) for path in world.endpoints() if path.startswith(OWN)),
        (f"{OWN}/api-keys", Sent("POST", f"{OWN}/api-keys", headers=[*keyed.items()], body=named)),
        (f"{OWN}/api-keys", Sent("GET", f"{OWN}/api-keys", headers=[*own.items()])),
        (f"{OWN}/profile", Sent("PATCH", f"{OWN}/profile", headers=[*keyed.items(), ("If-Match", "*")], body=b"{}")),
    ]
    asked, one = json.dumps({"purpose": "a backup"}).encode(), f"{CLOUDS}/{world.cloud_account}"
    ours = json.dumps({"purpose": "a backup", "want": "assertion"}).encode()
    keyless = f"{CLOUDS}/{world.keyless_account}"
    succeed += [
        (CLOUDS, Sent("GET", CLOUDS, "label=work", [*own.items()])),
        (f"{CLOUDS}/{{account_id}}", Sent("GET", one, headers=[*own.items()])),
        (f"{CLOUDS}/{{account_id}}/credentials", Sent("POST", f"{one}/credentials", "", [*keyed.items()], asked)),
        (f"{CLOUDS}/{{account_id}}/credentials", Sent("POST", f"{keyless}/credentials", "", [*keyed.items()], ours)),
    ]
    for path, sent in succeed:
        if "<" in path:
            continue
        answer = world.through("wsgi", sent)
        made = path == "/par" or (path == f"{OWN}/api-keys" and sent.method == "POST")
        assert answer.status == (201 if made else 200), answer
        validated(path, sent, answer)
