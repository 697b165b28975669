"""``mcp-core-cloud`` against a running provider: what it prints for each kind of program, and what it says when it can't."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mcp_core_cloud.examples import EXAMPLES
from tests.cloud_command.conftest import KEY_ID, SECRET, Cloud
from tests.serving import ROOT
from tests.waiting import HANG_SECONDS

CONFIGURATION = 'issuer = "{issuer}"\nkey_id = "{key_id}"\nkey_secret = "{secret}"\n'
NO_KEY: dict[str, str | None] = {"MCP_CORE_ISSUER": None, "MCP_CORE_KEY_ID": None, "MCP_CORE_KEY_SECRET": None}


def written(cloud: Cloud, path: Path, mode: int = 0o600, **changes: str) -> Path:
    said = {"issuer": cloud.issuer, "key_id": cloud.key.client_id, "secret": cloud.secret, **changes}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(CONFIGURATION.format(**said))
    path.chmod(mode)
    return path


# What is printed


def test_aws_gets_what_credential_process_wants(cloud: Cloud, run: Any) -> None:
    ran = run("credentials", "work", "--format", "aws", "--purpose", "a nightly backup")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == {"Version": 1, "AccessKeyId": KEY_ID, "SecretAccessKey": SECRET}
    assert cloud.purposes()[-1] == "a nightly backup"
    run("credentials", "work", "--format", "aws")
    assert cloud.purposes()[-1].startswith("mcp-core-cloud on ")


def test_json_is_the_answer_and_env_is_for_a_shell(cloud: Cloud, run: Any) -> None:
    said = json.loads(run("credentials", "work").out)
    assert said["credentials"] == {"access_key_id": KEY_ID, "secret_access_key": SECRET, "region": "eu-central-1"}
    lines = run("credentials", "work", "--format", "env").out
    shell = f'{lines}printf "%s|" "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" "$AWS_REGION" "$AWS_DEFAULT_REGION"'
    printed = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=HANG_SECONDS, check=True)
    assert printed.stdout == f"{KEY_ID}|{SECRET}|eu-central-1|eu-central-1|"


def test_accounts_are_listed(cloud: Cloud, run: Any) -> None:
    lines = run("list").out.splitlines()
    assert [line.split() for line in lines] == [["label", "provider", "mode"], ["work", "aws", "secret"]]


def test_a_file_is_written_for_its_owner_alone_and_whole(cloud: Cloud, run: Any, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text("before")
    path.chmod(0o644)
    ran = run("credentials", "work", "--output", str(path))
    assert (ran.code, ran.out) == (0, "")
    assert json.loads(path.read_text())["account"]["label"] == "work"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [it.name for it in tmp_path.iterdir() if "out.json" in it.name] == ["out.json"], "nothing is left beside it"
    ran = run("credentials", "work", "--output", str(tmp_path / "nowhere" / "x"))
    assert (ran.code, ran.out) == (1, "")
    assert "cannot be written" in ran.err


# Where the key comes from


def test_the_environment_comes_before_the_file_and_the_command_line_before_both(
    cloud: Cloud, run: Any, tmp_path: Path
) -> None:
    usual = written(cloud, tmp_path / "config" / "mcp-core" / "cloud.toml")
    assert run("list", **NO_KEY).code == 0
    written(cloud, usual, secret="wrong")
    assert run("list").code == 0
    assert run("list", **NO_KEY).code == 1
    other = written(cloud, tmp_path / "other.toml")
    assert run("list", "--key-file", str(other), MCP_CORE_KEY_SECRET="wrong").code == 0
    assert run("list", "--issuer", "http://localhost:1/oauth").code == 1
    kept = tmp_path / "secret"
    kept.write_text(f"{cloud.secret}\n")
    assert run("list", MCP_CORE_KEY_SECRET=None, MCP_CORE_KEY_SECRET_FILE=str(kept)).code == 0


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644, 0o660, 0o700 | 0o004])
def test_a_file_that_others_can_read_is_refused(cloud: Cloud, run: Any, tmp_path: Path, mode: int) -> None:
    path = written(cloud, tmp_path / "key.toml", mode)
    ran = run("list", "--key-file", str(path), **NO_KEY)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"mcp-core-cloud: {path} can be read by others. Run: chmod 600 {path}\n"


def test_configure_tries_the_key_and_keeps_it(
    cloud: Cloud, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config" / "mcp-core" / "cloud.toml"
    for secret, code in ((cloud.secret[:-1], 1), (cloud.secret, 0)):
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{cloud.issuer}/\n {cloud.key.client_id}\n{secret}\n"))
        ran = run("configure", **NO_KEY)
        assert (ran.code, path.exists()) == (code, code == 0)
        assert secret not in ran.out + ran.err
    assert ran.out == f"The key works: 1 cloud account. Kept in {path}\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert run("list", **NO_KEY).code == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert run("configure", **NO_KEY).code == 1


# What is refused, in one line and without a secret

WRONG: list[tuple[tuple[str, ...], dict[str, str | None], str]] = [
    (("list",), {"MCP_CORE_KEY_SECRET": "wrong"}, "The server does not take this key (any more)."),
    (("list",), {"MCP_CORE_KEY_ID": "key_unknown"}, "The server does not take this key (any more)."),
    (("list",), NO_KEY, "There is no issuer. Run: mcp-core-cloud configure"),
    (("list",), {"MCP_CORE_KEY_SECRET": None}, "There is no key_secret. Run: mcp-core-cloud configure"),
    (("list",), {"MCP_CORE_KEY_SECRET": "with blank"}, "The key id or the key's secret has not the form of one."),
    (("list",), {"MCP_CORE_ISSUER": "http://auth.example/oauth"}, "The issuer must be an https URL"),
    (("list",), {"MCP_CORE_ISSUER": "ftp://localhost"}, "The issuer must be an https URL"),
    (("list",), {"MCP_CORE_ISSUER": "http://localhost:1"}, "localhost:1 cannot be reached (ConnectError)."),
    (("list",), {"MCP_CORE_KEY_SECRET": None, "MCP_CORE_KEY_SECRET_FILE": "/no/such"}, "/no/such cannot be read."),
    (("credentials", "home"), {}, "There is no cloud account 'home'. See: mcp-core-cloud list"),
    (("credentials", "../work?x"), {}, "There is no cloud account '../work?x'."),
    (("credentials", "work", "--purpose", "a\nb"), {}, "purpose is needed"),
    (("credentials", "work", "--purpose", "x" * 201), {}, "purpose is needed"),
    (("credentials", "work", "--format", "azure"), {}, "This account has no such thing to give."),
    (("credentials", "work", "--format", "gcp"), {}, "This account has no such thing to give."),
    (("list", "--key-file", "/no/such"), {}, "There is no /no/such."),
]


@pytest.mark.parametrize("arguments, variables, words", WRONG)
def test_a_refusal_is_one_clear_line(
    cloud: Cloud, run: Any, arguments: tuple[str, ...], variables: dict[str, str | None], words: str
) -> None:
    ran = run(*arguments, **variables)
    assert ran.code == 1
    assert ran.err.startswith(f"mcp-core-cloud: {words}")
    assert ran.err.count("\n") == 1
    assert cloud.secret not in ran.err + ran.out
    assert SECRET not in ran.err + ran.out


@pytest.mark.parametrize(
    "text", ["", "x = ", 'issuer = 7\nkey_id = "a"\n', 'password = "x"', "\x00", '[issuer]\na = "b"']
)
def test_a_broken_file_is_named_and_not_shown(run: Any, tmp_path: Path, text: str) -> None:
    path = tmp_path / "key.toml"
    path.write_text(text)
    path.chmod(0o600)
    ran = run("list", "--key-file", str(path), **NO_KEY)
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "password" not in ran.err


def test_an_ended_key_and_one_for_something_else_are_refused(cloud: Cloud, run: Any) -> None:
    services, origin = cloud.services, cloud.origin
    with cloud.begin() as tx:
        services.resources.add(tx, origin, uri="https://api.example/", name="Notes", scope=("notes:read",))
        other, secret = services.api_keys.create(
            tx, origin, cloud.owner, name="Other", scope=None, expires_in_days=None, resource=None
        )
    ran = run("list", MCP_CORE_KEY_ID=other.client_id, MCP_CORE_KEY_SECRET=secret)
    assert (ran.code, ran.err) == (1, "mcp-core-cloud: This key was not made for cloud credentials.\n")
    eve = cloud.user("eve")
    hers, secret = cloud.cloud_key(eve)
    said = {"MCP_CORE_KEY_ID": hers.client_id, "MCP_CORE_KEY_SECRET": secret}
    assert run("list", **said).out == "label  provider  mode\n"
    assert run("credentials", "work", **said).code == 1
    with cloud.begin() as tx:
        services.api_keys.revoke(tx, origin, eve.id, hers.id)
    assert run("list", **said).err == "mcp-core-cloud: The server does not take this key (any more).\n"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("credentials",),
        ("credentials", "work", "--format", "yaml"),
        ("credentials", "work", "--form", "aws"),
        ("credentials", "work", "more"),
        ("nothing",),
        ("list", "--secret", "x"),
    ],
)
def test_wrong_usage(run: Any, arguments: tuple[str, ...]) -> None:
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("usage: mcp-core-cloud")


def test_the_help_shows_what_to_paste(run: Any) -> None:
    for arguments in (("--help",), ("credentials", "--help")):
        ran = run(*arguments)
        assert ran.code == 0
        assert EXAMPLES.strip() in ran.out
    for words in ("credential_process = mcp-core-cloud", '"credential_source"', "AZURE_FEDERATED_TOKEN_FILE"):
        assert words in EXAMPLES


def test_it_runs_as_a_program_of_its_own(cloud: Cloud, tmp_path: Path) -> None:
    """Without anything of the server: the verifier's folder is all that it sees."""
    (tmp_path / "home").mkdir()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mcp_core_cloud", "credentials", "work", "--format", "aws"],
        env={**cloud.environment, "PYTHONPATH": str(ROOT / "verifier"), "HOME": str(tmp_path / "home"), "PATH": "/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["SecretAccessKey"] == SECRET
