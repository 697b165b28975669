"""Cloud accounts of a person: kept sealed, changed by their owner alone, repaired where something cannot be read."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from database.models import AuditRecord
from database.models import CloudAccount as Row
from database.models import User as UserRow
from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.services import Services
from provider.vault.account import OLD_SECRET_DAYS, CloudAccount
from provider.vault.cloud_accounts import (
    MAX_ACCOUNTS,
    ChangedMeanwhile,
    LabelTaken,
    OwnerNotReady,
    SecretUnreadable,
    TooManyAccounts,
)
from provider.vault.fields import MAX_BYTES, InvalidCloudField
from tests.vault.conftest import connected, mirrored, person
from tests.vault.samples import AWS_KEY_ID, AWS_SECRET, EVERY_WAY, fields_of, keyless_fields, secret_fields

ROWS, USERS, AUDIT = Row.__table__, UserRow.__table__, AuditRecord.__table__


def rows(services: Services) -> list[dict[str, Any]]:
    with services.engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(ROWS)).mappings()]


def replaced(services: Services, origin: Origin, account: CloudAccount, **said: str) -> CloudAccount:
    with Transaction(services.engine) as tx:
        return services.cloud_accounts.replace(tx, origin, account, said)


def again(services: Services, account: CloudAccount) -> CloudAccount:
    with Transaction(services.engine) as tx:
        return services.cloud_accounts.get(tx, account.user_id, account.id)


def events(engine: Engine, action: str) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        found = connection.execute(select(AUDIT).where(AUDIT.c.action == action)).mappings()
        return [dict(row) for row in found]


def problems(services: Services, origin: Origin, user_id: str, **given: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidCloudField) as wrong:
        connected(services, origin, user_id, **given)
    return [(it.name, it.reason) for it in (wrong.value, *wrong.value.also)]


def damage(services: Services, account: CloudAccount, **columns: str | None) -> None:
    with Transaction(services.engine) as tx:
        tx.execute(update(Row).where(ROWS.c.id == account.id).values(**columns))


@pytest.mark.parametrize("provider, mode", EVERY_WAY)
def test_every_cloud_is_connected_and_read(
    services: Services, origin: Origin, ana: str, provider: str, mode: str
) -> None:
    account = connected(services, origin, ana, provider=provider, mode=mode)
    typed, read = fields_of(provider, mode), services.cloud_accounts.opened(account)
    if provider == "gcp" and mode == "secret":
        assert read["service_account_json"].startswith('{"type":"service_account",')
    else:
        assert {name: read[name] for name in typed if name != "config_json"} == {
            name: value for name, value in typed.items() if name != "config_json"
        }
    assert again(services, account) == account
    secrets = [read[field.name] for field in account.fields if field.is_secret and field.name in read]
    assert all(secret not in str(account) + str(account.shown()) + str(rows(services)) for secret in secrets)
    assert (account.secrets_changed_at is None) == (not secrets)


def test_what_is_sealed_is_not_shown(services: Services, origin: Origin, ana: str) -> None:
    account = connected(services, origin, ana)
    assert account.shown() == {"region": "eu-central-1", "account_id": "123456789012"}
    assert AWS_KEY_ID not in str(rows(services))


def test_all_wrong_fields_are_named_in_their_order(services: Services, origin: Origin, ana: str) -> None:
    found = problems(
        services, origin, ana, access_key_id="AKIA", secret_access_key=" ", region="middle earth", b="", a=""
    )
    assert found == [
        ("access_key_id", "form"),
        ("secret_access_key", "missing"),
        ("region", "form"),
        ("a", "unknown"),
        ("b", "unknown"),
    ]
    assert rows(services) == []


@pytest.mark.parametrize(
    "text, reason",
    [("x" * (MAX_BYTES + 1), "too_long"), ("가" * 6_000, "too_long"), ("\ud800", "form"), ("a\0b", "form")],
)
def test_text_that_no_database_takes_is_refused(
    services: Services, origin: Origin, ana: str, text: str, reason: str
) -> None:
    assert problems(services, origin, ana, provider="other", secret_key=text) == [("secret_key", reason)]


def test_the_longest_secrets_fit(services: Services, origin: Origin, ana: str) -> None:
    longest = "가" * (MAX_BYTES // 3)
    account = connected(services, origin, ana, provider="other", secret_key=longest, access_key=longest)
    assert services.cloud_accounts.opened(again(services, account))["secret_key"] == longest


@pytest.mark.parametrize("provider, mode", [("ibm", "keyless"), ("nimbus", "secret"), ("", "secret")])
def test_what_cannot_be_connected(services: Services, origin: Origin, ana: str, provider: str, mode: Any) -> None:
    with Transaction(services.engine) as tx, pytest.raises(InvalidCloudField, match="provider: unknown"):
        services.cloud_accounts.connect(tx, origin, ana, label="work", provider=provider, mode=mode, said={})


@pytest.mark.parametrize("label", ["a", "work", "0", "my-second-cloud", "a" * 63])
def test_a_label(services: Services, origin: Origin, ana: str, label: str) -> None:
    assert connected(services, origin, ana, label).label == label


@pytest.mark.parametrize(
    "label", ["", "-a", "a-", "Work", "a b", "a_b", "a:b", "a*", "a?", "a/b", "a\n", "일", "１", "a" * 64, "${x}", "\0"]
)
def test_no_label(services: Services, origin: Origin, ana: str, label: str) -> None:
    assert problems(services, origin, ana, label=label) == [("label", "form")]


def test_a_label_is_a_persons_own(services: Services, origin: Origin, ana: str) -> None:
    bora = person(services, origin, "bora")
    hers = connected(services, origin, ana)
    with pytest.raises(LabelTaken):
        connected(services, origin, ana, provider="ibm")
    his = connected(services, origin, bora)
    with Transaction(services.engine) as tx:
        assert services.cloud_accounts.find(tx, ana, his.id) is None
        with pytest.raises(LookupError):
            services.cloud_accounts.get(tx, bora, hers.id)
        assert [it.id for it in services.cloud_accounts.list(tx, ana)] == [hers.id]


def test_a_person_has_so_many(services: Services, origin: Origin, ana: str) -> None:
    for number in range(MAX_ACCOUNTS):
        connected(services, origin, ana, f"n{number}", "ibm")
    with pytest.raises(TooManyAccounts):
        connected(services, origin, ana, "more", "ibm")
    connected(services, origin, person(services, origin, "bora"), "more", "ibm")


@pytest.mark.parametrize(
    "state",
    [
        {"is_active": False},
        {"is_active": False, "closed_at": datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)},
        {"confirm_by": datetime.datetime(2026, 7, 8, tzinfo=datetime.UTC)},
    ],
)
def test_nothing_is_kept_for_who_is_not_there(
    services: Services, origin: Origin, ana: str, state: dict[str, Any]
) -> None:
    account = connected(services, origin, ana)
    with Transaction(services.engine) as tx:
        tx.execute(update(UserRow).where(USERS.c.id == ana).values(**state))
    with pytest.raises(OwnerNotReady):
        connected(services, origin, ana, "second")
    with pytest.raises(OwnerNotReady):
        replaced(services, origin, account, region="us-east-1")
    with Transaction(services.engine) as tx, pytest.raises(OwnerNotReady):
        services.cloud_accounts.make_primary(tx, origin, account)
    with pytest.raises(OwnerNotReady):
        connected(services, origin, "nobody")
    with Transaction(services.engine) as tx:
        assert services.cloud_accounts.remove(tx, origin, account, actor="cli:root"), (
            "an operator can always take it away"
        )


def test_a_secret_that_is_left_empty_stays(services: Services, origin: Origin, ana: str) -> None:
    account = connected(services, origin, ana)
    later = dataclasses.replace(origin, now=origin.now + datetime.timedelta(days=OLD_SECRET_DAYS, hours=3))
    changed = replaced(services, later, account, access_key_id="", secret_access_key=" ", region="")
    assert services.cloud_accounts.opened(changed) == {"access_key_id": AWS_KEY_ID, "secret_access_key": AWS_SECRET}
    assert (changed.version, changed.secrets_changed_at) == (2, origin.now)
    assert (changed.secret_age_days(later.now), changed.is_secret_old(later.now)) == (OLD_SECRET_DAYS, True)
    renewed = replaced(services, later, changed, secret_access_key="n" * 40)
    assert services.cloud_accounts.opened(renewed)["secret_access_key"] == "n" * 40
    assert (renewed.secret_age_days(later.now), renewed.is_secret_old(later.now)) == (0, False)
    assert renewed.secret_age_days(origin.now) == 0, "clocks of two servers differ"


def test_what_has_no_secret_has_no_age(services: Services, origin: Origin, ana: str) -> None:
    account = connected(services, origin, ana, mode="keyless")
    assert (account.secret_age_days(origin.now), account.is_secret_old(origin.now)) == (None, False)
    assert replaced(services, origin, account, **keyless_fields("aws")).secrets_changed_at is None


AIMS = [
    ("aws", "secret", "access_key_id", "AKIA" + "B" * 16, ["secret_access_key"]),
    ("azure", "secret", "tenant_id", "0" * 8 + "-0000-0000-0000-" + "0" * 12, ["client_secret"]),
    ("azure", "secret", "client_id", "0" * 8 + "-0000-0000-0000-" + "0" * 12, ["client_secret"]),
    ("alibaba", "secret", "access_key_id", "LTAI" + "B" * 16, ["access_key_secret"]),
    ("oracle", "secret", "user_ocid", "ocid1.user.oc1.." + "c" * 60, ["private_key"]),
    ("oracle", "secret", "tenancy_ocid", "ocid1.tenancy.oc1.." + "c" * 60, ["private_key"]),
    ("oracle", "keyless", "domain_url", "https://evil.example", ["client_secret"]),
    ("oracle", "keyless", "endpoint", "https://evil.example", ["client_secret"]),
    ("oracle", "keyless", "client_id", "e" * 32, ["client_secret"]),
    ("other", "secret", "endpoint", "https://evil.example", ["secret_key", "config_json"]),
    ("other", "secret", "access_key", "eve", ["secret_key", "config_json"]),
]


@pytest.mark.parametrize("provider, mode, field, value, secrets", AIMS)
def test_a_kept_secret_does_not_go_elsewhere(
    services: Services, origin: Origin, ana: str, provider: str, mode: str, field: str, value: str, secrets: list[str]
) -> None:
    """Whoever is in somebody's account could otherwise have its secrets sent to a server of theirs."""
    account, typed = connected(services, origin, ana, provider=provider, mode=mode), fields_of(provider, mode)
    moved = {**typed, field: value, **dict.fromkeys(secrets, "")}
    with pytest.raises(InvalidCloudField) as wrong:
        replaced(services, origin, account, **moved)
    assert [(it.name, it.reason) for it in (wrong.value, *wrong.value.also)] == [(name, "again") for name in secrets]
    assert again(services, account) == account
    if provider != "oracle" or mode != "secret":
        assert (
            services.cloud_accounts.opened(replaced(services, origin, account, **{**typed, field: value}))[field]
            == value
        )


