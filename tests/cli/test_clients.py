"""``mcp-core client`` and ``mcp-core resource``."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
from sqlalchemy import insert

from database.models import IssuedToken
from tests.cli.conftest import Terminal

CALLBACK = "https://files.example/callback"
FIELDS = {
    "client_id", "name", "kind", "application_type", "token_endpoint_auth_method", "redirect_uris", "exact_auth_method",
    "post_logout_redirect_uris", "grant_types", "scope", "resource", "require_pkce", "pkce", "claims_in_id_token",
    "only_groups", "id_token_signed_response_alg", "is_trusted", "is_vouched", "is_active", "created_at", "last_used_at",
}  # fmt: skip
SECRET = re.compile(r"mcp_cs_[0-9A-Za-z]{49}")


def create(terminal: Terminal, *options: str) -> Any:
    return terminal.json("client", "create", "--name", "Files", *options)


def test_a_web_application_gets_a_secret_once_and_defaults_that_fit(terminal: Terminal) -> None:
    made = create(terminal, "--redirect-uri", CALLBACK)
    assert set(made) == FIELDS | {"client_secret"}
    assert SECRET.fullmatch(made["client_secret"])
    shown = terminal.json("client", "show", made["client_id"])
    assert shown == {name: value for name, value in made.items() if name != "client_secret"}
    assert {name: shown[name] for name in ("kind", "application_type", "token_endpoint_auth_method")} == {
        "kind": "application",
        "application_type": "web",
        "token_endpoint_auth_method": "client_secret_basic",
    }
    assert shown["grant_types"] == ["authorization_code", "refresh_token"]
    assert (shown["require_pkce"], shown["is_trusted"], shown["is_vouched"], shown["is_active"]) == (
        *(True, False, True, True),
    )
    assert made["client_secret"] not in str(terminal.rows("SELECT * FROM oauth_clients"))
    (record,) = terminal.audit("client.created")
    assert (record["resource_id"], record["actor"][:4]) == (made["client_id"], "cli:")


def test_for_people_the_secret_comes_with_the_advice_to_keep_it(terminal: Terminal) -> None:
    shown = terminal.ok("client", "create", "--name", "Files", "--redirect-uri", CALLBACK)
    assert re.fullmatch(
        r"client_id      app_\w+\nclient_secret  mcp_cs_\w+\nKeep the secret now; it is not shown again\.\n", shown
    )


@pytest.mark.parametrize(
    "options, expected",
    [
        (
            ["--public", "--native", "--redirect-uri", "http://127.0.0.1/callback"],
            {"token_endpoint_auth_method": "none", "application_type": "native"},
        ),
        (["--public", "--auth-method", "none", "--redirect-uri", CALLBACK], {"token_endpoint_auth_method": "none"}),
        (
            ["--auth-method", "client_secret_post", "--redirect-uri", CALLBACK],
            {"token_endpoint_auth_method": "client_secret_post"},
        ),
        (
            ["--grant", "client_credentials", "--resource", "https://api.example/", "--scope", "files.read"],
            {"grant_types": ["client_credentials"], "resource": "https://api.example", "scope": "files.read"},
        ),
        (
            ["--redirect-uri", CALLBACK, "--redirect-uri", f"{CALLBACK}2", "--grant", "authorization_code"],
            {"redirect_uris": [CALLBACK, f"{CALLBACK}2"], "grant_types": ["authorization_code"]},
        ),
        (
            ["--redirect-uri", CALLBACK, "--post-logout-redirect-uri", "https://files.example/bye"],
            {"post_logout_redirect_uris": ["https://files.example/bye"]},
        ),
        (["--redirect-uri", CALLBACK, "--no-pkce", "--trusted"], {"require_pkce": False, "is_trusted": True}),
    ],
)
def test_each_option_does_what_it_says(terminal: Terminal, options: list[str], expected: dict[str, Any]) -> None:
    terminal.ok("resource", "add", "https://api.example", "--name", "API", "--scope", "files.read")
    made = create(terminal, *options)
    assert {name: made[name] for name in expected} == expected
    assert ("client_secret" in made) == (made["token_endpoint_auth_method"] != "none")


@pytest.mark.parametrize(
    "options, words",
    [
        (["--redirect-uri", "http://files.example/callback"], "redirect"),
        (["--redirect-uri", "https://files.example/*"], "redirect"),
        (["--redirect-uri", CALLBACK, "--post-logout-redirect-uri", "javascript:alert(1)"], "redirect"),
        (["--public"], "needs a redirect URI"),
        (["--public", "--redirect-uri", CALLBACK, "--no-pkce"], "cannot go without PKCE"),
        (["--public", "--redirect-uri", CALLBACK, "--grant", "client_credentials"], "cannot use client credentials"),
        (["--grant", "authorization_code"], "needs a redirect URI"),
        (["--redirect-uri", CALLBACK, "--scope", 'files"read'], "scope"),
        (["--redirect-uri", CALLBACK, "--resource", "https://unknown.example/"], "not registered"),
    ],
)
def test_what_cannot_be_registered_is_refused_with_its_reason(
    terminal: Terminal, options: list[str], words: str
) -> None:
    assert words in terminal.refused("client", "create", "--name", "Files", *options)
    assert terminal.json("client", "list") == []


def test_an_empty_name_is_refused(terminal: Terminal) -> None:
    assert "name" in terminal.refused("client", "create", "--name", " ", "--redirect-uri", CALLBACK)


def test_list_shows_applications_and_no_api_keys(terminal: Terminal) -> None:
    assert "mcp-core client create --help" in terminal.ok("client", "list")
    made = create(terminal, "--redirect-uri", CALLBACK)
    terminal.user("ana")
    terminal.ok("api-key", "create", "--user", "ana", "--name", "nightly")
    (listed,) = terminal.json("client", "list")
    assert (listed["client_id"], set(listed)) == (made["client_id"], FIELDS)
    heading, row = terminal.ok("client", "list").splitlines()
    assert heading.startswith("CLIENT ID ")
    assert row.split()[:2] == [made["client_id"], "Files"]


def test_disable_enable_and_delete(terminal: Terminal) -> None:
    name = create(terminal, "--redirect-uri", CALLBACK)["client_id"]
    assert terminal.ok("client", "disable", name) == f'"Files" ({name}) is disabled.\n'
    assert terminal.json("client", "show", name)["is_active"] is False
    assert terminal.ok("client", "enable", name) == f'"Files" ({name}) is enabled.\n'
    assert terminal.json("client", "show", name)["is_active"] is True
    assert terminal.ok("client", "delete", name) == f'Deleted "Files" ({name}).\n'
    assert terminal.json("client", "list") == []
    events = [terminal.audit(f"client.{word}") for word in ("disabled", "enabled", "deleted")]
    assert [(len(found), found[0]["resource_id"]) for found in events] == [(1, name)] * 3


def test_a_name_cannot_pass_for_words_of_the_terminal(terminal: Terminal) -> None:
    name = 'All is well" (app_x) is enabled. NAME ' + "x" * 100
    made = terminal.json("client", "create", "--name", name, "--redirect-uri", CALLBACK)["client_id"]
    row = terminal.ok("client", "list").splitlines()[1]
    assert "All is well' (app_x) is enabled. NAME xx" not in row
    assert row.split("  ")[1] == "All is well' (app_x) is enabled. NAME x…"
    shown = terminal.ok("client", "disable", made)
    assert shown == f'"All is well\' (app_x) is enabled. NAME x…" ({made}) is disabled.\n'
    assert terminal.json("client", "show", made)["name"] == name, "programs get it as it is"


def test_disabling_says_what_has_ended_for_good(terminal: Terminal) -> None:
    name = create(terminal, "--redirect-uri", CALLBACK)["client_id"]
    terminal.ok("resource", "add", "https://api.example", "--name", "API", "--scope", "files.read")
    engine, now = terminal.engine(), datetime.datetime.now(datetime.UTC)
    with engine.begin() as connection:
        row_id = connection.exec_driver_sql("SELECT id FROM oauth_clients").scalar_one()
        for number in range(3):
            token = {"jti": f"{number:036}", "client_id": row_id, "grant_type": "client_credentials", "scope": ""}
            times = {"issued_at": now, "expires_at": now + datetime.timedelta(seconds=600)}
            connection.execute(insert(IssuedToken), {**token, **times, "audience": "https://api.example"})
    engine.dispose()
    removed = terminal.ok("resource", "remove", "https://api.example")
    assert removed == "Removed https://api.example. Ended for good: access tokens 3.\n"
    assert terminal.ok("client", "disable", name) == f'"Files" ({name}) is disabled. Ended for good: access tokens 3.\n'
    assert terminal.ok("client", "disable", name) == f'"Files" ({name}) was disabled already.\n'
    assert terminal.ok("client", "enable", name) == f'"Files" ({name}) is enabled.\n'
    assert terminal.ok("client", "enable", name) == f'"Files" ({name}) was enabled already.\n'
    assert len(terminal.audit("client.disabled")) == 1


@pytest.mark.parametrize("command", ["show", "disable", "enable", "delete", "rotate-secret"])
def test_an_unknown_client_is_refused(terminal: Terminal, command: str) -> None:
    assert terminal.refused("client", command, "app_nobody") == "There is no client app_nobody."


def test_an_api_key_is_revoked_and_never_deleted(terminal: Terminal) -> None:
    terminal.user("ana")
    key = terminal.json("api-key", "create", "--user", "ana", "--name", "nightly")["key_id"]
    assert terminal.refused("client", "delete", key) == (
        f"{key} is an API key. Revoke it with: mcp-core api-key revoke {key}"
    )


def test_rotating_replaces_the_secret_and_shows_the_new_one_once(terminal: Terminal) -> None:
    made = create(terminal, "--redirect-uri", CALLBACK)
    before = terminal.rows("SELECT secret_hash FROM oauth_clients")
    rotated = terminal.json("client", "rotate-secret", made["client_id"])
    assert SECRET.fullmatch(rotated["client_secret"])
    assert rotated["client_secret"] != made["client_secret"]
    assert terminal.rows("SELECT secret_hash FROM oauth_clients") != before
    assert len(terminal.audit("client.secret_rotated")) == 1


def test_a_public_client_has_no_secret_to_rotate(terminal: Terminal) -> None:
    made = create(terminal, "--public", "--redirect-uri", CALLBACK)
    assert "has no secret" in terminal.refused("client", "rotate-secret", made["client_id"])


def test_a_resource_is_added_listed_and_removed(terminal: Terminal) -> None:
    uri = "https://files.example/mcp"
    assert "mcp-core resource add --help" in terminal.ok("resource", "list")
    made = terminal.json(
        *("resource", "add", uri, "--name", "Files", "--scope", "files.read files.write", "--token-alg", "ES256"),
        *("--admin-scope", "files.write", "--access-token-seconds", "300"),
    )
    assert made == {
        "uri": uri,
        "name": "Files",
        "scope": "files.read files.write",
        "admin_scope": "files.write",
        "token_alg": "ES256",
        "access_token_seconds": 300,
        "introspection_clients": [],
        "descriptions": {},
        "token_typ": "at+jwt",
        "groups_claim": False,
        "scope_groups": {},
    }
    assert terminal.json("resource", "list") == [made]
    assert terminal.ok("resource", "list").splitlines()[1].split()[:2] == [uri, "Files"]
    assert terminal.ok("resource", "remove", uri) == f"Removed {uri}.\n"
    assert terminal.json("resource", "list") == []
    assert [len(terminal.audit(f"resource.{word}")) for word in ("added", "removed")] == [1, 1]


def test_defaults_of_a_resource(terminal: Terminal) -> None:
    made = terminal.json("resource", "add", "https://api.example/", "--name", "A", "--scope", "a")
    assert (made["admin_scope"], made["token_alg"], made["access_token_seconds"]) == ("", "RS256", None)


@pytest.mark.parametrize(
    "options, words",
    [
        (["https://api.example/#part", "--scope", "a"], "fragment"),
        (["api.example", "--scope", "a"], "absolute"),
        (["https://api.example/", "--scope", "openid"], "belong to this server"),
        (["https://api.example/", "--scope", "a", "--admin-scope", "b"], "must be among the scopes"),
        (["https://api.example/", "--scope", 'a"b'], "scope"),
        (["javascript:x", "--scope", "a"], "https"),
    ],
)
def test_what_is_no_resource_is_refused(terminal: Terminal, options: list[str], words: str) -> None:
    assert words in terminal.refused("resource", "add", *options, "--name", "API").lower()
    assert terminal.json("resource", "list") == []


def test_a_resource_is_registered_once_in_whatever_spelling(terminal: Terminal) -> None:
    terminal.ok("resource", "add", "https://api.example/", "--name", "A", "--scope", "a")
    for uri in ("https://api.example/", "https://API.example", "https://api.example:443"):
        assert "registered already" in terminal.refused("resource", "add", uri, "--name", "A", "--scope", "a")
    assert "not registered" in terminal.refused("resource", "remove", "https://other.example/")


DESCRIBED = ("--describe", "files.read=Read = see your files", "--describe-ko", "files.read=내 파일 읽기")


def test_an_api_is_changed_option_by_option(terminal: Terminal) -> None:
    uri = "https://files.example/mcp"
    made = terminal.json("resource", "add", uri, "--name", "Files", "--scope", "files.read files.write", *DESCRIBED)
    assert made["descriptions"] == {"files.read": {"en": "Read = see your files", "ko": "내 파일 읽기"}}
    changed = terminal.json(
        *(
            "resource",
            "update",
            uri,
            "--add-scope",
            "files.delete",
            "--remove-scope",
            "files.write",
            "--name",
            "My files",
        ),
        *("--admin-scope", "files.delete", "--describe", "files.delete=Delete files", "--describe", "files.read="),
        *("--token-typ", "JWT", "--token-alg", "ES256", "--access-token-seconds", "60"),
    )
    assert changed == {
        **made,
        "name": "My files",
        "scope": "files.read files.delete",
        "admin_scope": "files.delete",
        "descriptions": {"files.read": {"ko": "내 파일 읽기"}, "files.delete": {"en": "Delete files"}},
        "token_typ": "JWT",
        "token_alg": "ES256",
        "access_token_seconds": 60,
    }
    assert terminal.json("resource", "list") == [changed]
    assert "files.delete=Delete files" in terminal.ok("resource", "update", uri, "--access-token-seconds", "0")
    assert terminal.json("resource", "update", uri) == {**changed, "access_token_seconds": None}
    assert len(terminal.audit("resource.changed")) == 2


@pytest.mark.parametrize(
    "options, words",
    [
        (["--remove-scope", "files.delete"], "no scope files.delete"),
        (["--describe", "files.delete=Delete"], "none of its scopes (files.read)"),
        (["--describe", "Read your files"], "SCOPE=WORDS"),
        (["--describe-ko", "files.read=a\x1b[2J"], "printable"),
        (["--admin-scope", "files.delete"], "among the scopes"),
        (["--add-scope", "openid"], "belong to this server"),
        (["--access-token-seconds", "29"], "30 to 900"),
        (["--name", ""], "name"),
    ],
)
def test_a_wrong_change_of_an_api_changes_nothing(terminal: Terminal, options: list[str], words: str) -> None:
    uri = "https://files.example/mcp"
    made = terminal.json("resource", "add", uri, "--name", "Files", "--scope", "files.read")
    assert words in terminal.refused("resource", "update", uri, *options)
    assert "not registered" in terminal.refused("resource", "update", "http://localhost:8000/oauth", "--name", "Own")
    assert terminal.json("resource", "list") == [made]
