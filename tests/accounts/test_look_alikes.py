"""User names that look alike do not both get in, and some are nobody's to choose."""

from __future__ import annotations

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from database.models import User as UserRow
from database.transaction import Transaction
from provider.accounts.chosen_names import RESERVED, UnfitName, check_chosen_username
from provider.accounts.login_names import InvalidName, canonical_username
from provider.accounts.look_alikes import look_alike_key, mixes_scripts, skeleton
from provider.accounts.users import NameTaken
from provider.protocol.messages import Origin
from provider.services import Services
from tests.accounts.conftest import AddUser, added
from tests.together import Call, at_once

ALIKE = [
    ("ana", "аna"),  # Cyrillic а
    ("ana", "αna"),  # Greek alpha
    ("ana", "ɑna"),  # Latin alpha
    ("ana", "ａｎａ"),  # full width
    ("ana", "𝐚𝐧𝐚"),  # mathematical
    ("ana", "ⓐⓝⓐ"),  # in circles
    ("admin", "аdmin"),
    ("admin", "admіn"),  # Cyrillic і
    ("admin", "adrnin"),
    ("paypal", "раураl"),
    ("scope", "ѕсоре"),
    ("hat", "НАТ"),  # Cyrillic capitals
    ("bob", "ВОВ"),
    ("max", "МАХ"),
    ("kop", "ΚΟΡ"),  # Greek capitals
    ("zen", "ΖΕΝ"),
    ("root", "r00t"),
    ("root", "rооt"),
    ("lan", "Ian"),  # a capital i
    ("lan", "1an"),
    ("bill", "biII"),
    ("user10", "userlo"),
    ("modern", "rnodern"),
    ("vera", "νera"),  # Greek nu
    ("sid", "ѕid"),
    ("joe", "јoe"),
    ("hello", "һello"),
    ("yes", "уes"),
    ("x1", "хl"),
    ("straße", "strasse"),
    ("ibo", "ıbo"),  # without its dot
    ("øl", "o̸l"),
    ("ian", "lan"),
    ("admin", "АDMIN"),
    ("oo", "օօ"),  # Armenian
    ("hus", "հսs"),
    ("ann", "ａnn"),
    ("김지훈", unicodedata.normalize("NFD", "김지훈")),
    ("지훈", "지훈"),
    ("ᄀ가", "ㄱ가"),
    ("口ロ", "ロ口"),  # Han and Katakana
    ("二力", "ニカ"),
    ("工卜", "エト"),
    ("八千代", "ハ千代"),
    ("ㅋㅋㅋ", "ᄏᄏᄏ"),
]
DIFFERENT = [
    ("ana", "anna"),
    ("ana", "aná"),
    ("ana.kim", "ana_kim"),
    ("ana", "ana2"),
    ("hat", "нат"),  # Cyrillic small letters
    ("김지훈", "김지혼"),
    ("각가", "가까"),  # the same sounds when taken apart
    ("갉가", "갈까"),
    ("이", "l"),
    ("日", "曰"),
    ("지훈", "지훙"),
    ("ωω", "ww"),
    ("cl", "d"),
]


@pytest.mark.parametrize("one, other", ALIKE, ids=ascii)
def test_names_that_look_alike_have_one_key(one: str, other: str) -> None:
    assert look_alike_key(one) == look_alike_key(other)


def test_there_are_forty_pairs_at_least() -> None:
    assert len(ALIKE) >= 40


@pytest.mark.parametrize("one, other", DIFFERENT, ids=ascii)
def test_names_that_can_be_told_apart_are_two(one: str, other: str) -> None:
    assert look_alike_key(one) != look_alike_key(other)


def test_no_two_syllables_of_hangul_look_alike() -> None:
    assert len({skeleton(chr(code)) for code in range(0xAC00, 0xD7A4)}) == 0xD7A4 - 0xAC00


@given(st.text(max_size=12))
def test_the_same_name_always_looks_the_same(text: str) -> None:
    assert skeleton(skeleton(text)) == skeleton(text)
    try:
        canonical = canonical_username(text)
    except InvalidName:
        return
    assert len(look_alike_key(text)) == 64
    assert skeleton(canonical) == skeleton(canonical_username(canonical))


