"""What ``--format oci`` writes: a folder whose configuration never names a key and a token that do not belong together."""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cloud_command.conftest import Ran, ran
from tests.cloud_command.test_answers import TOKEN, says
from tests.https_server import HttpsServer

TENANCY = "ocid1.tenancy.oc1..aaaa"
BY_TOKEN = {"token": "eyJ.upst.1", "private_key": "key 1\n", "tenancy_ocid": TENANCY, "region": "ap-seoul-1"}
BY_KEY = {
    "private_key": "key 1\n",
    "user_ocid": "ocid1.user.oc1..bbbb",
    "fingerprint": "12:34",
    "tenancy_ocid": TENANCY,
    "region": "ap-seoul-1",
}


@pytest.fixture
def server() -> Iterator[HttpsServer]:
    made = HttpsServer(is_plain=True)
    made.say_json(TOKEN, {"access_token": "t0ken", "token_type": "Bearer", "expires_in": 600})
    yield made
    made.close()


@pytest.fixture
def run(server: HttpsServer, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    def called(given: Any, *arguments: str) -> Ran:
        says(server, "oracle", {"credentials": given})
        key = {"MCP_CORE_ISSUER": f"{server.url}/oauth", "MCP_CORE_KEY_ID": "key_1", "MCP_CORE_KEY_SECRET": "s3cr3t"}
        usual = ("--output", str(tmp_path / "oci" / "work"))
        return ran(["credentials", "work", "--format", "oci", *(arguments or usual)], key, capsys)

    return called


def configured(folder: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(folder / "config")
    return dict(parser["DEFAULT"])


def test_a_session_token_and_its_key_are_named_by_one_configuration(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "oci" / "work"
    seen = []
    for number in range(4):
        given = {**BY_TOKEN, "token": f"eyJ.upst.{number}", "private_key": f"key {number}\n"}
        assert run(given) == (0, "", "")
        said = configured(folder)
        assert Path(said.pop("key_file")).read_text() == f"key {number}\n"
        token = Path(said.pop("security_token_file"))
        assert token.read_text() == f"eyJ.upst.{number}"
        assert said == {"tenancy": TENANCY, "region": "ap-seoul-1"}
        seen.append(token)
    assert [it.exists() for it in seen] == [False, False, True, True], "who has just read the configuration reads on"
    assert len(list(folder.iterdir())) == 5
    assert {it.stat().st_mode & 0o777 for it in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_key_of_a_user_is_all_that_there_is_with_a_secret(run: Any, tmp_path: Path) -> None:
    assert run(BY_KEY).code == 0
    said = configured(tmp_path / "oci" / "work")
    assert Path(said.pop("key_file")).read_text() == "key 1\n"
    assert said == {"user": BY_KEY["user_ocid"], "fingerprint": "12:34", "tenancy": TENANCY, "region": "ap-seoul-1"}


def test_what_else_is_in_the_folder_stays(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "oci" / "work"
    folder.mkdir(parents=True)
    others = ["key.pem", "key-mine.pem", "token-0", "notes"]
    for name in others:
        (folder / name).write_text("mine")
    for _ in range(4):
        assert run(BY_TOKEN).code == 0
    assert all((folder / name).read_text() == "mine" for name in others)


@pytest.mark.parametrize(
    "given",
    [
        {"access_key_id": "AKIA1"},
        {**BY_TOKEN, "private_key": ""},
        {**BY_TOKEN, "region": "x\nkey_file=/etc/passwd"},
        {**BY_TOKEN, "tenancy_ocid": "a\rb"},
        {**BY_TOKEN, "private_key": 7},
        ["key"],
        None,
    ],
)
def test_what_no_configuration_takes_is_not_written(run: Any, tmp_path: Path, given: Any) -> None:
    done = run(given)
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert not list((tmp_path / "oci").rglob("*.*")), "no key either"
    assert not (tmp_path / "oci" / "work" / "config").exists()


def test_a_folder_has_to_be_named_and_to_be_one(run: Any, tmp_path: Path) -> None:
    assert (
        run(BY_TOKEN, "--purpose", "x").err
        == "mcp-core-cloud: --format oci writes a folder. Name it: --output FOLDER\n"
    )
    (tmp_path / "file").write_text("")
    done = run(BY_TOKEN, "--output", str(tmp_path / "file"))
    assert (done.code, "cannot be made" in done.err) == (1, True)
