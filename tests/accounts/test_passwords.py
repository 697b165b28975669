"""Passwords: what may be set, what is stored, and that the work tells nothing (NIST SP 800-63B §3.1.1)."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import argon2
import pytest
from sqlalchemy import Engine

from provider.security import places
from provider.security.crypto import Keyring
from provider.services import Services
from provider.settings import SettingsError, load_settings
from provider.sign_in import hashing
from provider.sign_in.common_passwords import COMMON_PASSWORDS, keyboard_spelling
from provider.sign_in.hashing import HashingBusy
from provider.sign_in.passwords import MAX_CHARACTERS, Passwords, WeakPassword, hash_of_nobody
from tests.accounts.conftest import quick_passwords
from tests.hashing import every_thread_hashing

UNGUESSABLE = "".join(hashlib.sha512(bytes([number])).hexdigest() for number in range(3))
HANGUL = "우산없는고양이가크게웃는다정말로그렇다"


class CountingHasher(argon2.PasswordHasher):
    """The real hasher, which notes what it is asked and how many are in it at once."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=64, parallelism=1)
        self.verified: list[str | bytes] = []
        self.passwords: list[str | bytes] = []
        self.inside = self.most = 0
        self._lock = threading.Lock()

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - the name of argon2
        self.verified.append(hash)
        self.passwords.append(password)
        return super().verify(hash, password)

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        try:
            time.sleep(0.01)
            return super().hash(password, salt=salt)
        finally:
            with self._lock:
                self.inside -= 1


def counted(passwords: Passwords) -> CountingHasher:
    hasher = CountingHasher()
    passwords._hasher = hasher
    return hasher


def reason_against(password: str, **about: object) -> str | None:
    try:
        quick_passwords().check_strength(password, **about)  # type: ignore[arg-type]
    except WeakPassword as weakness:
        return weakness.reason
    return None


@pytest.mark.parametrize(
    "length, second_factor, reason",
    [
        (14, False, "too_short"),
        (15, False, None),
        (7, True, "too_short"),
        (8, True, None),
        (64, False, None),
        (256, False, None),
        (257, False, "too_long"),
        (257, True, "too_long"),
        (0, True, "too_short"),
    ],
)
def test_a_password_is_as_long_as_its_use_demands(length: int, second_factor: bool, reason: str | None) -> None:
    assert reason_against(UNGUESSABLE[:length], second_factor_required=second_factor) == reason


def test_length_counts_characters_as_people_see_them() -> None:
    assert reason_against(unicodedata.normalize("NFD", HANGUL[:14])) == "too_short"
    assert reason_against(unicodedata.normalize("NFD", HANGUL[:15])) is None


@pytest.mark.parametrize(
    "password",
    [
        "plum kettle orbit sail",
        "  two blanks at each end  ",
        "우산 없는 고양이가 크게 웃는다",
        "зонтик кошка без улыбки",
        "🦆🚲☂🐈🪁🥁🧊🪴🛶🪵🧅🪗🥊🪡🧯",
        "onlylowercaselettersfromfarapart",
        UNGUESSABLE[:64].replace("a", " "),
    ],
)
def test_any_characters_will_do(password: str) -> None:
    assert reason_against(password) is None


@pytest.mark.parametrize(
    "password",
    [
        "passwordpassword",
        "Password12345678",
        "qwertyuiopasdfgh",
        "aaaaaaaaaaaaaaaaaaaa",
        "1234567890123456",
        "correct horse battery staple",
        "CorrectHorseBatteryStaple",
        "ChangemeChangeme",
        "MCP-CoreMCP-Core",
        "ＭＣＰ－ＣｏｒｅＭＣＰ－Ｃｏｒｅ",
        "modelcontextprotocol",
        "비밀번호비밀번호비밀번호비밀번호",
        "안녕하세요안녕하세요안녕하세요",
        "동해물과백두산이마르고닳도록동해물과백두산이마르고닳도록",
        unicodedata.normalize("NFD", "사랑합니다사랑합니다사랑합니다"),
        keyboard_spelling("비밀번호비밀번호"),
        keyboard_spelling("안녕하세요비밀번호"),
        keyboard_spelling("대한민국") + keyboard_spelling("대한민국"),
        keyboard_spelling("동해물과백두산이").upper(),
    ],
)
def test_common_passwords_are_refused(password: str) -> None:
    assert reason_against(password) == "common"


@pytest.mark.parametrize("word", [word for word in COMMON_PASSWORDS if len(word) >= 8])
def test_every_listed_word_is_refused_in_both_spellings(word: str) -> None:
    assert reason_against(word, second_factor_required=True) == "common"
    assert reason_against(keyboard_spelling(word), second_factor_required=True) == "common"


@pytest.mark.parametrize(
    "hangul, typed",
    [
        ("비밀번호", "qlalfqjsgh"),
        ("안녕하세요", "dkssudgktpdy"),
        ("대한민국", "eogksalsrnr"),
        ("동해물과백두산이", "ehdgoanfrhkqorentksdl"),
        ("닳도록", "ekfgehfhr"),
        ("꿔줘", "rnjwnj"),
        ("password", "password"),
    ],
)
def test_the_two_set_keyboard_spells_hangul_in_latin_letters(hangul: str, typed: str) -> None:
    assert keyboard_spelling(hangul) == typed