@pytest.mark.parametrize("one, other", [ALIKE[0], ALIKE[11], ALIKE[16], ("김지훈", "김지훈")], ids=ascii)
def test_of_two_users_whose_names_look_alike_the_second_is_refused(add_user: AddUser, one: str, other: str) -> None:
    add_user(one, email="one@example.com", password_hash=None)
    with pytest.raises(NameTaken) as refusal:
        add_user(other, email="other@example.com", password_hash=None)
    assert refusal.value.field == "username"


def test_of_six_that_look_alike_and_come_at_once_one_gets_in(on_server: Services, origin: Origin) -> None:
    names = ["scope", "ѕсоре", "ѕcope", "sсope", "scоpe", "scopе"]

    def make(number: int, name: str) -> Call:
        return lambda tx: on_server.users.create(
            tx, origin, username=name, email=f"u{number}@example.com", password_hash=None
        )

    answers = at_once(on_server.engine, [make(*it) for it in enumerate(names)])
    assert sorted(type(answer).__name__ for answer in answers) == ["NameTaken"] * 5 + ["User"]


def test_names_from_before_are_filled_in_and_two_that_look_alike_both_stay(services: Services, origin: Origin) -> None:
    for number, name in enumerate(("ana", "bob", "cyrus")):
        added(services, origin, name, email=f"u{number}@example.com", password_hash=None)
    with Transaction(services.engine) as tx:
        tx.execute(update(UserRow).values(username_skeleton=None))
        tx.execute(update(UserRow).where(UserRow.username == "bob").values(username="аna", username_canonical="аna"))
    with Transaction(services.engine) as tx:
        assert services.username_skeletons.fill(tx, origin.now, 2) == 2
        assert services.username_skeletons.fill(tx, origin.now, 2) == 1
        assert services.username_skeletons.fill(tx, origin.now, 2) == 0
        found = dict(tx.execute(select(UserRow.username, UserRow.username_skeleton)).all())
    assert found["ana"] == look_alike_key("ana")
    assert found["cyrus"] == look_alike_key("cyrus")
    assert found["аna"] != found["ana"], "the newer one stands in nobody's way"


@pytest.mark.parametrize(
    "name", ["ana", "kim지훈", "李kim", "カナか漢", "지훈", "ана", "1984", "ŝi_2", "지훈2", "नमस्ते", "עִבְרִית"]
)
def test_scripts_that_people_write_together_are_no_mixture(name: str) -> None:
    assert not mixes_scripts(name)
    check_chosen_username(name)


@pytest.mark.parametrize("name", ["anaана", "paураl", "αlpha", "지훈カナ", "ana１٢", "ᎪᏞaΝ"])
def test_a_mixture_that_no_language_writes_is_refused(name: str) -> None:
    with pytest.raises(UnfitName) as refusal:
        check_chosen_username(name)
    assert refusal.value.reason == "mixed"


@pytest.mark.parametrize(
    "name",
    [
        "admin",
        "ADMIN",
        "Ad.Min",
        "ad-min",
        "root",
        "R00T",
        "ROOT",
        "support",
        "관리자",
        "운영_팀",
        "no.reply",
    ],
)
def test_a_name_of_those_who_run_the_service_is_nobodys_to_choose(name: str) -> None:
    with pytest.raises(UnfitName) as refusal:
        check_chosen_username(name)
    assert refusal.value.reason == "reserved"


def test_the_services_own_name_is_reserved_too() -> None:
    check_chosen_username("acme", service_name="MCP Core")
    with pytest.raises(UnfitName):
        check_chosen_username("a.c.m.e", service_name="Acme")


def test_operators_may_give_reserved_names(add_user: AddUser) -> None:
    assert add_user("root", password_hash=None).username == "root"


def test_reserved_names_are_names() -> None:
    for name in RESERVED:
        canonical_username(name)
    assert not [pair for pair in itertools.pairwise(RESERVED) if pair[0] == pair[1]]
