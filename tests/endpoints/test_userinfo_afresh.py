"""UserInfo says what holds now: of the token, of the person and of the client, whatever it said a moment ago."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, update

from database.models import Client as ClientRow
from database.models import GrantRecord, IssuedToken, User, UserPicture, UserProfile
from tests.endpoints.provider import KnownClient, Provider, ProviderFactory, claims_of

SCOPE = ("openid", "profile", "email", "phone", "address")


class Nodes:
    """Two processes on one database, which have both answered about the same token."""

    def __init__(self, one: Provider, other: Provider) -> None:
        self.one, self.other = one, other
        self.app: KnownClient = one.client()
        self.user = one.profile(one.user(), phone_number="+8225550100")
        self.grant_id = one.grant(self.user, self.app, SCOPE)
        self.token = one.redeem(self.app, one.code(self.grant_id)).json["access_token"]
        self.before = self.said(one)
        assert self.said(other) == self.before

    def said(self, node: Provider) -> Any:
        answer = node.userinfo(self.token)
        return answer.json if answer.status == 200 else answer.status

    def run(self, statement: Any) -> None:
        with self.one.begin() as tx:
            assert tx.execute(statement).rowcount == 1


@pytest.fixture
def nodes(provider_everywhere: Provider, make_provider: ProviderFactory) -> Nodes:
    return Nodes(provider_everywhere, make_provider(provider_everywhere.engine))


ENDS: dict[str, Callable[[Nodes], Any]] = {
    "token revoked": lambda n: update(IssuedToken).values(revoked_at=n.user.created_at),
    "record gone": lambda n: delete(IssuedToken).where(IssuedToken.jti == claims_of(n.token)["jti"]),
    "grant revoked": lambda n: update(GrantRecord).values(revoked_at=n.user.created_at),
    "grant gone": lambda n: delete(GrantRecord).where(GrantRecord.id == n.grant_id),
    "user disabled": lambda n: update(User).where(User.id == n.user.id).values(is_active=False),
    "user gone": lambda n: delete(User).where(User.id == n.user.id),
    "client disabled": lambda n: update(ClientRow).where(ClientRow.id == n.app.client.id).values(is_active=False),
    "client gone": lambda n: delete(ClientRow).where(ClientRow.id == n.app.client.id),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_token_that_has_ended_says_nothing_anywhere(nodes: Nodes, end: str) -> None:
    nodes.run(ENDS[end](nodes))
    assert [nodes.said(node) for node in (nodes.other, nodes.one)] == [401, 401]


CHANGES: dict[str, tuple[Callable[[Nodes], Any], dict[str, Any]]] = {
    "name": (lambda _: update(User).values(display_name="Ada B."), {"name": "Ada B."}),
    "address": (lambda _: update(User).values(email="new@example.com"), {"email": "new@example.com"}),
    "unverified": (lambda _: update(User).values(is_verified=False), {"email_verified": False}),
    "zone": (lambda _: update(User).values(time_zone="Europe/Paris"), {"zoneinfo": "Europe/Paris"}),
    "telephone": (lambda _: update(UserProfile).values(phone_number="+33100000000"), {"phone_number": "+33100000000"}),
    "no picture": (lambda _: delete(UserPicture), {"picture": None}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_said_at_once_and_nothing_else_differs(nodes: Nodes, change: str) -> None:
    statement, differs = CHANGES[change]
    nodes.run(statement(nodes))
    expected = {name: value for name, value in {**nodes.before, **differs}.items() if value is not None}
    assert [nodes.said(node) for node in (nodes.other, nodes.one)] == [expected, expected]


def test_who_has_said_nothing_of_themselves_is_said_as_such(nodes: Nodes) -> None:
    nodes.run(delete(UserProfile))
    for node in (nodes.other, nodes.one):
        assert "phone_number" not in nodes.said(node)
        assert nodes.said(node)["picture"] == nodes.before["picture"]


def test_claims_that_were_asked_for_one_by_one_are_read_without_their_scope(nodes: Nodes) -> None:
    one = nodes.one
    grant_id = one.grant(nodes.user, nodes.app, ("openid",))
    token = one.redeem(nodes.app, one.code(grant_id)).json["access_token"]
    assert one.userinfo(token).json == {"sub": nodes.user.id}
    nodes.run(update(GrantRecord).where(GrantRecord.id == grant_id).values(claims={"userinfo": ["phone_number"]}))
    assert one.userinfo(token).json == {"sub": nodes.user.id, "phone_number": "+8225550100"}


def test_a_client_that_wants_it_signed_from_now_on_gets_it_signed(nodes: Nodes) -> None:
    signed = {"userinfo_signed_response_alg": "RS256"}
    nodes.run(update(ClientRow).where(ClientRow.id == nodes.app.client.id).values(details=signed))
    answer = nodes.other.userinfo(nodes.token)
    assert answer.header("Content-Type") == "application/jwt"
    assert claims_of(answer.text)["sub"] == nodes.user.id
