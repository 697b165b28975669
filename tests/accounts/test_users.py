"""Users: one name and one address each on every database, and always an administrator."""

from __future__ import annotations

import unicodedata
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, event, select, update

from database.models import GrantRecord, UserSession
from database.models import User as UserRow
from database.transaction import Transaction
from provider.accounts.administrators import LastAdministrator
from provider.accounts.login_names import InvalidName, canonical_email, canonical_username
from provider.accounts.users import NameTaken, User
from provider.protocol.messages import Origin
from provider.services import Services
from tests.accounts.conftest import AddUser, Events, added
from tests.granting import add_grant
from tests.together import at_once

SAME_NAMES = [
    ("Ana", "ana"),
    ("ANA", "aNa"),
    ("ＡＮＡ", "ana"),
    (" ana ", "ana"),
    ("ana\u3000", "ana"),
    ("Strasse", "STRAßE"),
    ("ﬁona", "Fiona"),
    ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ("홍길동", unicodedata.normalize("NFD", "홍길동")),
    ("josé", unicodedata.normalize("NFD", "JOSÉ")),
]
OTHER_NAMES = [
    ("ana", "aná"),
    ("ana", "ana1"),
    ("muller", "müller"),
    ("oslo", "øslo"),
    ("loki", "łoki"),
    ("가나다", "가나닥"),
    ("はなこ", "ばなこ"),
    ("ana-1", "ana_1"),
    ("1234", "12340"),
]


@pytest.mark.parametrize("one, other", SAME_NAMES)
def test_names_that_read_the_same_belong_to_one_user(
    services: Services, add_user: AddUser, engine: Engine, one: str, other: str
) -> None:
    user = add_user(one, email="one@example.com")
    with pytest.raises(NameTaken) as refusal:
        add_user(other, email="other@example.com")
    assert refusal.value.field == "username"
    with Transaction(engine) as tx:
        for spelling in (one, other):
            found = services.users.find_by_login(tx, spelling)
            assert found is not None
            assert found.id == user.id


@pytest.mark.parametrize("one, other", OTHER_NAMES)
def test_names_that_nobody_takes_for_each_other_belong_to_two(
    services: Services, add_user: AddUser, engine: Engine, one: str, other: str
) -> None:
    with Transaction(engine) as tx:
        first = add_user(one, email="one@example.com")
        assert services.users.find_by_login(tx, other) is None
        tx.rollback()
        second = add_user(other, email="other@example.com")
        assert {first.id} == {found.id for found in [services.users.find_by_login(tx, one)] if found}
        assert {second.id} == {found.id for found in [services.users.find_by_login(tx, other)] if found}


@pytest.mark.parametrize(
    "one, other",
    [
        ("ana@example.com", "ANA@Example.COM"),
        ("ana@example.com", " ana@example.com\t"),
        ("ana@example.com", "ａｎａ@example.com"),
        ("josé@example.com", unicodedata.normalize("NFD", "josé@example.com")),
    ],
)
def test_addresses_that_read_the_same_belong_to_one_user(
    services: Services, add_user: AddUser, engine: Engine, one: str, other: str
) -> None:
    user = add_user("first", email=one)
    with pytest.raises(NameTaken) as refusal:
        add_user("second", email=other)
    assert refusal.value.field == "email"
    with Transaction(engine) as tx:
        found = services.users.find_by_login(tx, other)
    assert found is not None
    assert found.id == user.id


@pytest.mark.parametrize(
    "one, other", [("ana@example.com", "aná@example.com"), ("a@b.ee", "a@b.éé"), ("a.b@c.com", "ab@c.com")]
)
def test_addresses_that_only_look_alike_belong_to_two(add_user: AddUser, one: str, other: str) -> None:
    assert add_user("first", email=one).id != add_user("second", email=other).id


