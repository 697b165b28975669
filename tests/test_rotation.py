"""Rotation of master keys: online, resumable, by two at once, and what is dropped at the end."""

from __future__ import annotations

import base64
import os
import random
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update

from database.models import AuditRecord, User
from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.security import sealed_columns
from provider.security.crypto import Keyring
from provider.security.rewrapping import BATCH_ROWS, Rewrapping
from provider.security.sealed_columns import DATA_EXPORT, PRIMARY_CLOUD, TOTP_SECRET
from provider.services import Services
from provider.settings import Settings
from provider.start.key_files import load_keyring, ring_path
from provider.start.ring_file import RingFile
from provider.upkeep.ring_watch import RingWatch
from tests.sealed_rows import NOW, Silent, fill, rotate, rotate_and_kill, rotation, sealed, settings_of, under
from tests.vault.conftest import connected, mirrored, person
from tests.vault.samples import EVERY_WAY, fields_of
from tests.waiting import eventually

USERS = User.__table__
# For the large run: MCP_ROTATION_ROWS=10000
ROWS = int(os.environ.get("MCP_ROTATION_ROWS", "240"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path / "home")


@pytest.fixture
def keyring(settings: Settings) -> Keyring:
    return load_keyring(settings)


def events(engine: Engine, name: str) -> list[dict[str, object]]:
    with Transaction(engine) as tx:
        rows = tx.execute(select(AuditRecord.__table__).where(AuditRecord.__table__.c.action == name)).mappings()
        return [dict(row) for row in rows]


def test_everything_comes_under_a_new_key_and_the_old_one_goes(
    engine: Engine, settings: Settings, keyring: Keyring
) -> None:
    seeds = fill(engine, keyring, BATCH_ROWS + 20)
    (old,) = keyring.masters.ids
    before = sealed(engine, TOTP_SECRET)
    voice = Silent()
    outcome = rotate(settings, engine, voice)
    (new,) = RingFile(ring_path(settings)).ids()
    assert new != old
    assert (outcome.first, outcome.dropped, outcome.unreadable) == (new, (old,), 0)
    assert outcome.rewrapped == len(seeds) + 6
    assert under(engine) == {new: len(seeds) + 6}
    assert len(voice.waited) == 3, "read by all, written by all, committed by all"
    alone = load_keyring(settings, may_create=False)
    for row_id, value in sealed(engine, TOTP_SECRET).items():
        assert alone.decrypt(value, TOTP_SECRET.context(row_id)).decode() == seeds[row_id]
        assert value.split(".")[3:] == before[row_id].split(".")[3:], "the value itself was not touched"
    for row_id, value in sealed(engine, DATA_EXPORT).items():
        owner = f"user-00000{row_id[-1]}"
        assert alone.decrypt(value, DATA_EXPORT.context(row_id, owner=owner)) == b"an archive" * 40_000
    names = ("master_key.rotated", "master_key.values_rewrapped", "master_key.dropped")
    assert [len(events(engine, name)) for name in names] == [1, 1, 1]
    assert events(engine, "master_key.rotated")[0]["actor"] == "cli:test"


def test_old_keys_stay_where_that_is_wanted_and_go_the_next_time(
    engine: Engine, settings: Settings, keyring: Keyring
) -> None:
    fill(engine, keyring, 3, others=0)
    voice = Silent()
    outcome = rotate(settings, engine, voice, keep_old=True)
    assert (outcome.unused, outcome.dropped) == (keyring.masters.ids, ())
    assert RingFile(ring_path(settings)).ids() == (outcome.first, *keyring.masters.ids)
    assert len(voice.waited) == 2
    later = rotate(settings, engine)
    assert later.first != outcome.first
    assert RingFile(ring_path(settings)).ids() == (later.first,)


def test_a_key_that_a_setting_is_under_stays(engine: Engine, settings: Settings, keyring: Keyring) -> None:
    fill(engine, keyring, 1, others=0)
    outcome = rotate(settings, engine, needed_elsewhere=frozenset(keyring.masters.ids))
    assert (outcome.unused, outcome.dropped) == ((), ())
    assert RingFile(ring_path(settings)).ids() == (outcome.first, *keyring.masters.ids)


def test_what_does_not_open_is_named_left_alone_and_keeps_its_key(
    engine: Engine, settings: Settings, keyring: Keyring
) -> None:
    fill(engine, keyring, 5, others=0)
    foreign = Keyring(b"h" * 32, [("foreign", secrets.token_bytes(32))])
    wrong = {
        "user-000001": foreign.encrypt(b"x", TOTP_SECRET.context("user-000001")),
        "user-000002": sealed(engine, TOTP_SECRET)["user-000003"],
        "user-000004": "not sealed at all",
    }
    with Transaction(engine) as tx:
        for row_id, value in wrong.items():
            tx.execute(update(User).where(USERS.c.id == row_id).values(two_factor_secret=value))
    outcome = rotate(settings, engine)
    assert sorted(value.row_id for value in outcome.named) == sorted(wrong)
    assert (outcome.unreadable, outcome.rewrapped, outcome.dropped) == (3, 2, ())
    assert sealed(engine, TOTP_SECRET) | wrong == sealed(engine, TOTP_SECRET)
    assert {row["resource_id"] for row in events(engine, "decryption.failed")} == set(wrong)
    again = rotate(settings, engine)
    assert again.first != outcome.first, "what does not open keeps no new key from coming"
    assert len(events(engine, "decryption.failed")) == 3, "once an hour for each"
    assert keyring.masters.ids[0] in RingFile(ring_path(settings)).ids()
    assert outcome.first not in RingFile(ring_path(settings)).ids()


def test_one_that_was_cut_off_before_its_key_wrote_goes_on(
    engine: Engine, settings: Settings, keyring: Keyring
) -> None:
    fill(engine, keyring, 2, others=0)

    class Stopped(Silent):
        def wait(self, seconds: float, reason: str) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate(settings, engine, Stopped())
    ring = RingFile(ring_path(settings))
    following = ring.next_id()
    assert ring.ids() == (*keyring.masters.ids, following)
    assert load_keyring(settings).encrypt(b"x", {}).split(".")[1] == keyring.masters.ids[0], "it does not write yet"
    outcome = rotate(settings, engine)
    assert outcome.first == following
    assert ring.ids() == (following,)
    assert ring.next_id() is None


def test_two_at_once_do_one_rotation(engine: Engine, settings: Settings, keyring: Keyring) -> None:
    seeds = fill(engine, keyring, 2 * BATCH_ROWS)
    barrier = threading.Barrier(2)

    class Together(Silent):
        def wait(self, seconds: float, reason: str) -> None:
            super().wait(seconds, reason)
            if "read" in reason:
                barrier.wait(60)

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda _: rotate(settings, engine, Together()), range(2)))
    assert len({outcome.first for outcome in outcomes}) == 1
    assert RingFile(ring_path(settings)).ids() == (outcomes[0].first,)
    assert under(engine) == {outcomes[0].first: len(seeds) + 6}


