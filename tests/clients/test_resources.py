"""The catalogue of APIs (RFC 8707) on every database."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from database.transaction import Transaction
from provider.audit import AuditRecorder
from provider.clients.catalogue import Catalogue
from provider.clients.resources import ResourceExists, Resources
from provider.protocol.client import Resource
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin
from provider.tokens.grant_records import GrantRecords
from tests.clients.conftest import Events, Statements

ISSUER = "https://id.example/oauth"
API = "https://api.example/mcp"


@pytest.fixture
def resources() -> Resources:
    return Resources(AuditRecorder(), ISSUER, GrantRecords(AuditRecorder()))


@pytest.fixture
def other_process() -> Resources:
    return Resources(AuditRecorder(), ISSUER, GrantRecords(AuditRecorder()))


def add(resources: Resources, tx: Transaction, origin: Origin, **changes: Any) -> Resource:
    asked: dict[str, Any] = {"uri": API, "name": "Files", "scope": ("files.read", "files.write"), **changes}
    return resources.add(tx, origin, **asked)


def test_this_server_is_a_resource_of_its_own(resources: Resources, tx: Transaction, origin: Origin) -> None:
    own = resources.default()
    assert own.uri == ISSUER
    assert resources.find(tx, ISSUER) == own
    assert resources.find(tx, "HTTPS://ID.example/oauth") == own
    assert resources.find(tx, ISSUER + "/") == own
    assert resources.find(tx, "https://id.example") is None
    assert resources.change(tx, origin, ISSUER, name="Own") is None
    assert resources.remove(tx, origin, ISSUER) is None


def test_this_server_cannot_be_registered_again(resources: Resources, tx: Transaction, origin: Origin) -> None:
    with pytest.raises(ResourceExists):
        add(resources, tx, origin, uri=ISSUER)


def test_a_resource_is_found_as_it_was_registered(resources: Resources, engine: Engine, origin: Origin) -> None:
    with Transaction(engine) as tx:
        made = add(
            resources,
            tx,
            origin,
            name="파일 🚀",
            admin_scope=("files.write",),
            token_alg="ES256",
            access_token_seconds=60,
        )
    with Transaction(engine) as tx:
        assert resources.find(tx, API) == made
        assert resources.get(tx, API) == made
        assert resources.list(tx) == [made]
        assert list(resources.known(tx)) == [made]
    assert made.admin_scope == ("files.write",)


@pytest.mark.parametrize(
    "registered, spelling",
    [
        (API, "HTTPS://API.Example/mcp"),
        ("https://api.example", "https://api.example/"),
        ("https://api.example/", "https://api.example"),
        ("https://API.example:8443/", "https://api.example:8443"),
        (API, API + "/"),
        (API + "/", API),
        (API, "https://api.example:443/mcp"),
        (API, "HTTPS://API.example:443/mcp/"),
        ("https://api.example:443/mcp/", API),
        (API, "https://api.example:/mcp"),
        ("https://api.example", "https://api.example:443/"),
        ("http://localhost:80/mcp", "http://localhost/mcp/"),
        ("https://[2001:db8::1]/mcp", "https://[2001:DB8::1]:443/mcp/"),
        ("https://api.example/mcp?v=1", "https://api.example:443/mcp/?v=1"),
    ],
)
def test_the_registered_spelling_becomes_the_audience(
    resources: Resources, engine: Engine, origin: Origin, registered: str, spelling: str
) -> None:
    with Transaction(engine) as tx:
        add(resources, tx, origin, uri=registered)
    with Transaction(engine) as tx:
        assert resources.get(tx, spelling).uri == registered


@pytest.mark.parametrize(
    "near",
    [API + "//", API + "/?x", API + "2", "https://api.example/", "https://api.example:80/mcp",
     "https://api.example:8443/mcp", "http://api.example:443/mcp", API + "?x", API[:-1], API.replace("mcp", "MCP"),
     API.replace("https", "http"), API + "%20",
     "https://api.example.evil.example/mcp", "urn:unknown"],
)  # fmt: skip
def test_another_uri_is_another_resource(resources: Resources, engine: Engine, origin: Origin, near: str) -> None:
    with Transaction(engine) as tx:
        add(resources, tx, origin)
    with Transaction(engine) as tx:
        assert resources.find(tx, near) is None
        with pytest.raises(OAuthError) as refusal:
            resources.get(tx, near)
    assert refusal.value.error == "invalid_target"


def test_no_resource_at_all_is_an_invalid_target(resources: Resources, tx: Transaction) -> None:
    for text in ("", "api.example", API + "#x", "https://앱.example", "x" * 600):
        with pytest.raises(OAuthError) as refusal:
            resources.find(tx, text)
        assert refusal.value.error == "invalid_target"


@pytest.mark.parametrize(
    "spelling",
    [API, "HTTPS://API.example/mcp", API + "/", "https://api.example:443/mcp", "https://API.example:443/mcp/"],
)
def test_one_resource_is_registered_once(
    resources: Resources, engine: Engine, origin: Origin, events: Events, spelling: str
) -> None:
    with Transaction(engine) as tx:
        add(resources, tx, origin)
    with Transaction(engine) as tx, pytest.raises(ResourceExists):
        add(resources, tx, origin, uri=spelling)
    assert [row["action"] for row in events()] == ["resource.added"]


def test_two_resources_that_differ_only_so_stay_two(
    resources: Resources, engine: Engine, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From before, or added at the same moment: each is found by its own name, and neither where both might be meant."""
    slash = API + "/"
    with Transaction(engine) as tx, monkeypatch.context() as blind:
        blind.setattr(resources, "_known", lambda _tx: Catalogue(resources.default(), ()))
        add(resources, tx, origin)
        add(resources, tx, origin, uri=slash, name="Other files")
    with Transaction(engine) as tx:
        assert [resources.get(tx, uri).uri for uri in (API, slash, "HTTPS://API.example/mcp/")] == [API, slash, slash]
        assert resources.find(tx, "https://api.example:443/mcp") is None
        assert resources.remove(tx, origin, slash)
        assert [it.uri for it in resources.list(tx)] == [API]