@pytest.mark.parametrize("column, value", [("username_canonical", "ana "), ("email_canonical", "ana@example.com ")])
def test_trailing_blanks_never_find_a_user(engine: Engine, ana: User, column: str, value: str) -> None:
    table = UserRow.__table__
    with engine.connect() as connection:
        assert connection.execute(select(table.c.id).where(table.c[column] == value)).first() is None
        assert connection.execute(select(table.c.id).where(table.c[column] == value.strip())).first() is not None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * 65,
        "-ana",
        "ana-",
        ".ana",
        "ana.",
        "an a",
        "ana@example.com",
        "ana\x00b",
        "ana\nb",
        "ana\x1b[2Jb",
        "an\u200ba",  # zero-width blank
        "an\u200da",  # zero-width joiner
        "an\u00ada",  # soft hyphen
        "an\ufeffa",
        "an\u202ea",  # turns the direction of writing
        "an\u2066a",
        "an\u034fa",  # grapheme joiner
        "an\u115fa",  # Hangul fillers: letters that are drawn as nothing
        "an\u1160a",
        "an\u3164a",
        "an\uffa0a",
        "an\u2800a",  # Braille without dots
        "an\ue000a",
        "an\ud800a",
        "<script>",
        "ana'--",
    ],
)
def test_a_user_name_that_could_mislead_is_refused(services: Services, tx: Transaction, name: str) -> None:
    with pytest.raises(InvalidName) as refusal:
        canonical_username(name)
    assert refusal.value.field == "username"
    if "@" not in name:
        assert services.users.find_by_login(tx, name) is None


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ana",
        "@example.com",
        "ana@",
        "ana@example",
        "ana@@example.com",
        "ana@b@example.com",
        "ana b@example.com",
        "ana@exa mple.com",
        "ana@example..com",
        "ana..b@example.com",
        "ana@example.com\r\nBcc: all@example.com",
        '"ana"@example.com',
        "ana<b>@example.com",
        "ana,b@example.com",
        "an\u200ba@example.com",
        "an\u3164a@example.com",
        "ana@exam\u202eple.com",
        "a" * 65 + "@example.com",
        "ana@" + "a" * 250 + ".com",
    ],
)
def test_an_address_that_could_mislead_is_refused(services: Services, tx: Transaction, address: str) -> None:
    with pytest.raises(InvalidName) as refusal:
        canonical_email(address)
    assert refusal.value.field == "email"
    assert services.users.find_by_login(tx, address) is None


@given(st.text(min_size=1, max_size=12))
def test_the_canonical_form_of_a_name_is_its_own(text: str) -> None:
    for canonical, value in ((canonical_username, text), (canonical_email, f"{text}@example.com")):
        try:
            name = canonical(value)
        except InvalidName:
            continue
        assert canonical(name) == name
        assert name == name.strip()


def test_the_stored_address_is_the_one_that_is_looked_up(add_user: AddUser) -> None:
    assert add_user("first", email=" Ａna@Example.com ").email == "Ana@Example.com"


def test_the_longest_decomposed_name_and_address_fit_their_columns(add_user: AddUser) -> None:
    name, address = "각" * 64, "각" * 21 + "@" + ("닭" * 15 + ".") * 3 + "com"
    user = add_user(unicodedata.normalize("NFD", name), email=unicodedata.normalize("NFD", address))
    assert (user.username, user.email) == (name, address)


def test_what_is_stored_is_what_was_returned(services: Services, add_user: AddUser, tx: Transaction) -> None:
    made = add_user("ana", is_admin=True, is_verified=True, display_name="Ana 🚀", locale="ko")
    assert services.users.find(tx, made.id) == made
    assert services.users.list(tx) == [made]
    assert "argon2" not in repr(made)


def test_disabling_ends_sessions_and_grants_and_enabling_revives_none(
    services: Services, engine: Engine, origin: Origin, ana: User, add_user: AddUser, events: Events
) -> None:
    bora = add_user("bora")
    with Transaction(engine) as tx:
        token = services.sessions.start(tx, origin, ana.id, ("pwd",))
        other = services.sessions.start(tx, origin, bora.id, ("pwd",))
    with Transaction(engine) as tx:
        assert services.user_ends.set_active(tx, origin, ana.id, False, actor="operator")
        assert not services.user_ends.set_active(tx, origin, ana.id, False)
    with Transaction(engine) as tx:
        assert services.sessions.find(tx, origin.now, token) is None
        assert services.sessions.find(tx, origin.now, other) is not None
        assert services.user_ends.set_active(tx, origin, ana.id, True, actor="operator")
        assert services.sessions.find(tx, origin.now, token) is None
        ended = tx.execute(select(UserSession.__table__.c.end_reason).where(UserSession.user_id == ana.id)).scalar_one()
    assert ended == "user_disabled"
    assert [row["actor"] for row in events("user.disabled")] == ["operator"]
    assert [row["actor"] for row in events("user.enabled")] == ["operator"]


