"""The client registry on every database: what is kept, what is found, and when a change is seen."""

from __future__ import annotations

import dataclasses
import datetime
import re

import pytest
from sqlalchemy import Engine, insert, select, text

from database.models import AuthorizationRequest, GrantRecord
from database.models import Client as ClientRow
from database.transaction import Transaction
from provider.audit import AuditEvent
from provider.clients.registry import CACHE_SIZE, Clients
from provider.protocol.client import Client, ClientDetails
from provider.protocol.messages import Origin
from provider.security.crypto import is_secret
from tests.clients.conftest import Events, Statements
from tests.granting import add_grant

DETAILS = ClientDetails(
    logo_uri="https://app.example/로고.png",
    contacts=("ana@app.example",),
    jwks={"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA"}]},
    default_max_age=60,
    backchannel_logout_session_required=True,
)


def register(clients: Clients, tx: Transaction, origin: Origin, **changes: object) -> tuple[Client, str | None]:
    asked = {"kind": "application", "name": "App", "token_endpoint_auth_method": "client_secret_basic", **changes}
    return clients.register(tx, origin, **asked)  # type: ignore[arg-type]


def later(origin: Origin, seconds: float) -> Origin:
    return dataclasses.replace(origin, now=origin.now + datetime.timedelta(seconds=seconds))


@pytest.fixture
def app(clients: Clients, engine: Engine, origin: Origin) -> Client:
    """A committed confidential client."""
    with Transaction(engine) as tx:
        return register(clients, tx, origin)[0]


def test_every_field_of_a_client_survives_the_database(
    clients: Clients, engine: Engine, origin: Origin, owner_id: str
) -> None:
    with Transaction(engine) as tx:
        made, _secret = register(
            clients,
            tx,
            origin,
            kind="dynamic",
            name='앱 "<b>" 🚀',
            token_endpoint_auth_method="client_secret_post",
            application_type="native",
            redirect_uris=("http://localhost/cb", "https://app.example/cb?x=1"),
            post_logout_redirect_uris=("https://app.example/bye",),
            grant_types=("authorization_code", "refresh_token"),
            scope=("openid", "mcp:read"),
            resource="https://api.example/mcp",
            owner_user_id=owner_id,
            require_pkce=False,
            rotate_refresh_tokens=True,
            is_trusted=True,
            is_vouched=False,
            id_token_signed_response_alg="EdDSA",
            expires_at=origin.now + datetime.timedelta(days=1, microseconds=1),
            details=DETAILS,
        )
    with Transaction(engine) as tx:
        found = clients.find(tx, made.client_id)
        assert found == made
        assert clients.get_by_row(tx, made.id) == made
    assert made.details == DETAILS
    assert (made.is_active, made.revoked_at, made.last_used_at) == (True, None, None)


def test_a_confidential_client_gets_a_secret_that_is_only_stored_hashed(
    clients: Clients, engine: Engine, origin: Origin
) -> None:
    with Transaction(engine) as tx:
        made, secret = register(clients, tx, origin)
    assert secret is not None
    assert is_secret("cs", secret)
    assert re.fullmatch(r"app_[0-9A-Za-z]{22}", made.client_id)
    with engine.connect() as connection:
        for table in ("oauth_clients", "user_audit_log"):
            assert secret not in str(connection.execute(text(f"SELECT * FROM {table}")).all())


def test_a_public_client_has_no_secret(clients: Clients, engine: Engine, origin: Origin) -> None:
    with Transaction(engine) as tx:
        made, secret = register(clients, tx, origin, token_endpoint_auth_method="none")
    assert secret is None
    assert made.secret_hash is None
    assert made.is_public


def test_refresh_tokens_rotate_for_public_clients_unless_said_otherwise(
    clients: Clients, tx: Transaction, origin: Origin
) -> None:
    assert not register(clients, tx, origin)[0].rotate_refresh_tokens
    assert register(clients, tx, origin, token_endpoint_auth_method="none")[0].rotate_refresh_tokens
    assert register(clients, tx, origin, rotate_refresh_tokens=True)[0].rotate_refresh_tokens


def test_an_api_key_looks_like_one(clients: Clients, tx: Transaction, origin: Origin, owner_id: str) -> None:
    made, secret = register(clients, tx, origin, kind="api_key", owner_user_id=owner_id)
    assert made.is_api_key
    assert re.fullmatch(r"key_[0-9A-Za-z]{22}", made.client_id)
    assert is_secret("ak", secret or "")


def test_a_registered_client_is_known_to_every_process(
    clients: Clients, other_process: Clients, engine: Engine, app: Client
) -> None:
    for registry in (clients, other_process):
        with Transaction(engine) as tx:
            assert registry.find(tx, app.client_id) == app


