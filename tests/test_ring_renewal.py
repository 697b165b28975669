"""The file of master keys, read again while a server runs: when it has changed, and never to the worse."""

from __future__ import annotations

import base64
import logging
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from provider.security.crypto import DecryptionFailed, Keyring
from provider.start.key_files import read_key_file, write_key_file
from provider.start.key_texts import no_service
from provider.start.ring_renewal import UNKNOWN_SECONDS, RingRenewal

PLACE = {"table": "t", "column": "c", "id": "1"}


def line(name: str) -> str:
    return f"{name}:{base64.b64encode(secrets.token_bytes(32)).decode()}\n"


class Ring:
    """A server's ring and its file. ``reads`` counts how often that was read, ``now`` is the server's clock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reads = 0
        self.now = 0.0
        write_key_file(path, line("k1"), replace=False)
        self.renewal = RingRenewal(path, self._read, no_service, clock=lambda: self.now)
        self.keyring = Keyring(b"h" * 32, self.renewal.read())
        self.renewal.keep_up(self.keyring.masters)
        self.reads = 0

    def _read(self, path: Path) -> str:
        self.reads += 1
        return read_key_file(path)

    def write(self, text: str) -> None:
        write_key_file(self.path, text, replace=True)

    @property
    def ids(self) -> tuple[str, ...]:
        return self.keyring.masters.ids

    def elsewhere(self) -> Keyring:
        """Another server that has read the file as it is now."""
        return Keyring(b"h" * 32, RingRenewal(self.path, read_key_file, no_service).read())


@pytest.fixture
def ring(tmp_path: Path) -> Ring:
    return Ring(tmp_path / "home" / "keys" / "encryption.keys")


def test_it_is_read_again_when_it_has_changed_and_only_then(ring: Ring) -> None:
    for _ in range(5):
        ring.renewal.look()
    assert (ring.ids, ring.reads) == (("k1",), 0)
    ring.write(line("k2") + ring.path.read_text())
    for _ in range(5):
        ring.renewal.look()
    assert (ring.ids, ring.reads) == (("k2", "k1"), 1)
    assert ring.keyring.encrypt(b"x", PLACE).startswith("v2.k2.")


def test_a_value_under_a_key_that_was_just_added_opens_at_once(ring: Ring) -> None:
    ring.write(ring.path.read_text() + line("k2"))
    ring.write("".join(reversed(ring.path.read_text().splitlines(keepends=True))))
    text = ring.elsewhere().encrypt(b"by another server", PLACE)
    assert text.startswith("v2.k2.")
    assert ring.keyring.decrypt(text, PLACE) == b"by another server"


def test_an_unknown_id_reads_the_file_at_most_once_a_second(ring: Ring) -> None:
    """Anybody who can write a row could have us read otherwise."""
    for step in range(100):
        ring.write(f"{ring.path.read_text()}# {step}\n")
        ring.now = step / 20
        with pytest.raises(DecryptionFailed):
            ring.keyring.decrypt("v2.nobody.AAAA.AAAA.AAAA", PLACE)
    assert ring.reads <= 2 * (1 + 5 / UNKNOWN_SECONDS)
    before = ring.reads
    ring.now += 10
    for _ in range(100):
        with pytest.raises(DecryptionFailed):
            ring.keyring.decrypt("v2.nobody.AAAA.AAAA.AAAA", PLACE)
    assert ring.reads <= before + 2, "a file that is as it was is not read at all"


def spoil_text(ring: Ring) -> None:
    ring.write("k1:not base64!\n")


def open_to_others(ring: Ring) -> None:
    ring.write(line("k9") + ring.path.read_text())
    ring.path.chmod(0o644)


def empty(ring: Ring) -> None:
    ring.write("# nothing\n")


def take_away(ring: Ring) -> None:
    ring.path.unlink()


@pytest.mark.parametrize("fault", [spoil_text, open_to_others, empty, take_away])
def test_a_file_that_cannot_be_used_changes_nothing_and_is_said_once(
    ring: Ring, fault: Callable[[Ring], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mcp_core.vault")
    good, text = ring.path.read_text(), ring.keyring.encrypt(b"x", PLACE)
    fault(ring)
    for _ in range(4):
        ring.renewal.look()
    assert [*ring.ids] == ["k1"]
    assert ring.keyring.decrypt(text, PLACE) == b"x"
    assert caplog.text.count("the master keys cannot be read again, the known ones go on") == 1
    assert good.partition(":")[2].strip() not in caplog.text
    if ring.path.exists():
        ring.path.unlink()
    write_key_file(ring.path, line("k2") + good, replace=False)
    ring.renewal.look()
    assert ring.ids == ("k2", "k1")
    assert "the ring of master keys is now k2 k1" in caplog.text


def test_a_key_that_was_taken_out_is_let_go(ring: Ring) -> None:
    text = ring.keyring.encrypt(b"x", PLACE)
    ring.write(line("k2"))
    ring.renewal.look()
    assert ring.ids == ("k2",)
    with pytest.raises(DecryptionFailed):
        ring.keyring.decrypt(text, PLACE)
