"""Names of any script and addresses of any domain, each in the one form that is compared."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from database.models import User as UserRow
from database.transaction import Transaction
from provider.accounts.login_names import (
    InvalidName,
    canonical_email,
    canonical_username,
    is_address,
    login_forms,
    written_email,
    written_username,
)
from provider.accounts.users import NameTaken
from provider.services import Services
from tests.accounts.conftest import AddUser

NAMES = [
    "Bo",
    "지훈",
    "李",
    "솔",
    "김지훈",
    "สมชาย",
    "หญิง",
    "น้ำ",
    "हिन्दी",
    "தமிழ்",
    "বাংলা",
    "ශ්\u200dරී",
    "မြွှို့တော်",
    "שָׁלוֹם",
    "محمد",
    "می\u200cخواهم",
    "İstanbul",
    "José",
    "Nguyễn",
    "Ελένη",
    "Мария",
    "さくら",
    "ローランド",
    "葛\U000e0100城",
    "ᏣᎳᎩ",
    "ⴰⵎⴰⵣⵉⵖ",
    "ㅋㅋㅋ",
    "ana-1.b_c",
    "_ana_",
    "١٢٣",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_any_script_is_a_user_name_in_one_form(name: str) -> None:
    canonical = canonical_username(name)
    assert canonical_username(canonical) == canonical
    for spelling in (name.upper(), unicodedata.normalize("NFD", name), f"\u202a{name}\u202c ", f"\ufeff{name}\r\n"):
        if "İ" not in name:  # its capital and its small letter are no pair but in Turkish
            assert canonical_username(spelling) == canonical


def test_a_round_trip_through_the_database_changes_no_name(
    services: Services, add_user: AddUser, tx: Transaction
) -> None:
    for number, name in enumerate(NAMES):
        made = add_user(name, email=f"{number}@example.com", password_hash=None)
        assert made.username == unicodedata.normalize("NFC", name)
        assert services.users.find_by_login(tx, name) == made
        assert services.users.find_by_login(tx, canonical_username(name)) == made
        tx.rollback()


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "é",
        "ก",
        "あ",
        "_",
        "1",
        "\u0301\u0301\u0301",
        "\u0301ana",
        "ana.\u0301",
        "1\u0301",
        "a" + "\u0335" * 7 + "b",
        "ana\u0489",  # an enclosing mark
        "a b",
        "👩\u200d💻",
        "☂☂",
        "a℀b",  # what it stands for has a slash in it
        "ﷺ",  # and this one blanks
        "ana＠example.com",
        "ana﹫example.com",
        "ana＠",
        "－ana",
        "ana．",
        "ana\u0378",  # no letter, in no version of Unicode so far
        "a" * 65,
        "ß" * 33,
        "각" * 65,
        "ﬃ" * 22,
    ],
    ids=ascii,
)
def test_what_is_no_name_in_its_canonical_form_is_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        canonical_username(name)


SAME_NAMES = [
    ("葛城", "葛\U000e0100城"),
    ("ana", "a\ufe0fna"),
    ("ශ්රී", "ශ්\u200dරී"),
    ("میخواهم", "می\u200cخواهم"),
    ("ㅋㅋㅋ", "ᄏᄏᄏ"),
    ("하나", "ㅎㅏ나"),
    ("ガク", "ｶﾞｸ"),
    ("ana", "𝓪𝓷𝓪"),
    ("ᾳᾳ", "ΑΙΑΙ"),
    ("ΐΐ", "Ϊ\u0301Ϊ\u0301"),
]


@pytest.mark.parametrize("one, other", SAME_NAMES, ids=ascii)
def test_what_only_changes_how_letters_are_drawn_makes_no_other_name(one: str, other: str) -> None:
    assert canonical_username(one) == canonical_username(other)


def test_another_spelling_of_a_name_makes_no_second_account(add_user: AddUser) -> None:
    for one, other in SAME_NAMES[:1] + SAME_NAMES[4:6]:
        add_user(one, email=f"{one}@example.com", password_hash=None)
        with pytest.raises(NameTaken):
            add_user(other, email="other@example.com", password_hash=None)


@pytest.mark.parametrize("name", ["지훈", "हिन्दी", "ana"])
def test_a_grapheme_joiner_is_part_of_no_name(name: str) -> None:
    with pytest.raises(InvalidName):
        canonical_username(f"{name[0]}\u034f{name[1:]}")


def test_a_name_is_shown_as_it_was_typed_and_compared_as_it_is_meant(add_user: AddUser) -> None:
    assert add_user("ㅋㅋㅋ", password_hash=None).username == "ㅋㅋㅋ"
    assert (written_username("ＡＮＡ"), written_username("น้ำ")) == ("ANA", "น้ำ")
    assert canonical_username("ㅋㅋㅋ") == "ᄏᄏᄏ"
    long = "ﾎ\uff9e" * 40  # composed it has half as many letters
    assert written_username(long) == "ボ" * 40


_FIRST_RULE = re.compile(r"\w[\w.-]{1,62}\w")


def first_canonical_username(text: str) -> str | None:
    """What the first version kept of a name, None for what it refused: accounts of that time go on signing in."""
    name = unicodedata.normalize("NFKC", text).strip().casefold()
    is_allowed = _FIRST_RULE.fullmatch(name) and name.isprintable() and not set("\u115f\u1160\u3164\uffa0") & set(name)
    return name if is_allowed else None


def test_every_letter_that_the_first_rule_admitted_has_the_same_form_now() -> None:
    step = 23  # other letters in each of three places
    assert canonical_username("\u037aaa") == first_canonical_username("\u037aaa") == "ιaa"  # a blank and a mark to NFKC
    for code in range(0, sys.maxunicode - step, step):
        for text in (f"a{chr(code)}a", f"{chr(code + 1)}aa", f"가{chr(code + 2)}\u1161"):
            first = first_canonical_username(text)
            assert first is None or canonical_username(text) == first


@given(st.text(st.characters(categories=["L", "N"]), max_size=8))
def test_every_name_that_the_first_rule_admitted_has_the_same_form_now(text: str) -> None:
    first = first_canonical_username(text)
    assert first is None or (canonical_username(text), canonical_username(first)) == (first, first)


SAME_ADDRESSES = [
    ("kim@한국.kr", "kim@xn--3e0b707e.kr"),
    ("kim@한국.kr", "KIM@XN--3E0B707E.KR"),
    ("kim@한국.kr", unicodedata.normalize("NFD", "kim@한국.kr")),
    ("kim@한국。kr", "kim@한국．kr"),
    ("kim@한국.한국", "kim@xn--3e0b707e.xn--3e0b707e"),
    ("ana@straße.de", "ana@xn--strae-oqa.de"),
    ("ana@Bücher.example", "ana@xn--bcher-kva.example"),
    ("ana@例え.テスト", "ana@xn--r8jz45g.xn--zckzah"),
    ("ana@example.com", "ana＠example.com"),
    ("ana@example.com", "ａｎａ＠ｅｘａｍｐｌｅ．ｃｏｍ"),
    ("ana@example.com", "ana@example｡com"),
    ("ana@example.com", "ana@example.com."),
    ("ana@example.com", "\u202aana@example.com\u202c"),
    ("ana@example.com", "\ufeffana@example.com\r\n"),
    ("김지훈@example.com", unicodedata.normalize("NFD", "김지훈@example.com")),
]


@pytest.mark.parametrize("one, other", SAME_ADDRESSES, ids=ascii)
def test_an_address_has_one_form_in_whatever_script_its_domain_is_written(one: str, other: str) -> None:
    assert canonical_email(one) == canonical_email(other) == canonical_email(canonical_email(one))


def test_either_spelling_of_an_address_finds_its_one_account(
    services: Services, add_user: AddUser, tx: Transaction
) -> None:
    made = {
        address: add_user(f"u{address[:3]}", email=address, password_hash=None) for address, _ in SAME_ADDRESSES[:1]
    }
    made["ana@straße.de"] = add_user("strasse", email="ana@straße.de", password_hash=None)
    for one, other in SAME_ADDRESSES:
        if one in made:
            assert services.users.find_by_login(tx, one) == services.users.find_by_login(tx, other) == made[one]
            tx.rollback()
            with pytest.raises(NameTaken) as refusal:
                add_user("other", email=other, password_hash=None)
            assert refusal.value.field == "email"


def test_domains_that_only_older_rules_took_for_the_same_are_two(
    services: Services, add_user: AddUser, tx: Transaction
) -> None:
    kept = add_user("one", email="ana@strasse.de", password_hash=None)
    assert services.users.find_by_login(tx, "ana@straße.de") is None, "an account of another domain is never meant"
    tx.rollback()
    added = add_user("other", email="ana@straße.de", password_hash=None)
    assert services.users.find_by_login(tx, "ana@straße.de") == added
    assert services.users.find_by_login(tx, "ana@strasse.de") == kept


@pytest.mark.parametrize(
    "address",
    [
        "ana@xn--zzzz--.kr",  # no domain at all
        "ana@xn--.kr",
        "ana@i❤.ws",
        "ana@-한국.kr",
        "ana@\u0301a.kr",
        "ana@a_한국.kr",
        "ana@a\u200db.kr",
        "ana@" + "각" * 60 + ".kr",  # 63 bytes are the most of a label
        "ana@" + "a" * 64 + ".kr",
        "각" * 22 + "@example.com",  # 64 bytes are the most before the sign
        "a@" + ".".join(["b" * 63] * 4) + ".kr",
        "a@" + ".".join(["각" * 20] * 12),
        "ana@exa/mple.com",
        "ana@[127.0.0.1]",
        "ana@example.com..",
        "a¨b@example.com",  # a blank, once it is composed
        "an\u2060a@example.com",
        "\ud800@example.com",
        "ana@\udc80.com",
    ],
    ids=ascii,
)
def test_an_address_that_no_mail_could_reach_is_refused(address: str) -> None:
    with pytest.raises(InvalidName) as refusal:
        canonical_email(address)
    assert refusal.value.field == "email"


@pytest.mark.parametrize(
    "kept, typed",
    [
        ("kim@xn--3e0b707e.kr", "kim@한국.kr"),
        ("kim@xn--3e0b707e.kr", "Kim@xn--3E0B707E.kr"),
        ("ana@strasse.de", "ana@straße.de"),
        ("ana@i❤.ws", "Ana@i❤.ws"),
        ("각" * 64 + "@example.com", "각" * 64 + "@example.com"),
    ],
    ids=ascii,
)
def test_accounts_of_the_first_rule_sign_in_and_keep_their_address(
    services: Services, add_user: AddUser, tx: Transaction, kept: str, typed: str
) -> None:
    """``kept`` is what that rule stored of the address ``typed``, or of another spelling of it."""
    made = add_user("first", password_hash=None)
    written_then = kept if kept.startswith("kim") else typed
    tx.execute(update(UserRow).values(email=written_then, email_canonical=kept))
    found = services.users.find_by_login(tx, typed)
    assert found is not None
    assert found.id == made.id


@pytest.mark.parametrize("text", ["ana＠example.com", "ana@example.com", "﹫", "@"])
def test_an_address_in_disguise_is_no_user_name(text: str) -> None:
    assert is_address(text)
    with pytest.raises(InvalidName):
        canonical_username(text)


@given(st.text(max_size=12), st.text(max_size=12))
def test_an_address_is_found_under_its_own_canonical_form(local_part: str, domain: str) -> None:
    for address in (f"{local_part}@example.com", f"ana@{domain}.com", f"{local_part}@{domain}.kr"):
        try:
            canonical = canonical_email(address)
        except InvalidName:
            continue
        assert canonical_email(canonical) == canonical == login_forms(written_email(address))[0]
        assert len(canonical.encode()) <= 254