def test_a_region_or_an_account_is_changed_without_the_secret(services: Services, origin: Origin, ana: str) -> None:
    account = connected(services, origin, ana)
    changed = replaced(services, origin, account, region="us-east-1", account_id="210987654321")
    assert changed.shown() == {"region": "us-east-1", "account_id": "210987654321"}


def test_what_follows_from_fields_follows_them(services: Services, origin: Origin, ana: str) -> None:
    account = connected(services, origin, ana, mode="keyless")
    assert account.account_id == "123456789012"
    changed = replaced(services, origin, account, role_arn="arn:aws:iam::210987654321:role/other")
    assert (changed.account_id, changed.shown()["account_id"]) == ("210987654321", "210987654321")
    with pytest.raises(InvalidCloudField, match="account_id: unknown"):
        replaced(services, origin, changed, **keyless_fields("aws"), account_id="123456789012")


def test_two_windows(services: Services, origin: Origin, ana: str) -> None:
    account = connected(services, origin, ana)
    changed = replaced(services, origin, account, region="us-east-1")
    with pytest.raises(ChangedMeanwhile):
        replaced(services, origin, account, region="us-west-2")
    with Transaction(services.engine) as tx, pytest.raises(ChangedMeanwhile):
        services.cloud_accounts.replace(tx, origin, changed, {"region": "us-west-2"}, seen=account.version)
    with Transaction(services.engine) as tx, pytest.raises(ChangedMeanwhile):
        services.cloud_accounts.make_primary(tx, origin, account)
    with Transaction(services.engine) as tx:
        services.cloud_accounts.replace(tx, origin, changed, {"region": "us-west-2"}, seen=changed.version)
    latest = again(services, account)
    assert latest.region == "us-west-2"
    with Transaction(services.engine) as tx:
        assert services.cloud_accounts.remove(tx, origin, account), "what is removed need not be known as it is"
        assert not services.cloud_accounts.remove(tx, origin, account)
    with pytest.raises(ChangedMeanwhile):
        replaced(services, origin, latest, region="us-west-2")