def test_of_two_registrations_at_once_one_wins(
    resources: Resources, other_process: Resources, mariadb_engine: Engine, origin: Origin
) -> None:
    with Transaction(mariadb_engine) as tx:
        other_process.find(tx, API)  # knows the empty catalogue from now on
    with Transaction(mariadb_engine) as tx:
        add(resources, tx, origin)
    with Transaction(mariadb_engine) as tx:
        other_process._known = lambda tx: Catalogue(other_process.default(), ())  # type: ignore[method-assign]
        with pytest.raises(ResourceExists):
            add(other_process, tx, origin)
        assert len(resources.list(tx)) == 1


@pytest.mark.parametrize(
    "changes, error",
    [
        ({"uri": "api.example"}, "invalid_target"),
        ({"uri": API + "#"}, "invalid_target"),
        ({"uri": "https://user@api.example/"}, "invalid_target"),
        ({"uri": "javascript:alert(1)"}, "invalid_target"),
        ({"uri": "DATA:text/html,x"}, "invalid_target"),
        ({"uri": "https://api.example/" + "x" * 512}, "invalid_target"),
        ({"scope": ("openid",)}, "invalid_scope"),
        ({"scope": ("files.read", "offline_access")}, "invalid_scope"),
        ({"scope": ("a b",)}, "invalid_scope"),
        ({"scope": ("",)}, "invalid_scope"),
        ({"scope": ('"',)}, "invalid_scope"),
        ({"scope": ("읽기",)}, "invalid_scope"),
    ],
)
def test_a_malformed_resource_is_refused(
    resources: Resources, tx: Transaction, origin: Origin, changes: dict[str, Any], error: str
) -> None:
    with pytest.raises(OAuthError) as refusal:
        add(resources, tx, origin, **changes)
    assert refusal.value.error == error


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": " "},
        {"name": "a\nb"},
        {"name": "x" * 256},
        {"token_alg": "none"},
        {"token_alg": "HS256"},
        {"admin_scope": ("files.delete",)},
        {"access_token_seconds": 29},
        {"access_token_seconds": 901},
        {"access_token_seconds": 0},
        {"access_token_seconds": -1},
    ],
)
def test_a_resource_with_a_wrong_value_is_refused(
    resources: Resources, tx: Transaction, origin: Origin, changes: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        add(resources, tx, origin, **changes)


def test_a_resource_may_be_a_urn_or_without_scopes(resources: Resources, engine: Engine, origin: Origin) -> None:
    with Transaction(engine) as tx:
        add(resources, tx, origin, uri="urn:example:api", scope=())
    with Transaction(engine) as tx:
        assert resources.get(tx, "urn:example:api").scope == ()


def test_a_removed_resource_is_gone_in_any_spelling(
    resources: Resources, engine: Engine, origin: Origin, events: Events
) -> None:
    with Transaction(engine) as tx:
        add(resources, tx, origin)
    with Transaction(engine) as tx:
        assert resources.find(tx, API)
        assert resources.remove(tx, origin, "HTTPS://API.example/mcp")
        assert not resources.remove(tx, origin, API)
        assert resources.find(tx, API) is None
    with Transaction(engine) as tx:
        assert resources.find(tx, API) is None
    assert [(row["action"], row["resource_id"]) for row in events()] == [
        ("resource.added", API),
        ("resource.removed", API),
    ]


def test_the_catalogue_is_read_once_for_many_requests(
    resources: Resources, engine: Engine, origin: Origin, statements: Statements
) -> None:
    with Transaction(engine) as tx:
        add(resources, tx, origin)
    with Transaction(engine) as tx:
        resources.find(tx, API)
    with statements() as seen, Transaction(engine) as tx:
        for _ in range(5):
            resources.find(tx, API)
        list(resources.known(tx))
    assert not seen


def test_what_another_process_has_just_added_is_found_at_once(
    resources: Resources, other_process: Resources, engine: Engine, origin: Origin
) -> None:
    with Transaction(engine) as tx:
        assert resources.find(tx, API) is None
    with Transaction(engine) as tx:
        made = add(other_process, tx, origin)
    with Transaction(engine) as tx:
        assert resources.find(tx, API) == made


def test_an_addition_that_is_rolled_back_never_was(
    resources: Resources, engine: Engine, origin: Origin, events: Events
) -> None:
    tx = Transaction(engine)
    made = add(resources, tx, origin)
    assert resources.find(tx, API) == made
    tx.rollback()
    with Transaction(engine) as tx:
        assert resources.find(tx, API) is None
    assert events() == []


WORDS = {"files.read": {"en": "Read your files", "ko": "내 파일 읽기"}, "files.write": {"en": "Change your files"}}


def test_a_description_is_given_in_the_language_or_else_in_english(
    resources: Resources, engine: Engine, origin: Origin
) -> None:
    with Transaction(engine) as tx:
        add(resources, tx, origin, descriptions=WORDS)
    with Transaction(engine) as tx:
        (found,) = resources.list(tx)
    assert found.descriptions == WORDS
    assert [found.description("files.read", language) for language in ("en", "ko", "fr")] == [
        "Read your files", "내 파일 읽기", "Read your files",
    ]  # fmt: skip
    assert found.description("files.write", "ko") == "Change your files"
    assert found.description("files.delete", "en") == ""


def test_what_is_said_of_an_api_changes_and_the_rest_stays(
    resources: Resources, other_process: Resources, engine: Engine, origin: Origin, events: Events
) -> None:
    with Transaction(engine) as tx:
        made = add(resources, tx, origin, descriptions=WORDS, admin_scope=("files.write",))
    with Transaction(engine) as tx:
        changed = resources.change(tx, origin, API, scope=("files.read", "files.new"), admin_scope=(), token_typ="JWT")
        assert resources.find(tx, API) == changed
    with Transaction(engine) as tx:
        assert other_process.find(tx, API) == changed
        assert resources.change(tx, origin, API, token_typ="JWT") == changed
        assert resources.change(tx, origin, "https://other.example", name="Other") is None
    assert changed is not None
    assert (changed.name, changed.scope, changed.token_typ) == (made.name, ("files.read", "files.new"), "JWT")
    assert changed.descriptions == {"files.read": WORDS["files.read"]}
    (event,) = [row for row in events() if row["action"] == "resource.changed"]
    assert set(event["metadata"]) == {"scope", "admin_scope", "descriptions", "token_typ"}


@pytest.mark.parametrize(
    "changes",
    [
        {"descriptions": {"files.delete": {"en": "Delete"}}},
        {"descriptions": {"files.read": {"fr": "Lire"}}},
        {"descriptions": {"files.read": {"en": " "}}},
        {"descriptions": {"files.read": {"en": "a\nb"}}},
        {"descriptions": {"files.read": {"ko": "a\u202egpj"}}},
        {"descriptions": {"files.read": {"en": "x" * 201}}},
        {"token_typ": "jwt"},
        {"token_typ": "logout+jwt"},
        {"token_typ": ""},
    ],
)
def test_no_api_is_described_or_typed_wrongly(
    resources: Resources, tx: Transaction, origin: Origin, changes: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        add(resources, tx, origin, **changes)
    add(resources, tx, origin)
    if "files.delete" not in changes.get("descriptions", {}):
        with pytest.raises(ValueError, match=r"\w"):
            resources.change(tx, origin, API, **changes)