@pytest.mark.parametrize(
    "change",
    [
        lambda name: name + " ",
        lambda name: " " + name,
        lambda name: name + "\n",
        lambda name: name + "\x00",
        lambda name: name.upper(),
        lambda name: name.swapcase(),
        lambda name: name[:-1],
        lambda name: name + "x",
        lambda name: name.replace("a", "а"),  # a Cyrillic letter
        lambda name: name + "%",
        lambda name: name[:-1] + "_",
        lambda name: name[:-2] + "__",
        lambda _name: "",
        lambda _name: "0",
        lambda _name: "%",
        lambda _name: "' OR 1=1 --",
        lambda _name: "x" * 513,
        lambda _name: "클라이언트",
    ],
)
def test_a_client_id_that_is_nearly_right_is_unknown(clients: Clients, engine: Engine, app: Client, change) -> None:  # type: ignore[no-untyped-def]
    for fresh in (False, True):
        with Transaction(engine) as tx:
            assert clients.find(tx, change(app.client_id), fresh=fresh) is None


@pytest.mark.parametrize("client_id", ["", "x" * 513, "클라이언트", "a b", "a\n", "a\x7f", "\udc80"])
def test_what_cannot_be_a_client_id_is_not_looked_up(
    clients: Clients, engine: Engine, statements: Statements, client_id: str
) -> None:
    with statements() as seen, Transaction(engine) as tx:
        assert clients.find(tx, client_id) is None
        assert clients.find(tx, client_id, fresh=True) is None
    assert not seen


def test_a_client_that_was_just_read_is_not_read_again(
    clients: Clients, engine: Engine, app: Client, statements: Statements
) -> None:
    with Transaction(engine) as tx:
        clients.find(tx, app.client_id)
    with statements() as seen, Transaction(engine) as tx:
        assert clients.find(tx, app.client_id) == app
        assert clients.cached(tx, app.client_id) == app
        assert not tx.is_open
    assert not seen


def test_a_fresh_look_asks_the_database(
    clients: Clients, other_process: Clients, engine: Engine, app: Client, origin: Origin
) -> None:
    with Transaction(engine) as tx:
        clients.find(tx, app.client_id)
    with Transaction(engine) as tx:
        other_process.set_active(tx, origin, app.client_id, False)
    with Transaction(engine) as tx:
        assert clients.find(tx, app.client_id) == app
        fresh = clients.find(tx, app.client_id, fresh=True)
        assert fresh is not None
        assert not fresh.is_active
        assert clients.find(tx, app.client_id) == fresh


def test_the_cache_is_bounded(clients: Clients, engine: Engine, origin: Origin) -> None:
    with Transaction(engine) as tx:
        template, _ = register(clients, tx, origin)
        row = dict(
            tx.execute(select(ClientRow.__table__).where(ClientRow.__table__.c.id == template.id)).mappings().one()
        )
        names = [f"app_{number}" for number in range(CACHE_SIZE + 10)]
        tx.execute(
            insert(ClientRow), [{**row, "id": f"{number:036}", "client_id": name} for number, name in enumerate(names)]
        )
    with Transaction(engine) as tx:
        for name in names:
            assert clients.find(tx, name) is not None
        assert clients.cached(tx, names[0]) is None
        assert clients.cached(tx, names[-1]) is not None


def test_a_change_is_seen_by_this_process_as_soon_as_it_is_committed(
    clients: Clients, engine: Engine, app: Client, origin: Origin
) -> None:
    with Transaction(engine) as tx:
        clients.find(tx, app.client_id)
    changing, reading = Transaction(engine), Transaction(engine)
    clients.set_active(changing, origin, app.client_id, False)
    before = clients.find(reading, app.client_id)
    own = clients.find(changing, app.client_id)
    changing.commit()
    after = clients.find(reading, app.client_id)
    reading.rollback()
    assert before is not None
    assert before.is_active
    assert own is not None
    assert not own.is_active
    assert after is not None
    assert not after.is_active


def test_a_change_that_is_rolled_back_never_was(clients: Clients, engine: Engine, app: Client, origin: Origin) -> None:
    tx = Transaction(engine)
    clients.set_active(tx, origin, app.client_id, False)
    clients.find(tx, app.client_id)
    tx.rollback()
    with Transaction(engine) as tx:
        assert clients.find(tx, app.client_id) == app


def test_a_registration_that_is_rolled_back_never_was(clients: Clients, engine: Engine, origin: Origin) -> None:
    tx = Transaction(engine)
    made, _secret = register(clients, tx, origin)
    assert clients.find(tx, made.client_id) == made
    tx.rollback()
    with Transaction(engine) as tx:
        assert clients.find(tx, made.client_id) is None