@pytest.mark.parametrize(
    "password, username, email",
    [
        ("ana.martinez drinks tea", "ana.martinez", "am@example.com"),
        ("ANA.MARTINEZ drinks tea", "ana.martinez", "am@example.com"),
        ("the tea of martinez99 today", "ana", "martinez99@example.com"),
        ("mail am@example.com for tea", "ana", "am@example.com"),
        ("홍길동아홍길동의차가맛있구나야", "홍길동", "hong@example.com"),
        ("차가맛있다홍길동이네집으로가자", unicodedata.normalize("NFD", "홍길동"), "hong@example.com"),
        (keyboard_spelling("홍길동") + " plum kettle", "홍길동", "h@example.com"),
        ("martinez drinks green tea", "ｍａｒｔｉｎｅｚ", "am@example.com"),
    ],
)
def test_words_about_the_person_are_refused(password: str, username: str, email: str) -> None:
    assert reason_against(password, username=username, email=email) == "personal"


def test_a_name_too_short_to_matter_may_occur() -> None:
    assert reason_against("bananas orbit kettles slowly", username="ana", email="ana@example.com") is None


def test_a_password_is_verified_as_a_whole() -> None:
    passwords, password = quick_passwords(), UNGUESSABLE[:256]
    stored = passwords.hash(password)
    assert passwords.verify(stored, password)
    assert not passwords.verify(stored, password[:255])
    assert not passwords.verify(stored, password[:255] + "!")
    assert not passwords.verify(stored, password + "!")
    assert not passwords.verify(stored, password.upper())
    assert not passwords.verify(stored, f" {password[1:]}")


@pytest.mark.parametrize(
    "one, other",
    [
        (HANGUL, unicodedata.normalize("NFD", HANGUL)),
        (HANGUL * 13, unicodedata.normalize("NFD", HANGUL * 13)),  # 247 characters, more than 600 when decomposed
        ("café crème brûlée", unicodedata.normalize("NFD", "café crème brûlée")),
        ("plum kettle 71 sail", "ｐｌｕｍ ｋｅｔｔｌｅ ７１ ｓａｉｌ"),
    ],
)
def test_two_forms_of_the_same_characters_are_one_password(one: str, other: str) -> None:
    passwords = quick_passwords()
    assert one != other
    assert reason_against(one) == reason_against(other) is None
    assert passwords.verify(passwords.hash(one), other)
    assert passwords.verify(passwords.hash(other), one)


@pytest.mark.parametrize("size", [257, 1025, 5_000_000])
def test_a_huge_password_fails_cheaply_and_with_the_same_work(size: int) -> None:
    passwords = quick_passwords()
    stored = passwords.hash("x" * size) if size < 2000 else passwords.hash(UNGUESSABLE)
    hasher = counted(passwords)
    assert not passwords.verify(stored, "x" * size)
    assert len(hasher.verified) == 1
    assert len(hasher.passwords[0]) <= MAX_CHARACTERS, "the work does not grow with what was typed"


def test_characters_that_grow_when_normalised_cannot_pass_the_cap() -> None:
    assert reason_against("\ufdfa" * 20) == "too_long"  # one character that stands for eighteen
    passwords = quick_passwords()
    assert not passwords.verify(passwords.hash("\ufdfa" * 20), "\ufdfa" * 20)


def test_defaults_are_argon2id_with_the_parameters_stored(sqlite_engine: Engine, keyring: Keyring) -> None:
    passwords = Services(load_settings({}), sqlite_engine, keyring).passwords
    stored = passwords.hash(UNGUESSABLE[:20])
    parameters = argon2.extract_parameters(stored)
    assert parameters.type is argon2.Type.ID
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19456, 2, 1)
    assert parameters.salt_len >= 16
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert UNGUESSABLE[:20] not in stored
    assert passwords.hash(UNGUESSABLE[:20]) != stored


def test_settings_cannot_ask_for_cheaper_hashes() -> None:
    with pytest.raises(SettingsError, match="MCP_ARGON2_MEMORY_KIB"):
        load_settings({"MCP_ARGON2_MEMORY_KIB": "19455"})


def test_a_hash_of_other_parameters_is_known_to_be_old() -> None:
    old, new = quick_passwords(), Passwords(memory_kib=128, time_cost=1, parallelism=1, concurrency=1, min_length=15)
    stored = old.hash(UNGUESSABLE)
    assert not old.needs_rehash(stored)
    assert new.needs_rehash(stored)
    assert not old.verify(stored, "something else")


@pytest.mark.parametrize(
    "stored", ["", "!", "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW", "$argon2id$"]
)
def test_a_stored_value_that_is_no_argon2_hash_lets_nobody_in(stored: str) -> None:
    assert not quick_passwords().verify(stored, "")
    assert not quick_passwords().verify(stored, stored)
    assert not quick_passwords().verify(stored, "nobody has this password")