@pytest.mark.parametrize("step, call", [("ids", 1), ("next_id", 1), ("next_id", 2)])
@pytest.mark.parametrize("ended", [True, False], ids=["that ended", "that has begun"])
def test_another_rotation_in_between_is_joined(
    engine: Engine,
    settings: Settings,
    keyring: Keyring,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    call: int,
    ended: bool,
) -> None:
    """Between any two looks at the file another rotation adds its key, or is through."""
    seeds = fill(engine, keyring, 2)
    look, calls = getattr(RingFile, step), [0]
    theirs: list[str] = []

    class Stopped(Silent):
        def wait(self, seconds: float, reason: str) -> None:
            raise KeyboardInterrupt

    def and_then_another(self: RingFile) -> object:
        found = look(self)
        calls[0] += 1
        if calls[0] == call:
            monkeypatch.undo()
            if ended:
                rotate(settings, engine)
            else:
                with pytest.raises(KeyboardInterrupt):
                    rotate(settings, engine, Stopped())
            theirs.extend(RingFile(ring_path(settings)).ids())
        return found

    monkeypatch.setattr(RingFile, step, and_then_another)
    outcome = rotate(settings, engine)
    assert outcome.first in theirs
    assert outcome.first not in keyring.masters.ids
    assert under(engine) == {outcome.first: len(seeds) + 4}


