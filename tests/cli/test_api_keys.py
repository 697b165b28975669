"""``mcp-core api-key``."""

from __future__ import annotations

import datetime
import re

import pytest

from provider.accounts.key_rotation import OVERLAP_HOURS
from provider.cli.api_keys import HOURS
from tests.cli.conftest import Terminal

FIELDS = {
    "key_id", "name", "owner", "scope", "resource", "state", "created_at", "last_used_at", "last_used_address",
    "expires_at", "revoked_at",
}  # fmt: skip
SECRET = re.compile(r"mcp_ak_[0-9A-Za-z]{49}")


@pytest.fixture
def owned(terminal: Terminal) -> Terminal:
    terminal.user("ana")
    terminal.user("bora")
    terminal.ok(
        *("resource", "add", "https://files.example/mcp", "--name", "Files"),
        *("--scope", "files.read files.purge", "--admin-scope", "files.purge"),
    )
    terminal.ok("resource", "add", "https://notes.example/mcp", "--name", "Notes", "--scope", "notes.read")
    return terminal


@pytest.mark.parametrize("options", [[], ["--scope", ""], ["--resource", "https://files.example/mcp"]])
def test_a_key_has_no_scope_unless_it_is_given_one(owned: Terminal, options: list[str]) -> None:
    made = owned.json("api-key", "create", "--user", "ana", "--name", "nightly", *options)
    assert made["scope"] == ""


def test_scopes_and_everything_exclude_each_other(owned: Terminal) -> None:
    given = ("--user", "ana", "--name", "n", "--scope", "notes.read", "--everything")
    said = owned.misused("api-key", "create", *given)
    assert "--scope and --everything contradict each other." in said


def test_everything_is_all_that_the_owner_has(owned: Terminal) -> None:
    made = owned.json("api-key", "create", "--user", "ana", "--name", "nightly", "--everything")
    assert set(made) == FIELDS | {"key_secret"}
    assert SECRET.fullmatch(made["key_secret"])
    assert (made["owner"], made["state"], made["resource"], made["expires_at"]) == ("ana", "live", None, None)
    assert set(made["scope"].split()) == {"files.read", "notes.read"}, "what only administrators have is not hers"
    assert made["key_secret"] not in str(owned.rows("SELECT * FROM oauth_clients"))
    assert owned.rows("SELECT api_key FROM users WHERE username = 'ana'") == [{"api_key": made["key_id"]}]
    (record,) = owned.audit("api_key.created")
    assert (record["resource_id"], record["actor"][:4]) == (made["key_id"], "cli:")


def test_scope_resource_and_life_can_be_limited(owned: Terminal) -> None:
    made = owned.json(
        *("api-key", "create", "--user", "ana@example.org", "--name", "nightly", "--scope", "files.read"),
        *("--resource", "https://files.example/mcp", "--expires-in-days", "30"),
    )
    assert (made["scope"], made["resource"]) == ("files.read", "https://files.example/mcp")
    life = datetime.datetime.fromisoformat(made["expires_at"]) - datetime.datetime.fromisoformat(made["created_at"])
    assert life == datetime.timedelta(days=30)


def test_for_people_the_secret_is_shown_with_the_advice_to_keep_it(owned: Terminal) -> None:
    shown = owned.ok("api-key", "create", "--user", "ana", "--name", "nightly")
    assert re.match(r"key_id      key_\w+\nkey_secret  mcp_ak_\w+\n", shown)
    assert shown.endswith("Keep the secret now; it is not shown again.\n")


@pytest.mark.parametrize(
    "options, words",
    [
        (["--user", "nobody"], "There is no user nobody."),
        (["--user", "ana", "--scope", "files.purge"], "does not have"),
        (["--user", "ana", "--scope", "unknown"], "No API has the scope unknown"),
        (["--user", "ana", "--scope", "notes.read", "--resource", "https://files.example/mcp"], "does not have"),
        (["--user", "ana", "--resource", "https://unknown.example/"], "not registered"),
        (["--user", "ana", "--name", ""], "name"),
    ],
)
def test_a_key_never_holds_more_than_its_owner(owned: Terminal, options: list[str], words: str) -> None:
    named = options if "--name" in options else [*options, "--name", "nightly"]
    assert words in owned.refused("api-key", "create", *named)
    assert owned.json("api-key", "list") == []