MOVES = {
    "cut": lambda first, _: {"secret_key_encrypted": first["secret_key_encrypted"][:-8]},
    "changed": lambda first, _: {"secret_key_encrypted": first["secret_key_encrypted"][:-1] + "!"},
    "empty": lambda *_: {"secret_key_encrypted": ""},
    "in clear": lambda *_: {"secret_key_encrypted": AWS_SECRET},
    "from another account": lambda _, second: {"secret_key_encrypted": second["secret_key_encrypted"]},
    "from another column": lambda first, _: {"secret_key_encrypted": first["access_key_encrypted"]},
    "of another version": lambda *_: {"version": 2},
}


@pytest.mark.parametrize("move", MOVES)
def test_what_was_damaged_is_refused_recorded_and_repaired(
    services: Services, origin: Origin, ana: str, move: str
) -> None:
    account, other = connected(services, origin, ana), connected(services, origin, ana, "other")
    by_id = {row["id"]: row for row in rows(services)}
    damage(services, account, **MOVES[move](by_id[account.id], by_id[other.id]))
    damaged = again(services, account)
    with pytest.raises(SecretUnreadable, match="secret_access_key") as unreadable:
        services.cloud_accounts.opened(damaged)
    assert "secret_access_key" in unreadable.value.names
    assert AWS_SECRET not in str(unreadable.value)
    with Transaction(services.engine) as tx:
        with pytest.raises(SecretUnreadable):
            services.cloud_accounts.read(tx, origin, damaged)
        assert services.cloud_accounts.read(tx, origin, other)["secret_access_key"] == AWS_SECRET
    recorded = events(services.engine, "decryption.failed")
    assert len(recorded) == len(unreadable.value.names)
    for record in recorded:
        assert (record["user_id"], record["resource_id"], record["outcome"]) == (ana, account.id, "failed")
    assert "secret_key_encrypted" in {record["metadata"]["column"] for record in recorded}
    with pytest.raises(InvalidCloudField, match="secret_access_key: missing"):
        replaced(services, origin, damaged, access_key_id=AWS_KEY_ID)
    repaired = replaced(services, origin, damaged, **secret_fields("aws"))
    assert services.cloud_accounts.opened(repaired)["secret_access_key"] == AWS_SECRET
    assert len(events(services.engine, "decryption.failed")) == len(recorded), "once an hour for each"


