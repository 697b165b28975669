"""``mcp-core client update``, and files of metadata."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.conftest import Terminal

CALLBACK = "https://files.example/callback"
OTHER = "https://files.example/other"


@pytest.fixture
def known(terminal: Terminal) -> Any:
    terminal.ok("resource", "add", "https://api.example", "--name", "API", "--scope", "files.read")
    return terminal.json(
        *("client", "create", "--name", "Files", "--redirect-uri", CALLBACK, "--scope", "openid files.read"),
        *("--resource", "https://api.example", "--post-logout-redirect-uri", "https://files.example/bye"),
    )


CHANGES: list[tuple[list[str], dict[str, Any]]] = [
    (["--name", "Other"], {"name": "Other"}),
    (["--redirect-uri", OTHER], {"redirect_uris": [OTHER]}),
    (["--add-redirect-uri", OTHER], {"redirect_uris": [CALLBACK, OTHER]}),
    (["--add-redirect-uri", OTHER, "--remove-redirect-uri", CALLBACK], {"redirect_uris": [OTHER]}),
    (["--post-logout-redirect-uri", OTHER], {"post_logout_redirect_uris": [OTHER]}),
    (["--post-logout-redirect-uri", ""], {"post_logout_redirect_uris": []}),
    (["--grant", "authorization_code"], {"grant_types": ["authorization_code"]}),
    (["--scope", "openid"], {"scope": "openid"}),
    (["--scope", ""], {"scope": ""}),
    (["--resource", ""], {"resource": None}),
    (["--auth-method", "client_secret_basic=strict"], {"exact_auth_method": True}),
    (["--auth-method", "client_secret_post"], {"token_endpoint_auth_method": "client_secret_post"}),
    (["--pkce", "never"], {"pkce": "never", "require_pkce": False}),
    (["--pkce", "always"], {"pkce": "always"}),
    (["--no-pkce"], {"pkce": "never", "require_pkce": False}),
    (["--claims-in-id-token", "off"], {"claims_in_id_token": False}),
    (["--jwks-uri", "https://files.example/keys"], {"jwks_uri": "https://files.example/keys"}),
    (["--native"], {"application_type": "native"}),
    (["--trusted"], {"is_trusted": True}),
]  # fmt: skip


@pytest.mark.parametrize("options, changed", CHANGES)
def test_what_is_given_changes_and_nothing_else(
    terminal: Terminal, known: Any, options: list[str], changed: dict[str, Any]
) -> None:
    before = terminal.json("client", "show", known["client_id"])
    after = terminal.json("client", "update", known["client_id"], *options)
    assert after == before | changed
    assert terminal.json("client", "show", known["client_id"]) == after
    (record,) = terminal.audit("client.updated")
    assert (record["resource_id"], record["actor"][:4]) == (known["client_id"], "cli:")
    assert json.loads(record["metadata"])["changed"]


def test_what_a_registration_says_in_a_file_changes_alike(terminal: Terminal, known: Any) -> None:
    (terminal.folder / "more.json").write_text(
        '{"id_token_signed_response_alg": "ES256", "client_uri": "https://f.example/"}'
    )
    after = terminal.json("client", "update", known["client_id"], "--metadata", "more.json")
    assert (after["id_token_signed_response_alg"], after["client_uri"]) == ("ES256", "https://f.example/")
    (terminal.folder / "less.json").write_text('{"client_uri": null}')
    assert "client_uri" not in terminal.json("client", "update", known["client_id"], "--metadata", "less.json")


def test_who_needs_a_secret_that_they_did_not_have_gets_one_once(terminal: Terminal) -> None:
    made = terminal.json("client", "create", "--name", "Files", "--public", "--redirect-uri", CALLBACK)
    after = terminal.json("client", "update", made["client_id"], "--auth-method", "client_secret_basic")
    assert after["client_secret"].startswith("mcp_cs_")
    back = terminal.json("client", "update", made["client_id"], "--public")
    assert (back["token_endpoint_auth_method"], back["pkce"]) == ("none", "always")
    assert terminal.rows("SELECT secret_hash FROM oauth_clients") == [{"secret_hash": None}]


def test_in_words_it_says_what_was_updated(terminal: Terminal, known: Any) -> None:
    name = known["client_id"]
    assert terminal.ok("client", "update", name, "--pkce", "never") == f'"Files" ({name}) is updated.\n'


@pytest.mark.parametrize(
    "options, words",
    [
        (["--remove-redirect-uri", OTHER], "not a redirect URI of this application"),
        (["--remove-redirect-uri", CALLBACK], "needs a redirect URI"),
        (["--add-redirect-uri", "http://files.example/"], "redirect"),
        (["--public", "--pkce", "never"], "cannot go without PKCE"),
        (["--resource", "https://unknown.example"], "not registered"),
        (["--auth-method", "private_key_jwt"], "needs jwks"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    terminal: Terminal, known: Any, options: list[str], words: str
) -> None:
    before = terminal.json("client", "show", known["client_id"])
    assert words in terminal.refused("client", "update", known["client_id"], *options)
    assert terminal.json("client", "show", known["client_id"]) == before
    assert terminal.audit("client.updated") == []


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--native", "--web"],
        ["--pkce", "always", "--no-pkce"],
        ["--public", "--auth-method", "client_secret_post"],
    ],
)
def test_contradictions_are_wrong_usage(terminal: Terminal, known: Any, options: list[str]) -> None:
    terminal.misused("client", "update", known["client_id"], *options)


@pytest.mark.parametrize("kind", ["dynamic", "metadata_document", "api_key"])
def test_what_no_operator_registered_is_not_changed_here(terminal: Terminal, known: Any, kind: str) -> None:
    engine = terminal.engine()
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE oauth_clients SET kind = '{kind}'")
    engine.dispose()
    assert (
        "itself" in (said := terminal.refused("client", "update", known["client_id"], "--pkce", "never"))
        or "API key" in said
    )