def test_a_disabled_client_is_not_usable_until_it_is_enabled(
    clients: Clients, engine: Engine, app: Client, origin: Origin
) -> None:
    for active in (False, True):
        with Transaction(engine) as tx:
            assert clients.set_active(tx, origin, app.client_id, active)
        with Transaction(engine) as tx:
            found = clients.find(tx, app.client_id)
            assert found is not None
            assert found.is_usable(origin.now) is active


def test_a_client_expires_to_the_microsecond(clients: Clients, tx: Transaction, origin: Origin) -> None:
    end = origin.now + datetime.timedelta(seconds=10)
    made, _ = register(clients, tx, origin, expires_at=end)
    assert made.is_usable(end - datetime.timedelta(microseconds=1))
    assert not made.is_usable(end)


def test_a_revoked_client_never_comes_back(
    clients: Clients, engine: Engine, origin: Origin, owner_id: str, events: Events
) -> None:
    with Transaction(engine) as tx:
        key, _ = register(clients, tx, origin, kind="api_key", owner_user_id=owner_id)
    with Transaction(engine) as tx:
        assert clients.revoke(tx, origin, key.client_id, event=AuditEvent.API_KEY_REVOKED, actor=None)
    with Transaction(engine) as tx:
        assert not clients.revoke(tx, origin, key.client_id, event=AuditEvent.API_KEY_REVOKED, actor=None)
        assert not clients.revoke(tx, origin, "key_unknown", event=AuditEvent.API_KEY_REVOKED, actor=None)
        assert clients.set_active(tx, origin, key.client_id, True)
        assert clients.rotate_secret(tx, origin, key.client_id) is None
    with Transaction(engine) as tx:
        found = clients.find(tx, key.client_id)
        assert found is not None
        assert not found.is_usable(origin.now)
    revoked = [row for row in events() if row["action"] == "api_key.revoked"]
    assert [row["user_id"] for row in revoked] == [owner_id]


def test_a_new_secret_replaces_the_old_one(clients: Clients, engine: Engine, origin: Origin) -> None:
    with Transaction(engine) as tx:
        app, first = register(clients, tx, origin)
    with Transaction(engine) as tx:
        second = clients.rotate_secret(tx, origin, app.client_id)
    assert second is not None
    assert second != first
    assert is_secret("cs", second)
    with Transaction(engine) as tx:
        found = clients.find(tx, app.client_id)
        assert found is not None
        assert found.secret_hash == clients.secret_hash(second)


def test_only_a_confidential_client_that_exists_can_get_a_new_secret(
    clients: Clients, tx: Transaction, origin: Origin
) -> None:
    public, _ = register(clients, tx, origin, token_endpoint_auth_method="none")
    assert clients.rotate_secret(tx, origin, public.client_id) is None
    assert clients.rotate_secret(tx, origin, "app_unknown") is None


@pytest.mark.parametrize("seconds", [0, 60, -60])
def test_every_change_makes_the_version_later_whatever_the_clock_says(
    clients: Clients, engine: Engine, app: Client, origin: Origin, seconds: int
) -> None:
    versions = [app.updated_at]
    for change in (
        lambda tx, at: clients.set_active(tx, at, app.client_id, False),
        lambda tx, at: clients.set_active(tx, at, app.client_id, True),
        lambda tx, at: clients.rotate_secret(tx, at, app.client_id),
        lambda tx, at: clients.revoke(tx, at, app.client_id, event=AuditEvent.API_KEY_REVOKED, actor=None),
    ):
        with Transaction(engine) as tx:
            change(tx, later(origin, seconds))
        with Transaction(engine) as tx:
            found = clients.find(tx, app.client_id)
            assert found is not None
            versions.append(found.updated_at)
    assert versions == sorted(set(versions))


def test_deleting_a_client_takes_what_was_granted_to_it(
    clients: Clients, engine: Engine, app: Client, origin: Origin, owner_id: str, events: Events
) -> None:
    with Transaction(engine) as tx:
        grant_id = add_grant(
            tx,
            origin.now,
            user_id=owner_id,
            client_row_id=app.id,
            session_id=None,
            consent_id=None,
            scope=("openid",),
            resource_uri="https://api.example",
            authenticated_at=origin.now,
            amr=("pwd",),
            acr="urn:mcp-core:password",
        )
        waiting = {
            "handle_hash": "a" * 64,
            "browser_hash": "b" * 64,
            "client_id": app.id,
            "parameters": {},
            "created_at": origin.now,
            "expires_at": origin.now,
        }
        tx.execute(insert(AuthorizationRequest), waiting)
    with Transaction(engine) as tx:
        clients.find(tx, app.client_id)
        assert clients.delete(tx, origin, app.client_id, actor="operator")
    with Transaction(engine) as tx:
        assert clients.find(tx, app.client_id) is None
        assert tx.execute(select(GrantRecord.id).where(GrantRecord.id == grant_id)).first() is None
        assert tx.execute(select(AuthorizationRequest.handle_hash)).first() is None
        assert not clients.delete(tx, origin, app.client_id)
    assert {row["action"] for row in events()} >= {"client.deleted", "grant.revoked"}
    assert [row["actor"] for row in events() if row["action"] == "client.deleted"] == ["operator"]


