"""What a registration may say (RFC 7591 §2), one row for each rule."""

from __future__ import annotations

import dataclasses

import pytest
from sqlalchemy import Engine

from database.transaction import Transaction
from provider.clients.metadata import MAX_URIS, ClientMetadata
from provider.clients.registry import Clients
from provider.protocol.errors import OAuthError
from provider.protocol.messages import Origin

CALLBACK = "https://app.example/callback"
WEB = ClientMetadata(name="App", redirect_uris=(CALLBACK,))


def test_a_web_application_signs_people_in_and_has_a_secret() -> None:
    checked = WEB.checked()
    assert checked.token_endpoint_auth_method == "client_secret_basic"
    assert checked.grant_types == ("authorization_code", "refresh_token")
    assert checked.require_pkce


def test_without_a_redirect_uri_it_is_a_service() -> None:
    checked = ClientMetadata(name="Backup", scope=("files.read",), resource="https://api.example/").checked()
    assert checked.grant_types == ("client_credentials",)
    assert checked.scope == ("files.read",)


def test_a_native_application_may_have_private_schemes_and_loopback() -> None:
    checked = ClientMetadata(
        name="Editor",
        application_type="native",
        token_endpoint_auth_method="none",
        redirect_uris=("http://127.0.0.1/callback", "com.example.editor:/callback"),
    ).checked()
    assert checked.token_endpoint_auth_method == "none"


def test_a_confidential_client_may_go_without_pkce() -> None:
    assert not dataclasses.replace(WEB, require_pkce=False).checked().require_pkce


def test_repetitions_and_outer_blanks_are_left_out() -> None:
    checked = ClientMetadata(
        name="  App ",
        redirect_uris=(CALLBACK, CALLBACK),
        post_logout_redirect_uris=("https://app.example/", "https://app.example/"),
        grant_types=("authorization_code", "authorization_code"),
        scope=("openid", "openid"),
    ).checked()
    assert checked.name == "App"
    assert checked.redirect_uris == (CALLBACK,)
    assert checked.post_logout_redirect_uris == ("https://app.example/",)
    assert checked.grant_types == ("authorization_code",)
    assert checked.scope == ("openid",)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "   "},
        {"name": "a\nb"},
        *(
            {"name": blank}
            for blank in ("\u3164", "\u115f\u1160", "\u2800\u2800", "\uffa0", "\u034f", "\ufe0f", "\u17b4")
        ),
        {"name": "\u3164Notes"},
        {"name": "a\x00"},
        {"name": "evil\u202egnp.exe"},
        {"name": "x" * 256},
        {"application_type": "desktop"},
        {"application_type": ""},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "client_secret_jwt"},
        {"token_endpoint_auth_method": "None"},
        {"grant_types": ("implicit",)},
        {"grant_types": ("password",)},
        {"grant_types": ("authorization_code", "urn:ietf:params:oauth:grant-type:jwt-bearer")},
        {"token_endpoint_auth_method": "none", "grant_types": ("authorization_code", "client_credentials")},
        {"token_endpoint_auth_method": "none", "require_pkce": False},
        {"token_endpoint_auth_method": "none", "redirect_uris": ()},
        {"grant_types": ("authorization_code",), "redirect_uris": ()},
        {"grant_types": ("refresh_token",), "redirect_uris": ()},
        {"grant_types": ("refresh_token", "client_credentials"), "redirect_uris": ()},
        {"grant_types": ("client_credentials",)},
        {"redirect_uris": tuple(f"https://app.example/{number}" for number in range(MAX_URIS + 1))},
        {"post_logout_redirect_uris": tuple(f"https://app.example/{number}" for number in range(MAX_URIS + 1))},
        {"id_token_signed_response_alg": "none"},
        {"id_token_signed_response_alg": "HS256"},
        {"id_token_signed_response_alg": "RS512"},
    ],
)
def test_metadata_that_contradicts_itself_or_asks_too_much_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(OAuthError) as refusal:
        dataclasses.replace(WEB, **changes).checked()  # type: ignore[arg-type]
    assert refusal.value.error == "invalid_client_metadata"
    assert refusal.value.description


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uris": (CALLBACK, "http://app.example/callback")},
        {"redirect_uris": ("https://app.example/#x",)},
        {"redirect_uris": ("com.example.app:/cb",)},
        {"redirect_uris": ("javascript:alert(1)",), "application_type": "native"},
        {"post_logout_redirect_uris": ("http://app.example/",)},
        {"post_logout_redirect_uris": ("javascript:alert(1)",)},
    ],
)
def test_every_redirect_uri_is_checked(changes: dict[str, object]) -> None:
    with pytest.raises(OAuthError) as refusal:
        dataclasses.replace(WEB, **changes).checked()  # type: ignore[arg-type]
    assert refusal.value.error == "invalid_redirect_uri"


def test_the_scope_and_the_resource_are_checked() -> None:
    with pytest.raises(OAuthError) as refusal:
        dataclasses.replace(WEB, scope=("a b",)).checked()
    assert refusal.value.error == "invalid_scope"
    with pytest.raises(OAuthError) as refusal:
        dataclasses.replace(WEB, resource="api.example").checked()
    assert refusal.value.error == "invalid_target"


def test_checked_metadata_is_what_the_registry_takes(clients: Clients, sqlite_engine: Engine, origin: Origin) -> None:
    with Transaction(sqlite_engine) as tx:
        made, secret = clients.register(tx, origin, kind="application", **WEB.checked().to_values())
    assert secret is not None
    assert made.redirect_uris == (CALLBACK,)


@pytest.mark.parametrize(
    "name", ["앱", "1Password", "C++", "☂", "Café", "Ελλάδα", "नोट्स", "บันทึก", "👩🏽‍💻 Notes", "یادداشت‌ها"]
)
def test_a_name_that_shows_something_is_a_name(name: str) -> None:
    assert dataclasses.replace(WEB, name=name).checked().name == name
