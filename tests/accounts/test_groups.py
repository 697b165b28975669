"""Groups on each database: who is in one, the bounds, and what happens when several change it at one moment."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import pytest
from sqlalchemy import delete, select

from database.models import GroupMember
from database.models import User as UserRow
from database.transaction import Transaction
from provider.accounts import groups as module
from provider.accounts.administrators import GROUP_ID, LastAdministrator
from provider.accounts.groups import Group, GroupExists, GroupGone, GroupInUse, TooManyGroups
from provider.accounts.users import User
from provider.protocol.groups import NOBODY, InvalidGroupName
from provider.protocol.messages import Origin
from provider.services import Services
from tests.accounts.conftest import AddUser, Events, added
from tests.together import at_once


def made(services: Services, origin: Origin, name: str = "developers") -> Group:
    with Transaction(services.engine) as tx:
        return services.groups.create(tx, origin, name=name)


def names_of(services: Services, user: User) -> tuple[str, ...]:
    with Transaction(services.engine) as tx:
        return services.groups.membership(tx, user.id).names


def test_membership_says_the_names_sorted_and_counts_each_change(
    services: Services, origin: Origin, ana: User, events: Events
) -> None:
    zebra, alpha = made(services, origin, "zebra"), made(services, origin, "Alpha")
    versions = []
    for change, group in (
        *((services.groups.add, zebra), (services.groups.add, alpha)),
        *((services.groups.remove, zebra), (services.groups.delete, alpha)),
    ):
        with Transaction(services.engine) as tx:
            assert change(tx, origin, group, *(() if change == services.groups.delete else (ana,))) is not False
            membership = services.groups.membership(tx, ana.id)
        versions.append(membership.version)
        if group is alpha and change == services.groups.add:
            assert (membership.names, membership.ids) == (("Alpha", "zebra"), frozenset({zebra.id, alpha.id}))
    assert versions == sorted(set(versions)), "each change is another count"
    assert names_of(services, ana) == ()
    actions = [event["action"] for event in events() if event["action"].startswith("group.")]
    assert actions == [
        *("group.created", "group.created", "group.member_added", "group.member_added"),
        *("group.member_removed", "group.deleted"),
    ]


def test_nobody_is_in_no_group(services: Services) -> None:
    with Transaction(services.engine) as tx:
        assert services.groups.membership(tx, "01900000-0000-7000-8000-000000000000") == NOBODY


def test_a_renamed_group_keeps_its_members_and_tokens_decided_before_are_decided_anew(
    services: Services, origin: Origin, ana: User, events: Events
) -> None:
    group = made(services, origin)
    with Transaction(services.engine) as tx:
        services.groups.add(tx, origin, group, ana)
        before = services.groups.membership(tx, ana.id)
        renamed = services.groups.rename(tx, origin, group, "Engineers", actor="cli:root")
    with Transaction(services.engine) as tx:
        now = services.groups.membership(tx, ana.id)
        assert services.groups.find(tx, "engineers") == services.groups.find(tx, group.id)
        assert services.groups.find(tx, "developers") is None
    assert (renamed.id, renamed.name) == (group.id, "Engineers")
    assert (now.names, now.ids) == (("Engineers",), before.ids)
    assert now.version > before.version
    (event,) = events("group.renamed")
    assert event["metadata"] == {"name": "Engineers", "before": "developers"}
    assert (event["actor"], event["resource_id"]) == ("cli:root", group.id)


@pytest.mark.parametrize("name", ["writers", "WRITERS", "ｗriters", "administrators", "a b", "", "system:x", "x" * 65])
def test_a_name_that_is_taken_or_none_renames_nothing(services: Services, origin: Origin, name: str) -> None:
    made(services, origin, "writers")
    group = made(services, origin)
    with Transaction(services.engine) as tx:
        with pytest.raises((GroupExists, InvalidGroupName)):
            services.groups.rename(tx, origin, group, name)
        assert [it.name for it in services.groups.list(tx)] == ["developers", "writers"]


def test_a_group_can_be_written_otherwise_and_administrators_keep_their_name(
    services: Services, origin: Origin, add_user: AddUser
) -> None:
    add_user("root", is_admin=True)
    group = made(services, origin)
    with Transaction(services.engine) as tx:
        assert services.groups.rename(tx, origin, group, "DEVELOPERS").name == "DEVELOPERS"
        administrators = services.groups.find(tx, GROUP_ID)
        assert administrators is not None
        with pytest.raises(GroupInUse):
            services.groups.rename(tx, origin, administrators, "root")


def test_a_longer_name_has_to_fit_into_the_tokens_of_all_members(
    services: Services, origin: Origin, ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_CLAIM_BYTES", 30)
    group, other = made(services, origin), made(services, origin, "writers")
    with Transaction(services.engine) as tx:
        for each in (group, other):
            services.groups.add(tx, origin, each, ana)
    with Transaction(services.engine) as tx:
        assert services.groups.rename(tx, origin, group, "x" * 17).name == "x" * 17, "27 and 3 for its marks"
        with pytest.raises(TooManyGroups):
            services.groups.rename(tx, origin, group, "x" * 18)


def test_of_two_groups_that_are_given_one_name_at_once_one_gets_it(on_server: Services, origin: Origin) -> None:
    groups = [made(on_server, origin, name) for name in ("first", "second")]
    answers = at_once(
        on_server.engine, [partial(on_server.groups.rename, origin=origin, group=it, name="same") for it in groups]
    )
    assert [type(answer) for answer in answers if isinstance(answer, Exception)] == [GroupExists]
    with Transaction(on_server.engine) as tx:
        found = on_server.groups.list(tx)
    assert len(found) == 2
    assert [it.name for it in found].count("same") == 1


def test_a_deleted_group_cannot_be_renamed(services: Services, origin: Origin) -> None:
    group = made(services, origin)
    with Transaction(services.engine) as tx:
        services.groups.delete(tx, origin, group)
        with pytest.raises(GroupGone):
            services.groups.rename(tx, origin, group, "engineers")


@pytest.mark.parametrize("name", ["developers", "DEVELOPERS", "ｄevelopers", "administrators"])
def test_a_name_is_taken_however_it_is_written(services: Services, origin: Origin, name: str) -> None:
    made(services, origin)
    with Transaction(services.engine) as tx, pytest.raises(GroupExists):
        services.groups.create(tx, origin, name=name)


@pytest.mark.parametrize("name, description", [("a b", ""), ("", ""), ("fine", "a\x00b"), ("fine", "x" * 256)])
def test_a_wrong_name_or_description_makes_nothing(
    services: Services, origin: Origin, name: str, description: str
) -> None:
    with Transaction(services.engine) as tx:
        with pytest.raises((InvalidGroupName, ValueError)):
            services.groups.create(tx, origin, name=name, description=description)
        assert services.groups.list(tx) == []


def test_somebody_is_in_no_more_groups_than_a_token_can_name(services: Services, origin: Origin, ana: User) -> None:
    with Transaction(services.engine) as tx:
        for number in range(50):
            group = services.groups.create(tx, origin, name=f"{number:x>64}")
            assert services.groups.add(tx, origin, group, ana)
        group = services.groups.create(tx, origin, name="x" * 64)
        with pytest.raises(TooManyGroups):
            services.groups.add(tx, origin, group, ana)
        assert len(services.groups.membership(tx, ana.id).names) == 50


def test_there_is_a_most_of_groups(services: Services, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_GROUPS", 1)
    made(services, origin)
    with Transaction(services.engine) as tx, pytest.raises(TooManyGroups):
        services.groups.create(tx, origin, name="one-more")


def test_what_is_deleted_in_between_takes_nobody(services: Services, origin: Origin, ana: User) -> None:
    group = made(services, origin)
    with Transaction(services.engine) as tx:
        services.groups.delete(tx, origin, group)
        for change in (services.groups.add, services.groups.remove):
            with pytest.raises(GroupGone):
                change(tx, origin, group, ana)
        with pytest.raises(GroupGone):
            services.groups.delete(tx, origin, group)


def test_an_administrator_is_made_a_member_and_a_member_an_administrator(
    services: Services, origin: Origin, add_user: AddUser
) -> None:
    ana, bora = add_user("ana", is_admin=True), add_user("bora", is_admin=True)
    cyrus = add_user("cyrus")
    with Transaction(services.engine) as tx:
        group = services.groups.find(tx, "administrators")
        assert group is not None
        assert (group.id, group.members, group.is_built_in) == (GROUP_ID, 2, True)
        assert services.groups.add(tx, origin, group, cyrus)
        assert services.groups.remove(tx, origin, group, ana)
        assert services.groups.remove(tx, origin, group, bora)
        with pytest.raises(LastAdministrator):
            services.groups.remove(tx, origin, group, cyrus)
        with pytest.raises(GroupInUse):
            services.groups.delete(tx, origin, group)
        admins = {user.username: user.is_admin for user in services.users.list(tx)}
    assert admins == {"ana": False, "bora": False, "cyrus": True}


def test_a_disabled_administrator_is_no_reason_to_let_the_last_active_one_go(
    services: Services, origin: Origin, add_user: AddUser
) -> None:
    ana, bora = add_user("ana", is_admin=True), add_user("bora", is_admin=True)
    with Transaction(services.engine) as tx:
        services.user_ends.set_active(tx, origin, bora.id, False)
        group = services.groups.find(tx, GROUP_ID)
        assert group is not None
        with pytest.raises(LastAdministrator):
            services.groups.remove(tx, origin, group, ana)
        assert services.groups.remove(tx, origin, group, bora)


def test_people_who_leave_the_table_leave_their_groups(services: Services, origin: Origin, ana: User) -> None:
    group = made(services, origin)
    with Transaction(services.engine) as tx:
        services.groups.add(tx, origin, group, ana)
        tx.execute(delete(UserRow).where(UserRow.id == ana.id))
        assert tx.execute(select(GroupMember.__table__)).all() == []


# Several at one moment, on servers


def test_two_administrators_cannot_remove_each_other(on_server: Services, origin: Origin) -> None:
    people = [added(on_server, origin, name, is_admin=True) for name in ("ana", "bora")]
    with Transaction(on_server.engine) as tx:
        group = on_server.groups.find(tx, GROUP_ID)
    assert group is not None
    calls = [lambda tx, user=user: on_server.groups.remove(tx, origin, group, user) for user in people]
    answers = at_once(on_server.engine, calls)
    assert Counter(map(_kind, answers)) == {"True": 1, "LastAdministrator": 1}, answers


def test_one_is_added_once_and_each_removal_and_deletion_counts(on_server: Services, origin: Origin) -> None:
    ana, group = added(on_server, origin, "ana"), made(on_server, origin)
    answers = at_once(on_server.engine, [lambda tx: on_server.groups.add(tx, origin, group, ana)] * 4)
    assert Counter(map(_kind, answers)) == {"True": 1, "False": 3}, answers
    calls: list[Any] = [lambda tx: on_server.groups.remove(tx, origin, group, ana)] * 2
    calls += [lambda tx: on_server.groups.delete(tx, origin, group)] * 2
    found = Counter(map(_kind, at_once(on_server.engine, calls)))
    assert set(found) <= {"True", "False", "None", "GroupGone"}
    assert found["None"] == 1
    assert names_of(on_server, ana) == ()


def test_the_first_two_administrators_share_one_group(on_server: Services, origin: Origin) -> None:
    calls = [
        lambda tx, name=name: on_server.users.create(
            tx, origin, username=name, email=f"{name}@example.com", password_hash=None, is_admin=True
        )
        for name in ("ana", "bora", "cyrus")
    ]
    answers = at_once(on_server.engine, calls)
    assert Counter(map(_kind, answers)) == {"User": 3}, answers
    with Transaction(on_server.engine) as tx:
        (group,) = on_server.groups.list(tx)
        assert (group.id, group.members) == (GROUP_ID, 3)


def _kind(answer: object) -> str:
    return str(answer) if answer is None or isinstance(answer, bool) else type(answer).__name__