def test_nobody_has_more_keys_than_a_user_can_have(owned: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provider.accounts.api_keys.MAX_LIVE", 1)
    owned.ok("api-key", "create", "--user", "ana", "--name", "nightly")
    said = owned.refused("api-key", "create", "--user", "ana", "--name", "weekly")
    assert said == "A user can have 1 keys that work: revoke one that is not needed any more."
    owned.ok("api-key", "create", "--user", "bora", "--name", "weekly")


def test_list_is_of_everybody_or_of_one(owned: Terminal) -> None:
    assert "mcp-core api-key create --help" in owned.ok("api-key", "list")
    owned.ok("api-key", "create", "--user", "ana", "--name", "first")
    owned.ok("api-key", "create", "--user", "bora", "--name", "second")
    both = owned.json("api-key", "list")
    assert [(key["owner"], key["name"], set(key)) for key in both] == [
        ("ana", "first", FIELDS),
        ("bora", "second", FIELDS),
    ]
    assert [key["name"] for key in owned.json("api-key", "list", "--user", "bora")] == ["second"]
    heading, row = owned.ok("api-key", "list", "--user", "ana").splitlines()
    assert heading.split()[:2] == ["KEY", "ID"]
    assert row.split()[1:3] == ["first", "ana"]


def test_revoking_ends_a_key_and_keeps_it_in_the_list(owned: Terminal) -> None:
    key = owned.json("api-key", "create", "--user", "ana", "--name", "nightly")["key_id"]
    assert owned.ok("api-key", "revoke", key) == f'Revoked "nightly" ({key}).\n'
    (listed,) = owned.json("api-key", "list")
    assert (listed["state"], listed["revoked_at"] is None) == ("revoked", False)
    assert owned.rows("SELECT api_key FROM users WHERE username = 'ana'") == [{"api_key": None}]
    assert owned.refused("api-key", "revoke", key) == f'"nightly" ({key}) had ended already.'
    assert len(owned.audit("api_key.revoked")) == 1


def test_only_an_api_key_can_be_revoked_as_one(owned: Terminal) -> None:
    client = owned.json("client", "create", "--name", "Files", "--redirect-uri", "https://files.example/cb")[
        "client_id"
    ]
    assert owned.refused("api-key", "revoke", client) == f"{client} is no API key."
    assert owned.refused("api-key", "revoke", "key_nobody") == "There is no client key_nobody."


def test_the_list_tells_an_expired_key_and_a_disabled_one_from_a_live_one(owned: Terminal) -> None:
    names = ["live", "over", "off"]
    for name in names:
        owned.ok("api-key", "create", "--user", "ana", "--name", name, "--expires-in-days", "1")
    engine = owned.engine()
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE oauth_clients SET expires_at = '2026-01-01 00:00:00' WHERE name = 'over'")
        connection.exec_driver_sql("UPDATE oauth_clients SET is_active = 0 WHERE name = 'off'")
    engine.dispose()
    assert {key["name"]: key["state"] for key in owned.json("api-key", "list")} == {
        "live": "live",
        "over": "expired",
        "off": "disabled",
    }


def test_a_key_gets_another_secret_beside_which_the_old_one_works_on(owned: Terminal) -> None:
    made = owned.json("api-key", "create", "--user", "ana", "--name", "nightly")
    rotated = owned.json("api-key", "rotate", made["key_id"], "--overlap-hours", "24")
    assert (rotated["key_id"], rotated["overlap_hours"]) == (made["key_id"], 24)
    assert SECRET.fullmatch(rotated["key_secret"])
    assert rotated["key_secret"] != made["key_secret"]
    (row,) = owned.rows("SELECT previous_secret_hash, previous_secret_until, secret_rotated_at FROM oauth_clients")
    assert None not in row.values()
    assert SECRET.search(owned.ok("api-key", "rotate", made["key_id"]))
    (row,) = owned.rows("SELECT previous_secret_until FROM oauth_clients")
    assert row["previous_secret_until"] is None, "at once, unless hours are given"
    assert len(owned.audit("api_key.rotated")) == 2
    assert tuple(map(int, HOURS)) == OVERLAP_HOURS
    owned.ok("api-key", "revoke", made["key_id"])
    assert "has ended" in owned.refused("api-key", "rotate", made["key_id"])
    app = owned.json("client", "create", "--name", "Files", "--redirect-uri", "https://files.example/callback")
    assert owned.refused("api-key", "rotate", app["client_id"]) == f"{app['client_id']} is no API key."


def test_an_operator_makes_no_key_for_somebodys_clouds(owned: Terminal) -> None:
    said = owned.refused("api-key", "create", "--user", "ana", "--name", "n", "--scope", "cloud:credentials")
    assert "A key for cloud credentials is made by its owner, who has just given a second factor." in said
    assert owned.rows("SELECT client_id FROM oauth_clients WHERE kind = 'api_key'") == []