def test_a_disabled_users_session_is_dead_even_if_it_was_not_ended(
    services: Services, engine: Engine, origin: Origin, ana: User
) -> None:
    with Transaction(engine) as tx:
        token = services.sessions.start(tx, origin, ana.id, ("pwd",))
        tx.execute(update(UserRow).values(is_active=False))
        assert services.sessions.find(tx, origin.now, token) is None


def test_the_last_active_administrator_cannot_be_disabled(
    services: Services, engine: Engine, origin: Origin, add_user: AddUser, events: Events
) -> None:
    ana, bora, cyrus = add_user("ana", is_admin=True), add_user("bora", is_admin=True), add_user("cyrus")
    with Transaction(engine) as tx:
        assert services.user_ends.set_active(tx, origin, bora.id, False)
        assert services.user_ends.set_active(tx, origin, cyrus.id, False)
    with Transaction(engine) as tx, pytest.raises(LastAdministrator):
        services.user_ends.set_active(tx, origin, ana.id, False)
    assert len(events("user.disabled")) == 2
    with Transaction(engine) as tx:
        found = services.users.find(tx, ana.id)
        assert found is not None
        assert found.is_active
        assert services.user_ends.set_active(tx, origin, bora.id, True)
        assert services.user_ends.set_active(tx, origin, ana.id, False)


def test_an_unknown_user_cannot_be_disabled(services: Services, tx: Transaction, origin: Origin, ana: User) -> None:
    assert not services.user_ends.set_active(tx, origin, "0" * 36, False)


def test_administrators_who_disable_each_other_at_once_leave_one(services: Services, origin: Origin) -> None:
    ids = [added(services, origin, name, is_admin=True).id for name in ("ana", "bora", "cyrus")]
    calls = [lambda tx, target=target: services.user_ends.set_active(tx, origin, target, False) for target in ids]
    answers = at_once(services.engine, calls)
    assert sorted(type(answer).__name__ for answer in answers) == ["Ended", "Ended", "LastAdministrator"]
    with Transaction(services.engine) as tx:
        assert sum(user.is_active for user in services.users.list(tx)) == 1


def test_two_who_ask_for_one_name_at_once_get_one_user(services: Services, origin: Origin) -> None:
    def create(tx: Transaction, number: int) -> User:
        return services.users.create(
            tx, origin, username="ana", email=f"{number}@example.com", password_hash=None, actor=None
        )

    answers = at_once(services.engine, [partial(create, number=number) for number in range(6)])
    assert [isinstance(answer, User) for answer in answers].count(True) == 1
    assert {type(answer) for answer in answers} == {User, NameTaken}


@pytest.mark.parametrize(
    "rival, field",
    [
        (("ana", "rival@example.com"), "username"),
        (("rival", "ana@example.com"), "email"),
        (("ana", "ana@example.com"), "username"),
    ],
)
def test_a_name_that_is_taken_at_the_last_moment_is_the_one_that_is_refused(
    on_server: Services, origin: Origin, rival: tuple[str, str], field: str
) -> None:
    services, engine = on_server, on_server.engine
    tries: list[str] = []

    def take(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("INSERT INTO users"):
            tries.append(statement)
            if len(tries) == 1:  # the names have been looked for, and are free
                added(services, origin, rival[0], email=rival[1])

    event.listen(engine, "before_cursor_execute", take)
    try:
        with Transaction(engine) as tx, pytest.raises(NameTaken) as refusal:
            services.users.create(tx, origin, username="ana", email="ana@example.com", password_hash=None)
    finally:
        event.remove(engine, "before_cursor_execute", take)
    assert refusal.value.field == field
    assert len(tries) == 2


def test_grants_of_a_disabled_user_are_revoked(
    services: Services, engine: Engine, origin: Origin, ana: User, events: Events
) -> None:
    with Transaction(engine) as tx:
        client, _secret = services.clients.register(
            tx, origin, kind="application", name="App", token_endpoint_auth_method="none"
        )
        add_grant(
            tx,
            origin.now,
            user_id=ana.id,
            client_row_id=client.id,
            session_id=None,
            consent_id=None,
            scope=("offline_access",),
            resource_uri="https://id.example/oauth",
            authenticated_at=origin.now,
            amr=("pwd",),
            acr="urn:mcp-core:password",
        )
    with Transaction(engine) as tx:
        services.user_ends.set_active(tx, origin, ana.id, False)
        reason = tx.execute(select(GrantRecord.__table__.c.revoke_reason)).scalar_one()
    assert reason == "user_disabled"
    assert len(events("grant.revoked")) == 1