def test_a_writer_that_comes_in_between_wins(
    engine: Engine, settings: Settings, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(engine, keyring, 1, others=0)
    rewrapped, context = Keyring.rewrapped, TOTP_SECRET.context("user-000000")
    theirs = [keyring.encrypt(b"theirs", context)]

    def slow(self: Keyring, *arguments: object) -> str | None:
        while theirs:
            with Transaction(engine) as tx:
                tx.execute(update(User).values(two_factor_secret=theirs.pop()))
        return rewrapped(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Keyring, "rewrapped", slow)
    outcome = rotate(settings, engine)
    value = sealed(engine, TOTP_SECRET)["user-000000"]
    assert load_keyring(settings).decrypt(value, context) == b"theirs"
    assert under(engine) == {outcome.first: 1}


def test_keys_of_the_environment_are_left_to_the_operator(engine: Engine, tmp_path: Path) -> None:
    one, other = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))
    hashing = base64.b64encode(secrets.token_bytes(32)).decode()
    before = settings_of(tmp_path, MCP_HASHING_KEY=hashing, MCP_ENCRYPTION_KEYS=f"one:{one}")
    fill(engine, load_keyring(before), 4, others=1)
    after = settings_of(tmp_path, MCP_HASHING_KEY=hashing, MCP_ENCRYPTION_KEYS=f"other:{other},one:{one}")
    outcome = rotation(after, engine, Silent()).rewrap()
    assert (outcome.first, outcome.rewrapped, outcome.unused, outcome.dropped) == ("other", 6, ("one",), ())
    assert under(engine) == {"other": 6}
    assert rotation(after, engine, Silent()).rewrap().rewrapped == 0


class Server:
    """What a server process does with sealed values: four threads read and write, another one looks at the ring."""

    def __init__(self, settings: Settings, engine: Engine, row_ids: list[str]) -> None:
        self.keyring = load_keyring(settings, may_create=False)
        assert self.keyring.masters.renewal is not None
        self._watch = RingWatch(self.keyring.masters.renewal, look_seconds=0.02)
        self._engine, self._row_ids = engine, row_ids
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(4)]
        self.rounds = [0] * 4
        self.faults: list[BaseException] = []

    def __enter__(self) -> Server:
        self._watch.start()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._watch.stop()

    def has_settled(self, ids: tuple[str, ...]) -> bool:
        """It has this ring, and whatever it began before is over."""
        eventually(lambda: self.keyring.masters.ids == ids)
        begun = list(self.rounds)
        eventually(lambda: all(now > before + 1 for now, before in zip(self.rounds, begun, strict=True)))
        return True

    def _work(self, number: int) -> None:
        dice = random.Random(number)
        while not self._stopping.is_set():
            row_id = dice.choice(self._row_ids)
            try:
                self._read(row_id)
                if number % 2:
                    self._write(row_id)
            except BaseException as error:
                self.faults.append(error)
            self.rounds[number] += 1
            self._stopping.wait(0.05)

    def _read(self, row_id: str) -> None:
        with Transaction(self._engine) as tx:
            value = tx.execute(select(USERS.c.two_factor_secret).where(USERS.c.id == row_id)).scalar_one()
            assert len(self.keyring.decrypt(value, TOTP_SECRET.context(row_id))) == 32

    def _write(self, row_id: str) -> None:
        value = self.keyring.encrypt(secrets.token_hex(16).encode(), TOTP_SECRET.context(row_id))
        with Transaction(self._engine) as tx:
            tx.execute(update(User).where(USERS.c.id == row_id).values(two_factor_secret=value, updated_at=NOW))


@pytest.fixture
def server(engine: Engine, settings: Settings, keyring: Keyring) -> Iterator[Server]:
    with Server(settings, engine, list(fill(engine, keyring, ROWS))) as running:
        yield running