def test_a_damaged_secret_beside_one_that_opens_gives_nothing(services: Services, origin: Origin, ana: str) -> None:
    account = connected(services, origin, ana, provider="other")
    damage(services, account, config_json_encrypted="v1.test.a.b")
    with Transaction(services.engine) as tx, pytest.raises(SecretUnreadable):
        services.cloud_accounts.read(tx, origin, again(services, account))


def test_changes_are_recorded_without_secrets(services: Services, origin: Origin, ana: str) -> None:
    first, second = connected(services, origin, ana), connected(services, origin, ana, "home", "ibm")
    with Transaction(services.engine) as tx:
        services.cloud_accounts.replace(tx, origin, first, {"secret_access_key": "n" * 40}, actor="cli:root")
        services.cloud_accounts.make_primary(tx, origin, second, actor="cli:root")
        services.cloud_accounts.remove(tx, origin, second, actor="cli:root")
    found = [
        (record["action"], record["metadata"]["label"], record["actor"])
        for name in ("connected", "changed", "made_primary", "removed")
        for record in events(services.engine, f"cloud.{name}")
    ]
    assert sorted(found, key=str) == [
        ("cloud.changed", "work", "cli:root"),
        ("cloud.connected", "home", None),
        ("cloud.connected", "work", None),
        ("cloud.made_primary", "home", "cli:root"),
        ("cloud.made_primary", "work", "cli:root"),
        ("cloud.removed", "home", "cli:root"),
    ]
    with services.engine.connect() as connection:
        written = str(connection.execute(select(AUDIT)).all())
    assert not any(secret in written for secret in (AWS_KEY_ID, AWS_SECRET, "n" * 40, "i" * 44))