def test_an_api_key_is_revoked_and_not_deleted(clients: Clients, engine: Engine, origin: Origin, owner_id: str) -> None:
    with Transaction(engine) as tx:
        key, _ = register(clients, tx, origin, kind="api_key", owner_user_id=owner_id)
        assert not clients.delete(tx, origin, key.client_id)
    with Transaction(engine) as tx:
        assert clients.find(tx, key.client_id) == key


def test_the_list_can_be_of_one_owner_or_kind(clients: Clients, tx: Transaction, origin: Origin, owner_id: str) -> None:
    app, _ = register(clients, tx, origin)
    key, _ = register(clients, tx, later(origin, 1), kind="api_key", owner_user_id=owner_id)
    assert clients.list(tx) == [app, key]
    assert clients.list(tx, kind="application") == [app]
    assert clients.list(tx, owner_user_id=owner_id, kind="api_key") == [key]
    assert clients.list(tx, owner_user_id="nobody") == []


def test_every_change_leaves_a_record(
    clients: Clients, engine: Engine, origin: Origin, app: Client, events: Events
) -> None:
    with Transaction(engine) as tx:
        clients.set_active(tx, later(origin, 1), app.client_id, False, actor="operator")
        clients.set_active(tx, later(origin, 2), app.client_id, True)
        clients.rotate_secret(tx, later(origin, 3), app.client_id)
        clients.delete(tx, later(origin, 4), app.client_id)
    seen = events()
    assert [row["action"] for row in seen] == [
        "client.created",
        "client.disabled",
        "client.enabled",
        "client.secret_rotated",
        "client.deleted",
    ]
    assert {row["resource_id"] for row in seen} == {app.client_id}
    assert {row["ip_address"] for row in seen} == {origin.source}
    assert seen[0]["metadata"] == {"name": "App", "kind": "application"}
    assert seen[1]["actor"] == "operator"


def test_a_change_that_is_rolled_back_leaves_no_record(
    clients: Clients, engine: Engine, origin: Origin, app: Client, events: Events
) -> None:
    tx = Transaction(engine)
    clients.set_active(tx, origin, app.client_id, False)
    tx.rollback()
    assert [row["action"] for row in events()] == ["client.created"]


def test_who_makes_an_api_key_records_it(
    clients: Clients, engine: Engine, origin: Origin, owner_id: str, events: Events
) -> None:
    with Transaction(engine) as tx:
        register(clients, tx, origin, kind="api_key", owner_user_id=owner_id)
    assert events() == []


def test_a_change_of_an_unknown_client_changes_and_records_nothing(
    clients: Clients, engine: Engine, origin: Origin, app: Client, events: Events
) -> None:
    with Transaction(engine) as tx:
        for near in (app.client_id + " ", app.client_id.swapcase(), "app_unknown", ""):
            assert not clients.set_active(tx, origin, near, False)
            assert not clients.delete(tx, origin, near)
            assert not clients.revoke(tx, origin, near, event=AuditEvent.API_KEY_REVOKED, actor=None)
    assert [row["action"] for row in events()] == ["client.created"]


def test_the_last_use_is_noted_once_a_minute_and_changes_no_version(
    clients: Clients, engine: Engine, app: Client, origin: Origin, statements: Statements
) -> None:
    def last_used(seconds: float) -> tuple[datetime.datetime | None, int]:
        with statements() as seen, Transaction(engine) as tx:
            found = clients.find(tx, app.client_id)
            assert found is not None
            clients.touch(tx, found, later(origin, seconds).now)
        with Transaction(engine) as tx:
            found = clients.find(tx, app.client_id, fresh=True)
            assert found is not None
            assert found.updated_at == app.updated_at
            return found.last_used_at, sum(statement.startswith("UPDATE") for statement in seen)

    assert last_used(0) == (origin.now, 1)
    assert last_used(59) == (origin.now, 0)
    assert last_used(61) == (later(origin, 61).now, 1)


def test_another_processs_note_of_the_last_use_is_not_overwritten(
    clients: Clients, other_process: Clients, engine: Engine, app: Client, origin: Origin
) -> None:
    with Transaction(engine) as tx:
        clients.touch(tx, app, origin.now)
    with Transaction(engine) as tx:
        other_process.touch(tx, app, later(origin, 30).now)
    with Transaction(engine) as tx:
        found = clients.find(tx, app.client_id, fresh=True)
        assert found is not None
        assert found.last_used_at == origin.now
