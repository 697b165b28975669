"""``mcp-core registration-token``, ``mcp-core protect`` and the metadata options of ``client create``."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Terminal

TOKEN = re.compile(r"mcp_init_[0-9A-Za-z]{49}")
URL = "https://notes.example/mcp"
CALLBACK = "https://files.example/callback"
KEYS = {"keys": [{"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}]}


def token(terminal: Terminal, *options: str) -> Any:
    return terminal.json("registration-token", "create", "--name", "team", *options)


def test_a_token_is_shown_once_and_listed_without_it(terminal: Terminal) -> None:
    made = token(terminal, "--uses", "5", "--expires-in-days", "7", "--no-pkce")
    assert TOKEN.fullmatch(made.pop("token"))
    assert terminal.json("registration-token", "list") == [made]
    assert (made["name"], made["state"], made["uses_left"], made["require_pkce"]) == ("team", "live", 5, False)
    life = datetime.datetime.fromisoformat(made["expires_at"]) - datetime.datetime.fromisoformat(made["created_at"])
    assert life == datetime.timedelta(days=7)
    assert not TOKEN.search(str(terminal.rows("SELECT * FROM registration_tokens")))
    (record,) = terminal.audit("registration_token.created")
    assert (record["resource_id"], record["actor"][:4]) == (made["id"], "cli:")


def test_for_people_a_token_comes_with_the_advice_to_keep_it(terminal: Terminal) -> None:
    shown = terminal.ok("registration-token", "create", "--name", "team")
    assert TOKEN.search(shown)
    assert "not shown again" in shown
    heading, row = terminal.ok("registration-token", "list").splitlines()
    assert heading.split()[:3] == ["ID", "NAME", "STATE"]
    assert row.split()[1:4] == ["team", "live", "-"]
    assert not TOKEN.search(row)


def test_without_tokens_the_list_says_how_to_make_one(terminal: Terminal) -> None:
    assert "registration-token create --help" in terminal.ok("registration-token", "list")


def test_a_revoked_token_is_listed_as_such(terminal: Terminal) -> None:
    made = token(terminal)
    assert terminal.ok("registration-token", "revoke", made["id"]) == f"Revoked {made['id']}.\n"
    (listed,) = terminal.json("registration-token", "list")
    assert listed["state"] == "revoked"
    assert "or it had ended" in terminal.refused("registration-token", "revoke", made["id"])
    assert "There is no registration token x" in terminal.refused("registration-token", "revoke", "x")
    assert len(terminal.audit("registration_token.revoked")) == 1


@pytest.mark.parametrize(
    "statement, state",
    [
        ("UPDATE registration_tokens SET uses_left = 0", "used up"),
        ("UPDATE registration_tokens SET expires_at = '2026-01-01 00:00:00.000000'", "expired"),
    ],
)
def test_a_token_that_is_over_says_why(terminal: Terminal, statement: str, state: str) -> None:
    token(terminal, "--uses", "1")
    engine = terminal.engine()
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
    assert terminal.json("registration-token", "list")[0]["state"] == state


def test_a_name_that_nobody_could_read_is_refused(terminal: Terminal) -> None:
    assert "printable" in terminal.refused("registration-token", "create", "--name", "a\x1b[2J")
    assert terminal.json("registration-token", "list") == []


def test_protect_registers_once_and_prints_the_metadata(terminal: Terminal) -> None:
    options = ("--scope", "notes:read notes:write", "--name", "Notes", "--token-alg", "ES256")
    said = terminal.json("protect", URL, *options)
    assert said == {
        "metadata_url": "https://notes.example/.well-known/oauth-protected-resource/mcp",
        "metadata": {
            "resource": URL,
            "authorization_servers": ["http://localhost:8000/oauth"],
            "scopes_supported": ["notes:read", "notes:write"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Notes",
        },
    }
    (resource,) = terminal.json("resource", "list")
    assert (resource["uri"], resource["token_alg"], resource["name"]) == (URL, "ES256", "Notes")
    for again in (URL, URL + "/", "https://NOTES.example:443/mcp"):
        assert terminal.json("protect", again) == said
    assert terminal.json("protect", URL, *options) == said
    assert terminal.json("resource", "list") == [resource]
    assert len(terminal.audit("resource.added")) == 1
    assert terminal.audit("resource.changed") == []


@pytest.mark.parametrize(
    "options, changes",
    [
        (["--name", "Memos"], {"name": "Memos"}),
        (["--token-alg", "ES256"], {"token_alg": "ES256"}),
        (["--token-typ", "JWT"], {"token_typ": "JWT"}),
        (["--scope", "notes:delete mcp:use"], {"scope": "notes:delete mcp:use"}),
        (["--describe", "mcp:use=Use it"], {"descriptions": {"mcp:use": {"en": "Use it"}}}),
        (["--describe-ko", "mcp:use=쓰기"], {"descriptions": {"mcp:use": {"ko": "쓰기"}}}),
    ],
)
def test_protect_applies_new_options_to_what_is_registered(
    terminal: Terminal, options: list[str], changes: dict[str, object]
) -> None:
    terminal.json("protect", URL)
    (before,) = terminal.json("resource", "list")
    shown = terminal.ok("protect", URL, *options)
    assert terminal.json("resource", "list") == [{**before, **changes}]
    assert ("token_typ='JWT')" in shown) == ("JWT" in options)
    assert len(terminal.audit("resource.changed")) == 1


@pytest.mark.parametrize(
    "options, words",
    [
        (["--scope", "notes:read"], "--remove-scope mcp:use"),
        (["--scope", ""], "at least one scope"),
        (["--describe", "mcp:uses=Use it"], "Did you mean mcp:use?"),
        (["--name", "a\x1b"], "printable"),
    ],
)
def test_protect_refuses_what_it_does_not_apply(terminal: Terminal, options: list[str], words: str) -> None:
    terminal.json("protect", URL)
    before = terminal.json("resource", "list")
    assert words in terminal.refused("protect", URL, *options)
    assert terminal.json("resource", "list") == before


@pytest.mark.parametrize(
    "scope, words",
    [
        (
            "nosuch",
            "There are: openid profile email phone address groups offline_access notes:read notes:write",
        ),
        ("openid note:read", "Did you mean notes:read?"),
        ("notes:raed notes:write", "Did you mean notes:read?"),
        ("Notes:Read", "Did you mean notes:read?"),
        ("open_id", "Did you mean openid?"),
    ],
)
def test_a_scope_that_no_api_has_is_refused_at_the_terminal(terminal: Terminal, scope: str, words: str) -> None:
    terminal.user("ana")
    terminal.json("protect", URL, "--scope", "notes:read notes:write")
    for asked in (create("--scope", scope), ("api-key", "create", "--user", "ana", "--name", "k", "--scope", scope)):
        assert words in terminal.refused(*asked)
    assert "It has no scope" in terminal.refused("resource", "update", URL, "--remove-scope", scope)
    assert terminal.json("client", "list") == terminal.json("api-key", "list") == []


def test_an_operator_says_which_clients_are_an_api(terminal: Terminal) -> None:
    terminal.json("protect", URL)
    first, second = (
        terminal.json("client", "create", "--name", name, "--grant", "client_credentials")["client_id"]
        for name in ("Notes API", "Its twin")
    )
    said = terminal.json("resource", "set", URL, "--introspection-client", first, "--introspection-client", second)
    assert said["introspection_clients"] == [first, second]
    assert terminal.json("resource", "list") == [said]
    assert second in terminal.ok("resource", "set", f"{URL}", "--introspection-client", second)
    assert terminal.json("resource", "list")[0]["introspection_clients"] == [second]
    assert terminal.json("resource", "set", URL, "--introspection-client", "")["introspection_clients"] == []
    assert [json.loads(event["metadata"])["introspection_clients"] for event in terminal.audit("resource.changed")] == [
        [first, second], [second], None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "uri, who, words",
    [
        (URL, "a public client", "has a secret or a key"),
        (URL, "an API key", "no application"),
        (URL, "nobody", "There is no client"),
        ("https://unknown.example/", "a client", "not registered"),
        ("http://localhost:8000/oauth", "a client", "not registered"),
    ],
)
def test_not_everybody_can_be_an_api(terminal: Terminal, uri: str, who: str, words: str) -> None:
    terminal.json("protect", URL)
    terminal.user("ana")
    ids = {
        "a public client": lambda: terminal.json(
            *("client", "create", "--name", "App", "--public", "--redirect-uri", "https://app.example/cb")
        )["client_id"],
        "an API key": lambda: terminal.json("api-key", "create", "--user", "ana", "--name", "nightly")["key_id"],
        "nobody": lambda: "app_nobody",
        "a client": lambda: terminal.json("client", "create", "--name", "A", "--grant", "client_credentials")[
            "client_id"
        ],
    }
    assert words in terminal.refused("resource", "set", uri, "--introspection-client", ids[who]())
    assert terminal.json("resource", "list")[0]["introspection_clients"] == []


def test_protect_prints_lines_for_each_framework(terminal: Terminal) -> None:
    shown = terminal.ok("protect", URL)
    for words in ("--- FastMCP", "--- MCP Python SDK", "--- FastAPI", "--- Flask", "'mcp:use'", URL):
        assert words in shown
    assert "notes.example is registered" in shown


@pytest.mark.parametrize(
    "url, address",
    [
        ("https://notes.example", "https://notes.example/.well-known/oauth-protected-resource"),
        ("https://notes.example/", "https://notes.example/.well-known/oauth-protected-resource"),
        ("https://notes.example/a/b", "https://notes.example/.well-known/oauth-protected-resource/a/b"),
        ("https://notes.example/a?b=c", "https://notes.example/.well-known/oauth-protected-resource/a?b=c"),
        ("http://localhost:9000/mcp", "http://localhost:9000/.well-known/oauth-protected-resource/mcp"),
    ],
)
def test_the_well_known_name_goes_before_the_path(terminal: Terminal, url: str, address: str) -> None:
    assert terminal.json("protect", url)["metadata_url"] == address


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([URL, "--scope", ""], "at least one scope"),
        ([URL, "--scope", 'a"b'], "scope"),
        ([URL, "--scope", "openid"], "belong to this server"),
        ([URL, "--name", "a\x1b"], "printable"),
        (["notes.example"], "http(s) URL"),
        (["urn:example:notes"], "http(s) URL"),
        (["javascript:alert(1)"], "http(s) URL"),
        (["https://notes.example/#x"], "fragment"),
        (["https://user@notes.example/"], "host"),
        (["http://localhost:8000/oauth"], "MCP Core itself"),
    ],
)
def test_what_cannot_be_protected_is_refused(terminal: Terminal, arguments: list[str], words: str) -> None:
    assert words in terminal.refused("protect", *arguments)
    assert terminal.json("resource", "list") == []


def test_a_resource_without_scopes_is_not_protected_halfway(terminal: Terminal) -> None:
    terminal.ok("resource", "add", URL, "--name", "Notes", "--scope", "")
    assert "without a scope" in terminal.refused("protect", URL)


def written(terminal: Terminal, said: object) -> str:
    path: Path = terminal.folder / "metadata.json"
    path.write_text(said if isinstance(said, str) else json.dumps(said), "utf-8")
    return str(path)


def create(*options: str) -> tuple[str, ...]:
    return ("client", "create", "--name", "Files", "--redirect-uri", CALLBACK, *options)


def test_a_client_can_sign_for_itself_with_keys_at_an_address_or_in_a_file(terminal: Terminal) -> None:
    by_address = terminal.json(*create("--auth-method", "private_key_jwt", "--jwks-uri", "https://files.example/jwks"))
    assert (by_address["jwks_uri"], "client_secret" in by_address) == ("https://files.example/jwks", False)
    by_file = terminal.json(
        *create("--auth-method", "private_key_jwt", "--metadata", written(terminal, {"jwks": KEYS}))
    )
    assert by_file["jwks"] == KEYS
    assert terminal.json("client", "show", by_file["client_id"])["jwks"] == KEYS


def test_a_file_says_what_has_no_option(terminal: Terminal) -> None:
    said = {
        "backchannel_logout_uri": "https://files.example/logout",
        "subject_type": "pairwise",
        "default_max_age": 0,
        "contacts": ["ops@files.example"],
    }
    made = terminal.json(*create("--metadata", written(terminal, said)))
    assert {name: made[name] for name in said} == said
    assert "client_secret" in made


def test_an_option_wins_over_the_file(terminal: Terminal) -> None:
    said = {
        "client_name": "Other",
        "redirect_uris": ["https://other.example/"],
        "id_token_signed_response_alg": "ES256",
    }
    made = terminal.json(*create("--metadata", written(terminal, said)))
    assert (made["name"], made["redirect_uris"]) == ("Files", ["https://files.example/callback"])
    assert made["id_token_signed_response_alg"] == "ES256"


@pytest.mark.parametrize(
    "said, words",
    [
        ("", "must hold a JSON object"),
        ("[]", "must hold a JSON object"),
        ('{"jwks": NaN}', "must hold a JSON object"),
        ({"authentication_methods": ["none"]}, "authentication_methods"),
        ({"backchannel_logout_url": "https://files.example/"}, "backchannel_logout_url"),
        ({"jwks_uri": "http://files.example/jwks"}, "jwks_uri must be an https URI"),
        ({"jwks": {"keys": [{"kty": "oct", "k": "x"}]}}, "public ones"),
        ({"contacts": "ops@files.example"}, "contacts must be a list"),
        ({"subject_type": "other"}, "subject type"),
    ],
)
def test_a_file_that_says_something_else_is_refused(terminal: Terminal, said: object, words: str) -> None:
    assert words in terminal.refused(*create("--metadata", written(terminal, said)))
    assert terminal.json("client", "list") == []


def test_a_file_that_is_no_text_is_refused(terminal: Terminal) -> None:
    path = terminal.folder / "metadata.json"
    path.write_bytes(b'{"contacts": ["\xff"]}')
    assert "must hold a JSON object" in terminal.refused(*create("--metadata", str(path)))


def test_keys_are_needed_and_only_once(terminal: Terminal) -> None:
    assert "needs jwks or jwks_uri" in terminal.refused(*create("--auth-method", "private_key_jwt"))
    both = create("--jwks-uri", "https://files.example/jwks", "--metadata", written(terminal, {"jwks": KEYS}))
    assert "Only one of jwks and jwks_uri" in terminal.refused(*both)
