"""Recovery codes: ten, stored with the password hash, each good once."""

from __future__ import annotations

import math
import re

import argon2
import pytest
from sqlalchemy import Engine, select

from database.models import RecoveryCode
from database.transaction import Transaction
from provider.accounts.shown_once import RECOVERY_ALPHABET, RECOVERY_CHARACTERS
from provider.accounts.users import User
from provider.protocol.messages import Origin
from provider.services import Services
from tests.accounts.conftest import AddUser, Events

TABLE = RecoveryCode.__table__


@pytest.fixture
def codes(services: Services, engine: Engine, origin: Origin, ana: User) -> list[str]:
    with Transaction(engine) as tx:
        return services.recovery_codes.generate(tx, origin, ana.id)


def test_there_are_ten_different_codes_of_64_bits_or_more(codes: list[str]) -> None:
    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"[a-z2-9]{7}-[a-z2-9]{7}", code) for code in codes)
    assert math.log2(len(set(RECOVERY_ALPHABET))) * RECOVERY_CHARACTERS > 64
    assert not set("il10o") & set(RECOVERY_ALPHABET), "nothing that is misread"


def test_only_hashes_are_stored(engine: Engine, codes: list[str]) -> None:
    with engine.connect() as connection:
        hashes = connection.execute(select(TABLE.c.code_hash)).scalars().all()
    assert len(hashes) == 10
    assert all(argon2.extract_parameters(value).type is argon2.Type.ID for value in hashes)
    stored = " ".join(hashes)
    assert not [code for code in codes if code in stored or code.replace("-", "") in stored]


def test_a_code_works_once(
    services: Services, engine: Engine, origin: Origin, ana: User, codes: list[str], events: Events
) -> None:
    with Transaction(engine) as tx:
        assert services.recovery_codes.use(tx, origin, ana.id, codes[0]) == 9
    with Transaction(engine) as tx:
        assert services.recovery_codes.use(tx, origin, ana.id, codes[0]) is None
        assert services.recovery_codes.count(tx, ana.id) == 9
        assert services.recovery_codes.use(tx, origin, ana.id, codes[9]) == 8
    assert sorted(row["metadata"]["left"] for row in events("recovery_codes.used")) == [8, 9]
    assert not [row for row in events() if codes[0] in str(row)]


def test_the_last_code_leaves_none(
    services: Services, tx: Transaction, origin: Origin, ana: User, codes: list[str]
) -> None:
    assert [services.recovery_codes.use(tx, origin, ana.id, code) for code in codes] == [*range(9, -1, -1)]
    assert services.recovery_codes.count(tx, ana.id) == 0


@pytest.mark.parametrize(
    "written",
    [
        str.upper,
        lambda code: code.replace("-", ""),
        lambda code: f" {code} ",
        "\t".join,
        "\u00a0".join,
        lambda code: code.replace("-", "\u2013"),
        lambda code: "".join(letter if letter == "-" else chr(ord(letter) + 0xFEE0) for letter in code),
        lambda code: f"\ufeff{code}\r\n",
    ],
)
def test_case_width_blanks_and_dashes_do_not_matter(
    services: Services, tx: Transaction, origin: Origin, ana: User, codes: list[str], written: object
) -> None:
    assert services.recovery_codes.use(tx, origin, ana.id, written(codes[0])) == 9  # type: ignore[operator]


@pytest.mark.parametrize(
    "code", ["", "aaaaaaa-aaaaaaa", "aaaaaaa-aaaaaa", "000000", "ａａａａａａａ-ａａａａａａａ", "%", "x" * 10_000]
)
def test_a_wrong_code_uses_nothing_up(
    services: Services, tx: Transaction, origin: Origin, ana: User, codes: list[str], code: str
) -> None:
    assert services.recovery_codes.use(tx, origin, ana.id, code) is None
    assert services.recovery_codes.count(tx, ana.id) == 10


def test_another_persons_code_is_wrong(
    services: Services, tx: Transaction, origin: Origin, codes: list[str], add_user: AddUser
) -> None:
    bora = add_user("bora")
    assert services.recovery_codes.use(tx, origin, bora.id, codes[0]) is None


def test_a_new_set_ends_the_old_one(
    services: Services, engine: Engine, origin: Origin, ana: User, codes: list[str], events: Events
) -> None:
    with Transaction(engine) as tx:
        fresh = services.recovery_codes.generate(tx, origin, ana.id)
    assert not set(fresh) & set(codes)
    with Transaction(engine) as tx:
        assert services.recovery_codes.use(tx, origin, ana.id, codes[0]) is None
        assert services.recovery_codes.count(tx, ana.id) == 10
        assert services.recovery_codes.use(tx, origin, ana.id, fresh[0]) == 9
    assert len(events("recovery_codes.made")) == 2


def test_forgotten_codes_are_gone(
    services: Services, tx: Transaction, origin: Origin, ana: User, codes: list[str]
) -> None:
    services.recovery_codes.forget(tx, ana.id)
    assert services.recovery_codes.count(tx, ana.id) == 0
    assert services.recovery_codes.use(tx, origin, ana.id, codes[0]) is None