@pytest.mark.parametrize("stored", [None, "", "!", "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW"])
@pytest.mark.parametrize("size", [7, 257, 1025])
def test_a_broken_hash_and_none_at_all_cost_what_a_whole_one_does(stored: str | None, size: int) -> None:
    passwords = quick_passwords()
    stand_in = hash_of_nobody("$argon2id$v=19$m=128,t=2,p=1")
    hasher = counted(passwords)
    assert not passwords.verify(stored, "x" * size, stand_in=stand_in)
    assert hasher.verified[-1] == stand_in
    assert [value for value in hasher.verified if value not in (stored, stand_in)] == []
    assert argon2.extract_parameters(stand_in).hash_len == argon2.DEFAULT_HASH_LENGTH


@pytest.mark.parametrize("size", [257, 1025])
def test_a_password_that_is_too_long_costs_what_a_wrong_one_does(size: int) -> None:
    costly = Passwords(memory_kib=128, time_cost=2, parallelism=1, concurrency=1, min_length=15)
    stored = costly.hash("")
    passwords = quick_passwords()
    hasher = counted(passwords)
    assert not passwords.verify(stored, "x" * size)
    assert hasher.verified == [stored], "and the empty one, which is hashed in its place, lets nobody in"


def test_without_a_hash_the_same_work_is_done() -> None:
    passwords = quick_passwords()
    stored = passwords.hash(UNGUESSABLE)
    hasher = counted(passwords)
    assert not passwords.verify(None, UNGUESSABLE)
    assert not passwords.verify(None, "nobody has this password")
    assert not passwords.verify(stored, "wrong")
    assert len(hasher.verified) == 3
    work = [argon2.extract_parameters(str(value)) for value in hasher.verified]
    assert work[0] == work[1] == work[2]


def test_no_more_hashes_than_allowed_are_computed_at_once() -> None:
    passwords = Passwords(memory_kib=64, time_cost=1, parallelism=1, concurrency=2, min_length=15)
    hasher = counted(passwords)
    with ThreadPoolExecutor(12) as pool:
        assert len(set(pool.map(passwords.hash, ["the same"] * 24))) == 24
    assert hasher.most == 2


def test_who_waits_too_long_for_a_hash_is_told_so_and_nothing_is_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "PATIENCE_SECONDS", 0.05)
    passwords = Passwords(memory_kib=64, time_cost=1, parallelism=1, concurrency=1, min_length=15)
    stored = passwords.hash(UNGUESSABLE[:20])
    with every_thread_hashing(passwords), pytest.raises(HashingBusy):
        passwords.verify(stored, UNGUESSABLE[:20])
    assert passwords.verify(stored, UNGUESSABLE[:20]), "the slot is free again"


def test_who_finds_the_line_full_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One hashes and sixteen wait; the next one does not."""
    monkeypatch.setattr(hashing, "PATIENCE_SECONDS", 60)
    passwords = Passwords(memory_kib=64, time_cost=1, parallelism=1, concurrency=1, min_length=15)
    pool, begun = passwords._pool, threading.Semaphore(0)

    def wait_for_all() -> None:
        begun.release()
        assert over.wait(30)

    over = threading.Event()
    with ThreadPoolExecutor(17) as others:
        asked = [others.submit(pool.run, wait_for_all) for _ in range(17)]
        assert begun.acquire(timeout=30)
        until(lambda: pool._asked == 17)
        with pytest.raises(HashingBusy):
            passwords.hash(UNGUESSABLE)
        over.set()
        for one in asked:
            one.result(30)
    assert passwords.verify(passwords.hash(UNGUESSABLE[:20]), UNGUESSABLE[:20])


def test_one_source_cannot_take_all_of_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "PATIENCE_SECONDS", 60)
    passwords = Passwords(memory_kib=64, time_cost=1, parallelism=1, concurrency=1, min_length=15)
    pool, over = passwords._pool, threading.Event()

    class Place:
        def __init__(self, source: str) -> None:
            self.source = source

        def leave(self) -> None: ...

        def enter(self) -> None: ...

    def ask_for(source: str) -> None:
        with places.held(Place(source)):
            pool.run(lambda: over.wait(30))

    with ThreadPoolExecutor(16) as others:
        asked = [others.submit(ask_for, "greedy") for _ in range(8)]
        until(lambda: pool._asked == 8)
        with pytest.raises(HashingBusy):
            ask_for("greedy")
        asked.append(others.submit(ask_for, "modest"))
        until(lambda: pool._asked == 9)
        over.set()
        for one in asked:
            one.result(30)
    assert (pool._asked, dict(pool._asked_by)) == (0, {})


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows the niceness of a thread")
def test_hashing_lets_all_other_threads_go_first() -> None:
    passwords = Passwords(memory_kib=64, time_cost=1, parallelism=1, concurrency=1, min_length=15)

    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    assert passwords._pool.run(niceness) > niceness()


def until(is_so: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(3000):
        if is_so():
            return
        pause.wait(0.01)
    raise AssertionError("it has not come about")