def test_a_list_is_searched_by_label(services: Services, origin: Origin, ana: str) -> None:
    for label in ("work", "workshop", "home"):
        connected(services, origin, ana, label, "ibm")
    connected(services, origin, person(services, origin, "bora"), "work", "ibm")

    def labels(search: str) -> list[str]:
        listed = services.cloud_accounts.listed(ana, search)
        with Session(services.engine) as session:
            return [listed.parse(entity).label for entity in session.scalars(listed.statement)]

    assert labels("") == ["home", "work", "workshop"]
    assert labels("WORK") == ["work", "workshop"]
    assert labels("%") == labels("_") == []


def test_the_primary_account_is_followed(services: Services, origin: Origin, ana: str) -> None:
    first = connected(services, origin, ana)
    second = connected(services, origin, ana, "second", region="us-east-1")
    third = connected(services, origin, ana, "third", region="us-west-2")
    assert (first.is_primary, second.is_primary, third.is_primary) == (True, False, False)
    with Transaction(services.engine) as tx:
        services.cloud_accounts.make_primary(tx, origin, third)
        assert services.cloud_accounts.remove(tx, origin, second), "another one stays the primary one"
    assert mirrored(services, ana)["cloud_region"] == "us-west-2"
    with Transaction(services.engine) as tx:
        services.cloud_accounts.remove(tx, origin, third)
    assert again(services, first).is_primary
    assert mirrored(services, ana)["cloud_region"] == "eu-central-1"
    with Transaction(services.engine) as tx:
        services.cloud_accounts.remove(tx, origin, first)
    assert mirrored(services, ana) == {}
    assert connected(services, origin, ana).is_primary


def test_one_that_cannot_be_read_is_never_the_primary_one(services: Services, origin: Origin, ana: str) -> None:
    first, second = connected(services, origin, ana), connected(services, origin, ana, "second")
    third = connected(services, origin, ana, "third", region="us-west-2")
    damage(services, second, access_key_encrypted="v1.test.a.b")
    with Transaction(services.engine) as tx:
        with pytest.raises(SecretUnreadable):
            services.cloud_accounts.make_primary(tx, origin, again(services, second))
        assert services.cloud_accounts.remove(tx, origin, first)
    assert mirrored(services, ana)["cloud_region"] == "us-west-2"
    with Transaction(services.engine) as tx:
        services.cloud_accounts.remove(tx, origin, third)
    assert mirrored(services, ana) == {}
    assert not again(services, second).is_primary
    assert connected(services, origin, ana, "fourth").is_primary, "the next one that can be read"