def test_servers_read_and_write_while_it_is_killed_three_times(
    engine: Engine, settings: Settings, keyring: Keyring, server: Server
) -> None:
    url = engine.url.render_as_string(hide_password=False)
    for updates in (1, ROWS // 12, ROWS // 8):
        rotate_and_kill(url, settings.home, updates)
    ring = RingFile(ring_path(settings))
    first, old = ring.ids()
    assert old == keyring.masters.ids[0]
    left = under(engine)
    assert left[first] > 0
    assert left[old] > 0, "it stopped half-way"

    class Patient(Silent):
        def wait(self, seconds: float, reason: str) -> None:
            super().wait(seconds, reason)
            assert server.has_settled(ring.ids())

    outcome = rotate(settings, engine, Patient())
    assert (outcome.first, outcome.dropped, outcome.unreadable) == (first, (old,), 0)
    server.has_settled((first,))
    assert server.faults == []
    assert all(server.rounds)
    assert under(engine) == {first: ROWS + 6}
    alone = load_keyring(settings, may_create=False)
    assert alone.masters.ids == (first,)
    for row_id, value in sealed(engine, TOTP_SECRET).items():
        assert len(alone.decrypt(value, TOTP_SECRET.context(row_id))) == 32


@pytest.fixture(params=["sqlite", "mariadb", "mysql"])
def every_engine(request: pytest.FixtureRequest) -> Engine:
    made: Engine = request.getfixturevalue(f"{request.param}_engine")
    return made


def test_cloud_accounts_and_the_columns_of_the_primary_one_come_along(
    every_engine: Engine, settings: Settings, keyring: Keyring, origin: Origin
) -> None:
    """Every way of every cloud, on MySQL as well: rows are bound to owner and version, and some of the values are large."""
    services = Services(settings, every_engine, keyring)
    people = [person(services, origin, name) for name in ("ana", "bora", "chris")]
    accounts = [
        connected(services, origin, people[number % 3], f"{provider}-{mode}", provider, mode)
        for number, (provider, mode) in enumerate(EVERY_WAY)
    ]
    with Transaction(every_engine) as tx:
        first = services.cloud_accounts.replace(tx, origin, accounts[0], {"region": "us-east-1"})
        assert first.version == 2
    expected = {account.id: services.cloud_accounts.opened(account) for account in (first, *accounts[1:])}
    mirrors = {user_id: opened_mirror(services, user_id) for user_id in people}
    assert sum(len(mirror) for mirror in mirrors.values()) >= 4, "their primary accounts have secrets"
    (old,) = under(every_engine)
    outcome = rotate(settings, every_engine)
    assert (outcome.unreadable, outcome.dropped) == (0, (old,))
    assert list(under(every_engine)) == [outcome.first]
    after = Services(settings, every_engine, load_keyring(settings, may_create=False))
    assert after.keyring.masters.ids == (outcome.first,)
    with Transaction(every_engine) as tx:
        for user_id in people:
            for account in after.cloud_accounts.list(tx, user_id):
                assert after.cloud_accounts.opened(account) == expected.pop(account.id)
    assert expected == {}
    assert {user_id: opened_mirror(after, user_id) for user_id in people} == mirrors


def opened_mirror(services: Services, user_id: str) -> dict[str, bytes]:
    """The sealed columns of a user's primary account."""
    found = mirrored(services, user_id)
    return {
        name: services.keyring.decrypt(found[column.name], column.context(user_id))
        for name, column in PRIMARY_CLOUD.items()
        if column.name in found
    }


def test_an_account_that_is_replaced_meanwhile_is_what_its_owner_typed(
    engine: Engine, settings: Settings, keyring: Keyring, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = Services(settings, engine, keyring)
    ana = person(services, origin)
    account = connected(services, origin, ana)
    theirs, rewrapped = [fields_of("aws", "secret") | {"secret_access_key": "n" * 40}], Keyring.rewrapped

    def slow(self: Keyring, *arguments: object) -> str | None:
        while theirs:
            with Transaction(engine) as tx:
                services.cloud_accounts.replace(tx, origin, account, theirs.pop())
        return rewrapped(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Keyring, "rewrapped", slow)
    outcome = rotate(settings, engine)
    assert (outcome.unreadable, list(under(engine))) == (0, [outcome.first])
    after = Services(settings, engine, load_keyring(settings, may_create=False))
    with Transaction(engine) as tx:
        opened = after.cloud_accounts.opened(after.cloud_accounts.get(tx, ana, account.id))
    assert opened["secret_access_key"] == "n" * 40
    assert opened_mirror(after, ana)["secret_key"] == b"n" * 40


def test_counts_say_what_is_under_which_key(engine: Engine, keyring: Keyring) -> None:
    fill(engine, keyring, 3, others=0)
    (key_id,) = keyring.masters.ids
    with Transaction(engine) as tx:
        tx.execute(update(User).where(USERS.c.id == "user-000001").values(two_factor_secret="v1.gone.AAAA.AAAA"))
        tx.execute(update(User).where(USERS.c.id == "user-000002").values(two_factor_secret=f"v1.{key_id}.AAAA.AAAA"))
        counted = Rewrapping(keyring, sealed_columns.ALL).counts(tx, TOTP_SECRET)
    assert counted == {key_id: 1, f"v1 {key_id}": 1, "?": 1}
