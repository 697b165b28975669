"""``mcp-core client create --for``."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provider.clients import presets
from provider.clients.presets import PRESETS, find_preset
from tests.cli.conftest import Terminal

CREATE = ("client", "create", "--for")
SITE = ("--redirect-uri", "https://site.example")


def test_a_program_gets_what_it_needs_and_its_configuration_is_printed(terminal: Terminal) -> None:
    shown = terminal.ok(*CREATE, "mozilla-django-oidc", *SITE)
    (row,) = terminal.json("client", "list")
    assert row["name"] == "mozilla-django-oidc"
    assert row["redirect_uris"] == ["https://site.example/oidc/callback/"]
    assert row["post_logout_redirect_uris"] == ["https://site.example/"]
    assert row["scope"] == "openid profile email"
    for line in (
        f'OIDC_RP_CLIENT_ID = "{row["client_id"]}"',
        "OIDC_USE_PKCE switches PKCE on",
        "docs/guides/mozilla-django-oidc.md",
    ):
        assert line in shown
    assert 'OIDC_RP_CLIENT_SECRET = "mcp_cs_' in shown


@pytest.mark.parametrize("first", [True, False], ids=["--for first", "--for last"])
def test_what_is_said_beside_the_program_wins(terminal: Terminal, first: bool) -> None:
    program = ("--for", "mozilla-django-oidc")
    said = (
        *("--name", "Wiki", "--redirect-uri", "https://site.example/callback", "--scope", "openid"),
        *("--post-logout-redirect-uri", "https://site.example/bye", "--auth-method", "client_secret_post"),
    )
    made = terminal.json("client", "create", *((*program, *said) if first else (*said, *program)))
    assert (made["name"], made["scope"], made["redirect_uris"]) == ("Wiki", "openid", ["https://site.example/callback"])
    assert made["post_logout_redirect_uris"] == ["https://site.example/bye"]
    assert made["token_endpoint_auth_method"] == "client_secret_post"
    assert 'OIDC_RP_SCOPES = "openid"' in made["configuration"]


def test_without_a_program_they_are_listed_and_nothing_is_made(terminal: Terminal) -> None:
    shown = terminal.ok(*CREATE)
    for preset in PRESETS:
        assert preset.name in shown
        assert preset.title in shown
        assert preset.note in shown
    assert terminal.json("client", "list") == []


@pytest.mark.parametrize(
    "options, reason",
    [
        (("jupiterhub", *SITE), "There is no preset for 'jupiterhub'. Did you mean jupyterhub?"),
        (("jupyterhub",), "JupyterHub needs --redirect-uri"),
        (("jupyterhub", *SITE, "--public"), "JupyterHub needs a client_secret"),
        (("jupyterhub", "--redirect-uri", "https://site.example/'"), "does not fit into a configuration"),
    ],
)
def test_what_cannot_be_configured_is_refused_and_nothing_is_made(
    terminal: Terminal, options: tuple[str, ...], reason: str
) -> None:
    assert reason in terminal.refused(*CREATE, *options)
    assert terminal.json("client", "list") == []


def test_a_client_made_without_a_program_has_no_configuration(terminal: Terminal) -> None:
    assert "configuration" not in terminal.json("client", "create", "--name", "Files", *SITE)


@pytest.mark.parametrize(
    "options, expected",
    [
        ((), {"pkce": "never", "claims_in_id_token": False, "token_endpoint_auth_method": "client_secret_post"}),
        (("--pkce", "always", "--claims-in-id-token", "on"), {"pkce": "always", "claims_in_id_token": True}),
    ],
)
def test_a_registration_is_relaxed_for_a_program_that_needs_it_and_that_is_said(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], expected: dict[str, object]
) -> None:
    relaxed = replace(
        find_preset("jupyterhub"),
        pkce="never",
        claims_in_id_token="off",
        auth_method="client_secret_post",
        advice="It can send neither, so the registration has --pkce never.",
    )
    monkeypatch.setitem(presets._BY_NAME, "jupyterhub", relaxed)
    shown = terminal.ok(*CREATE, "jupyterhub", *SITE, *options)
    assert relaxed.advice in shown
    (row,) = terminal.json("client", "list")
    assert {name: row[name] for name in expected} == expected


@pytest.mark.parametrize(
    "program, expected",
    [
        ("kubernetes", {"token_endpoint_auth_method": "none", "application_type": "native"}),
        ("claude", {"token_endpoint_auth_method": "client_secret_basic", "scope": "", "is_vouched": True}),
        ("vscode", {"token_endpoint_auth_method": "none", "application_type": "native", "scope": ""}),
    ],
)
def test_programs_that_nobody_has_to_tell_an_address_have_their_own(
    terminal: Terminal, program: str, expected: dict[str, object]
) -> None:
    made = terminal.json(*CREATE, program)
    assert {name: made[name] for name in expected} == expected
    assert made["redirect_uris"] == list(find_preset(program).redirect_uris)
