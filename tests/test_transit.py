"""Keys that a secrets service wraps, against a small server that answers as the documented API of Transit does."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import secrets
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from provider.settings import Settings
from provider.start import transit as module
from provider.start.key_files import keys_folder, load_keyring
from provider.start.key_texts import KeyFilesError
from provider.start.ring_renewal import RingRenewal
from provider.start.transit import Transit, TransitFailed, TransitKey, transit_of
from tests.https_server import HttpsServer
from tests.sealed_rows import settings_of

TOKEN = "hvs.test-token-of-the-secrets-service"
DECRYPT, DATAKEY = "/v1/transit/decrypt/mcp-core", "/v1/transit/datakey/wrapped/mcp-core"


class Service:
    """Transit's ``datakey/wrapped`` and ``decrypt``. ``failing`` is how many answers are 503 from now on."""

    def __init__(self) -> None:
        self.server = HttpsServer()
        self.keys: dict[str, bytes] = {}
        self.failing = 0
        self.token = TOKEN
        self.server.answers[DATAKEY] = self._datakey
        self.server.answers[DECRYPT] = self._decrypt
        self.asked: list[str] = []

    def _datakey(self, request: BaseHTTPRequestHandler) -> None:
        if self._is_refused(request):
            return
        wrapped = "vault:v1:" + secrets.token_urlsafe(40)
        self.keys[wrapped] = secrets.token_bytes(32)
        _answer(request, 200, {"data": {"ciphertext": wrapped, "key_version": 1}})

    def _decrypt(self, request: BaseHTTPRequestHandler) -> None:
        if self._is_refused(request):
            return
        wrapped = json.loads(self.server.received[-1].body)["ciphertext"]
        self.asked.append(wrapped)
        if wrapped in self.keys:
            _answer(request, 200, {"data": {"plaintext": base64.b64encode(self.keys[wrapped]).decode()}})
        else:
            _answer(request, 400, {"errors": ["invalid ciphertext: unable to decrypt"]})

    def _is_refused(self, request: BaseHTTPRequestHandler) -> bool:
        if request.headers["X-Vault-Token"] != self.token:
            _answer(request, 403, {"errors": ["permission denied"]})
            return True
        if self.failing:
            self.failing -= 1
            _answer(request, 503, {"errors": ["Vault is sealed"]})
            return True
        return False


def _answer(request: BaseHTTPRequestHandler, status: int, value: object) -> None:
    body = json.dumps(value).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.server.close()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def settings(tmp_path: Path, service: Service, token_file: Path) -> Settings:
    return settings_of(
        tmp_path / "home",
        MCP_TRANSIT_URL=f"{service.server.url}/v1/transit/keys/mcp-core",
        MCP_TRANSIT_TOKEN_FILE=str(token_file),
        MCP_OUTBOUND_CA_FILE=str(service.server.authority),
    )


@pytest.fixture
def transit(service: Service, token_file: Path) -> Transit:
    key = TransitKey.at(f"{service.server.url}/v1/transit/keys/mcp-core")
    return Transit(key, token_file, service.server.authority, sleep=lambda _: None)


def test_neither_key_is_on_disk_in_clear(settings: Settings, service: Service) -> None:
    made = load_keyring(settings)
    again = load_keyring(settings, may_create=False)
    assert again.decrypt(made.encrypt(b"x", {}), {}) == b"x"
    assert again.keyed_hash("p", "v") == made.keyed_hash("p", "v")
    hashing, ring = ((keys_folder(settings) / name).read_text() for name in ("hashing.key", "encryption.keys"))
    assert hashing.startswith("transit:vault:v1:")
    assert ring.partition(":")[2].startswith("transit:vault:v1:")
    assert len(service.keys) == 2
    for key in service.keys.values():
        assert base64.b64encode(key).decode() not in hashing + ring
    assert [item.headers["X-Vault-Token"] for item in service.server.received] == [TOKEN] * 6


def test_a_service_that_is_back_soon_is_waited_for(transit: Transit, service: Service) -> None:
    service.failing = 2
    assert transit.unwrap(transit.new_wrapped_key()) in service.keys.values()


@pytest.mark.parametrize("status, words", [(503, "is sealed or not ready"), (500, "does not answer")])
def test_a_service_that_is_away_is_told_after_three_attempts(
    transit: Transit, service: Service, status: int, words: str
) -> None:
    service.server.answers[DECRYPT] = (status, {}, b'{"errors": ["x"]}')
    with pytest.raises(TransitFailed, match=words):
        transit.unwrap("vault:v1:AAAA")
    assert service.server.count(DECRYPT) == 3


def test_what_will_not_get_better_is_told_at_once(transit: Transit, service: Service, token_file: Path) -> None:
    with pytest.raises(TransitFailed, match="does not open this"):
        transit.unwrap("vault:v1:AAAA")
    assert service.server.count(DECRYPT) == 1
    token_file.write_text("another")
    with pytest.raises(TransitFailed, match="refuses the token"):
        transit.new_wrapped_key()
    assert service.server.count(DATAKEY) == 1


def test_nobody_there_and_a_certificate_of_others(service: Service, token_file: Path) -> None:
    key = TransitKey.at(f"{service.server.url}/v1/transit/keys/mcp-core")
    with pytest.raises(TransitFailed, match="not trusted here"):
        Transit(key, token_file, sleep=lambda _: None).unwrap("vault:v1:AAAA")
    with pytest.raises(TransitFailed, match="does not answer"):
        Transit(TransitKey("http://127.0.0.1:9", "transit", "k"), token_file, sleep=lambda _: None).unwrap("vault:v1:A")


