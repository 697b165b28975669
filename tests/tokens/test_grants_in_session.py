"""A grant by somebody at their browser: written exactly if what it rests on is alive at the moment of writing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import insert

from database.models import Consent, GrantRecord, User, UserSession
from database.models.columns import new_id
from database.units import Batch
from provider.protocol.messages import Origin
from tests.granting import add_grant
from tests.tokens.conftest import API, Tokens, make_client, make_user

CONSENT = "01900000-0000-7000-8000-00000000000c"


@dataclass
class Ready:
    """Two people with a session each, and a consent of the first."""

    tokens: Tokens
    origin: Origin
    said: dict[str, Any]
    session_id: str
    other_session_id: str

    def create(self, tx: Any, *, consent_id: str | None = None, **changes: Any) -> str | None:
        said = {**self.said, "consent_id": consent_id, **changes}
        return self.tokens.grants.create(tx, self.origin.now, earlier_consent_id=consent_id, **said)

    def end(self, model: Any, key: str, **values: Any) -> None:
        self.tokens.set(model, key, **values)


@pytest.fixture
def ready(tokens: Tokens, origin: Origin) -> Ready:
    with tokens.transaction() as tx:
        client = make_client(tokens, tx, origin)
        sessions = []
        for name in ("ada", "bob"):
            user = make_user(tokens, tx, origin, name)
            row = {
                "id": new_id(origin.now),
                "session_token": name.ljust(64, "0"),
                "user_id": user.id,
                "authenticated_at": origin.now,
                "amr": "pwd",
                "acr": "urn:mcp-core:password",
                "created_at": origin.now,
                "last_seen_at": origin.now,
                "expires_at": origin.now,
            }
            tx.execute(insert(UserSession), row)
            sessions.append(row)
        consent = {
            "id": CONSENT,
            "user_id": sessions[0]["user_id"],
            "client_id": client.id,
            "resource": API.uri,
            "redirect_uri_hash": "r" * 64,
            "metadata_hash": "m" * 64,
            "scope": "openid",
            "created_at": origin.now,
            "updated_at": origin.now,
        }
        tx.execute(insert(Consent), consent)
    first, second = sessions
    said = {
        "user_id": first["user_id"],
        "client_row_id": client.id,
        "session_id": first["id"],
        "scope": ("openid",),
        "resource_uri": API.uri,
        "authenticated_at": origin.now,
        "amr": ("pwd", "otp"),
        "acr": "urn:mcp-core:password",
    }
    return Ready(tokens, origin, said, str(first["id"]), str(second["id"]))


@pytest.mark.parametrize("consent_id", [None, CONSENT])
@pytest.mark.parametrize("claims", [None, {"userinfo": {"email": {"essential": True}, "name": None}}])
def test_it_is_the_record_that_a_plain_one_would_be(
    ready: Ready, consent_id: str | None, claims: dict[str, Any] | None
) -> None:
    with ready.tokens.transaction() as tx:
        found = ready.create(tx, consent_id=consent_id, claims=claims)
        plain = add_grant(tx, ready.origin.now, **{**ready.said, "consent_id": consent_id, "claims": claims})
    first, second = sorted(ready.tokens.rows(GrantRecord), key=lambda row: str(row["id"]) != found)
    assert (first.pop("id"), second.pop("id")) == (found, plain)
    assert first == second


ENDS: dict[str, Callable[[Ready], object]] = {
    "the session": lambda ready: ready.end(UserSession, ready.session_id, ended_at=ready.origin.now),
    "the user": lambda ready: ready.end(User, ready.said["user_id"], is_active=False),
    "the consent": lambda ready: ready.end(Consent, CONSENT, withdrawn_at=ready.origin.now),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_nothing_is_written_once_something_of_it_has_ended(ready: Ready, end: Callable[[Ready], object]) -> None:
    end(ready)
    with ready.tokens.transaction() as tx:
        assert ready.create(tx, consent_id=CONSENT) is None
    assert ready.tokens.rows(GrantRecord) == []


def test_nothing_is_written_in_the_session_of_somebody_else(ready: Ready) -> None:
    with ready.tokens.transaction() as tx:
        assert ready.create(tx, session_id=ready.other_session_id) is None
        assert ready.create(tx, session_id=new_id(ready.origin.now)) is None
        assert ready.create(tx, consent_id=new_id(ready.origin.now)) is None
    assert ready.tokens.rows(GrantRecord) == []


def test_many_are_written_at_once_each_with_its_own_values(ready: Ready) -> None:
    batch = Batch(ready.tokens.engine)
    claims = [None, {"id_token": {"acr": None}}, None]
    units = [batch.unit() for _ in claims]
    ids = [
        ready.create(unit, consent_id=consent, claims=said)
        for unit, said, consent in zip(units, claims, (None, CONSENT, CONSENT), strict=True)
    ]
    assert batch.commit(units) == [True] * 3
    batch.end()
    rows = {row["id"]: row for row in ready.tokens.rows(GrantRecord)}
    assert [rows[it]["claims"] for it in ids] == claims
    assert [rows[it]["consent_id"] for it in ids] == [None, CONSENT, CONSENT]


def test_of_many_only_that_is_left_out_whose_consent_is_gone(ready: Ready) -> None:
    batch = Batch(ready.tokens.engine)
    units = [batch.unit() for _ in range(3)]
    for unit, consent in zip(units, (None, CONSENT, None), strict=True):
        assert ready.create(unit, consent_id=consent) is not None, "what comes true is seen at the commit"
    ENDS["the consent"](ready)
    assert batch.commit(units) == [True, False, True]
    batch.end()
    assert [row["consent_id"] for row in ready.tokens.rows(GrantRecord)] == [None, None]