@pytest.mark.parametrize(
    "body", [b"{}", b'{"data": {}}', b'{"data": null}', b"[]", b"no json", b'{"data": {"plaintext": "!"}}']
)
def test_an_answer_of_another_form_is_told(transit: Transit, service: Service, body: bytes) -> None:
    for path in (DECRYPT, DATAKEY):
        service.server.answers[path] = (200, {"Content-Type": "application/json"}, body)
    with pytest.raises(TransitFailed):
        transit.unwrap("vault:v1:AAAA")
    with pytest.raises(TransitFailed):
        transit.new_wrapped_key()


@pytest.mark.parametrize("status", [200, 400, 500])
def test_an_answer_without_an_end_is_not_read(transit: Transit, service: Service, status: int) -> None:
    sent = 0

    def answer(request: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        request.send_response(status)
        request.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(4096):
                request.wfile.write(b"x" * 16_384)
                sent += 16_384

    service.server.answers[DECRYPT] = answer
    with pytest.raises(TransitFailed, match="answers with more than 65536 bytes"):
        transit.unwrap("vault:v1:AAAA")
    assert sent < 4096 * 16_384, "64 MiB would have come"
    assert service.server.count(DECRYPT) == 1


def test_an_answer_that_drips_is_over_in_time(service: Service, token_file: Path) -> None:
    goes_on = threading.Event()

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(600):
                if goes_on.wait(0.02):
                    return
                request.wfile.write(b" ")

    service.server.answers[DECRYPT] = answer
    key = TransitKey.at(f"{service.server.url}/v1/transit/keys/mcp-core")
    transit = Transit(key, token_file, service.server.authority, seconds=0.3, sleep=lambda _: None)
    with pytest.raises(TransitFailed, match=r"answers too slowly|does not answer"):
        transit.unwrap("vault:v1:AAAA")
    goes_on.set()


def test_a_packed_answer_is_none(transit: Transit, service: Service) -> None:
    body = gzip.compress(b'{"data": {"plaintext": "AAAA"}}')
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    service.server.answers[DECRYPT] = (200, headers, body)
    with pytest.raises(TransitFailed, match="something else than JSON"):
        transit.unwrap("vault:v1:AAAA")


@pytest.mark.parametrize("namespace", ["", "team-a", "org/team-a/"])
def test_a_namespace_is_named_where_one_is_set(settings: Settings, service: Service, namespace: str) -> None:
    made = transit_of(settings.model_copy(update={"transit_namespace": namespace}))
    assert made is not None
    made.new_wrapped_key()
    assert service.server.received[-1].headers.get("X-Vault-Namespace", "") == namespace


def test_the_token_goes_nowhere_else(transit: Transit, service: Service) -> None:
    service.server.answers[DECRYPT] = (307, {"Location": f"{service.server.url}/elsewhere"}, b"")
    with pytest.raises(TransitFailed):
        transit.unwrap("vault:v1:AAAA")
    assert service.server.count("/elsewhere") == 0


@pytest.mark.parametrize(
    "text, mode, words", [("", 0o600, "hold one"), ("a b", 0o600, "hold one"), (TOKEN, 0o604, "o=")]
)
def test_a_token_that_is_none_is_told(transit: Transit, token_file: Path, text: str, mode: int, words: str) -> None:
    token_file.write_text(text)
    token_file.chmod(mode)
    with pytest.raises(TransitFailed, match=words) as failure:
        transit.new_wrapped_key()
    assert TOKEN not in str(failure.value)


def test_a_start_says_what_is_wrong_and_shows_nothing(
    settings: Settings, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_keyring(settings)
    monkeypatch.setattr(module, "PAUSES", ())
    service.failing = 9
    with pytest.raises(KeyFilesError, match=r"hashing\.key cannot be had from the secrets service") as failure:
        load_keyring(settings)
    assert TOKEN not in str(failure.value)
    assert "vault:v1" not in str(failure.value)


def test_a_running_server_opens_a_new_key_once_and_never_in_a_request(settings: Settings, service: Service) -> None:
    keyring = load_keyring(settings)
    renewal = keyring.masters.renewal
    assert isinstance(renewal, RingRenewal)
    wrapped = "vault:v1:added"
    service.keys[wrapped] = secrets.token_bytes(32)
    path = keys_folder(settings) / "encryption.keys"
    path.write_text(path.read_text() + f"k2:transit:{wrapped}\n")
    before = len(service.asked)
    renewal.look_for_unknown()
    assert len(service.asked) == before
    renewal.look()
    renewal.look()
    assert service.asked[before:] == [wrapped], "the old one was opened at the start"
    assert keyring.masters.ids[1:] == ("k2",)


@pytest.mark.parametrize(
    "url, words",
    [
        ("http://vault.example:8200/v1/transit/keys/k", "https://"),
        ("https://vault.example:8200/v1/transit", "address of a key"),
        ("https://u:p@vault.example/v1/transit/keys/k", "address of a key"),
        ("https://vault.example/v1/transit/keys/k?x", "address of a key"),
        ("vault.example", "address of a key"),
        ("https://vault.example:x/v1/transit/keys/k", "address of a key"),
    ],
)
def test_addresses_that_are_none_are_refused(url: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=words):
        settings_of(tmp_path, MCP_TRANSIT_URL=url, MCP_TRANSIT_TOKEN_FILE="token")


def test_an_address_in_its_parts() -> None:
    assert TransitKey.at("https://v.example:8200/v1/team/transit/keys/mcp-core") == TransitKey(
        "https://v.example:8200", "team/transit", "mcp-core"
    )
