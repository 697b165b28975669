"""The authorization endpoint and clients whose id is a URL: what people are shown, and what sends nobody anywhere."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from provider.clients.metadata_documents import FETCHES_PER_SOURCE
from tests.endpoints.browsing import Browser, code_of, error_of, page_of, refusal_of
from tests.endpoints.documents import CALLBACK, PATH, Application, application, document_server
from tests.endpoints.provider import ProviderFactory, claims_of
from tests.https_server import HttpsServer

__all__ = ["application", "document_server"]

CLAUDE_CODE: dict[str, Any] = {
    "client_name": "Claude Code",
    "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"],
}
VS_CODE: dict[str, Any] = {
    "client_name": "Visual Studio Code",
    "redirect_uris": [
        *("https://vscode.dev/redirect", "https://insiders.vscode.dev/redirect"),
        *("http://127.0.0.1/", "http://127.0.0.1:33418/", "http://localhost/"),
    ],
}


def signed_in(app: Application) -> Application:
    app.browser.sign_in(app.provider.user())
    return app


def consent(app: Application, **changes: Any) -> str:
    return page_of(app.authorize(**changes), "/consent")


def test_somebody_allows_and_the_application_gets_its_tokens(application: Application) -> None:
    app = signed_in(application)
    code = code_of(app.browser.allow(consent(app)), CALLBACK)
    answer = app.provider.redeem(app.known, code, redirect_uri=CALLBACK)
    assert answer.status == 200, answer.body
    assert claims_of(answer.json["access_token"])["client_id"] == app.url
    assert claims_of(answer.json["id_token"])["aud"] == app.url


def test_people_see_whose_address_it_is_and_where_their_answer_goes(application: Application) -> None:
    app = signed_in(application)
    shown = html.unescape(app.browser.get(consent(app)).text)
    assert "Editor" in shown
    assert f'<span class="host">{app.server.host}</span>' in shown
    assert "app.example" in shown
    assert "isn't reviewed by your organisation" in shown


def test_people_see_no_picture_that_a_stranger_chose(application: Application) -> None:
    app = signed_in(application)
    app.say(logo_uri="https://app.example/logo-of-your-bank.png", policy_uri="https://app.example/policy")
    shown = app.browser.get(consent(app)).text
    assert "logo-of-your-bank" not in shown
    assert "https://app.example/policy" in shown


@pytest.mark.parametrize("port", ["", ":1", ":49152", ":65535"])
@pytest.mark.parametrize("document", [CLAUDE_CODE, VS_CODE], ids=["Claude Code", "VS Code"])
def test_a_program_listens_on_any_port_and_people_are_warned(
    application: Application, document: dict[str, Any], port: str
) -> None:
    app = signed_in(application)
    app.say(**document)
    end = "/callback" if document is CLAUDE_CODE else "/"
    for host in ("localhost", "127.0.0.1"):
        redirect_uri = f"http://{host}{port}{end}"
        page = consent(app, redirect_uri=redirect_uri)
        shown = html.unescape(app.browser.get(page).text)
        assert "A program on this device asks." in shown
        assert f"{host}{port}" in shown
        code = code_of(app.browser.allow(page), redirect_uri)
        assert app.provider.redeem(app.known, code, redirect_uri=f"http://{host}:2{end}").error == (
            400,
            "invalid_grant",
        )
        code = code_of(app.browser.allow(consent(app, redirect_uri=redirect_uri)), redirect_uri)
        assert app.provider.redeem(app.known, code, redirect_uri=redirect_uri).status == 200


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "http://localhost:1/callback/",
        "http://localhost:1/other",
        "http://localhost:1/callback?x=1",
        "https://localhost:1/callback",
        "http://[::1]:1/callback",
        "http://localhost.evil.example:1/callback",
        "http://localhost:1@evil.example/callback",
        "http://127.0.0.2/callback",
        "http://LOCALHOST/callback",
        "http://localhost:0/callback",
        "http://localhost:65536/callback",
        CALLBACK,
    ],
)
def test_only_the_port_is_free(application: Application, redirect_uri: str) -> None:
    app = signed_in(application)
    app.say(**CLAUDE_CODE)
    refusal_of(app.authorize(redirect_uri=redirect_uri))


def test_the_port_of_an_https_redirect_is_not_free(application: Application) -> None:
    app = signed_in(application)
    app.say(**VS_CODE)
    consent(app, redirect_uri="https://vscode.dev/redirect")
    refusal_of(app.authorize(redirect_uri="https://vscode.dev:8443/redirect"))


def test_a_request_that_is_sent_twice_reads_the_document_once(application: Application) -> None:
    app = signed_in(application)
    app.authorize(method="HEAD")
    app.authorize(method="POST")
    pages = {consent(app) for _ in range(3)}
    assert len(pages) == 3
    assert app.fetches == 1
    code_of(app.browser.allow(pages.pop()), CALLBACK)


BROKEN: list[Callable[[Application], None]] = [
    lambda app: app.server.answers.clear(),
    lambda app: app.say(client_id=app.url + "x"),
    lambda app: app.say(client_name=...),
    lambda app: app.say(redirect_uris=...),
    lambda app: app.say(redirect_uris=["http://app.example/callback", CALLBACK]),
    lambda app: app.say(client_secret="x"),
    lambda app: app.say(token_endpoint_auth_method="client_secret_post"),
    lambda app: app.say(tos_uri="javascript:alert(1)"),
    lambda app: app.say(software_id="x" * 5200),
    lambda app: app.server.answers.update({PATH: (302, {"Location": "/"}, b"")}),
    lambda app: app.server.answers.update({PATH: (200, {"Content-Type": "text/html"}, b"{}")}),
]


@pytest.mark.parametrize("prompt", [None, "none"])
@pytest.mark.parametrize("break_it", BROKEN)
def test_a_document_that_is_not_right_sends_nobody_anywhere(
    application: Application, break_it: Callable[[Application], None], prompt: str | None
) -> None:
    app = signed_in(application)
    break_it(app)
    shown = refusal_of(app.authorize(prompt=prompt))
    assert "app.example" not in shown, "nothing of the request's redirect URI is offered as a way back"
    assert app.fetches == 1
    refusal_of(app.authorize(prompt=prompt))
    assert app.fetches == 1, "what failed is not asked for again at once"
    app.say()
    app.wait_for_another_try()
    consent(app)


@pytest.mark.parametrize(
    "client_id",
    [
        "http://app.example/client.json",
        "https://app.example",
        "https://u@app.example/c",
        "https://app.example/../c",
        "https://app.example/c#x",
        "https://127.0.0.1/c",
        "https://[::1]/c",
        "https://169.254.169.254/latest",
        "https://[::1/c",
        "https://localhost:1/c",
        "https://does-not-exist.invalid/c",
    ],
)
def test_an_id_that_leads_nowhere_is_our_own_page(application: Application, client_id: str) -> None:
    refusal_of(signed_in(application).authorize(client_id=client_id))


@pytest.mark.parametrize("settings", [{"metadata_documents": "off"}, {"metadata_documents": "listed"}])
def test_the_policy_keeps_them_out(
    document_server: HttpsServer, sqlite_engine: Engine, make_provider: ProviderFactory, settings: dict[str, str]
) -> None:
    document_server.received.clear()
    provider = make_provider(
        sqlite_engine,
        outbound_allowed_hosts=document_server.host,
        outbound_ca_file=document_server.authority,
        metadata_document_hosts="other.example",
        **settings,
    )
    app = Application(document_server, Browser(provider))
    app.say()
    refusal_of(app.authorize())
    assert app.fetches == 0
    metadata = provider.get(f"{provider.path}/.well-known/openid-configuration").json
    assert metadata.get("client_id_metadata_document_supported", False) is (settings["metadata_documents"] != "off")


def test_too_many_documents_are_our_own_page_as_well(application: Application) -> None:
    app = signed_in(application)
    for number in range(FETCHES_PER_SOURCE.times):
        refusal_of(app.authorize(client_id=f"{app.server.url}/{number}"))
    assert "Too many metadata documents" in refusal_of(app.authorize())


def test_errors_and_prompt_none_of_a_stranger_are_shown_and_not_sent(application: Application) -> None:
    app = application
    for changes in ({"prompt": "none"}, {"response_type": "token"}, {"code_challenge": None}, {"scope": "unknown"}):
        shown = refusal_of(app.authorize(**changes))
        assert "Back to app.example" in shown


def test_a_consent_is_remembered_until_the_document_changes(application: Application) -> None:
    app, ada = application, application.provider.user()
    app.browser.sign_in(ada)
    code_of(app.browser.allow(consent(app)), CALLBACK)
    app.say(software_version="2")
    app.provider.clock.advance(3600)
    app.browser.sign_in(ada)
    code_of(app.authorize(), CALLBACK)
    for changes in (
        {"client_name": "Your bank"},
        {"redirect_uris": [CALLBACK, "https://elsewhere.example/"]},
        {"token_endpoint_auth_methods_supported": ["none"]},
    ):
        app.say(**changes)
        app.provider.clock.advance(3600)
        app.browser.sign_in(ada)
        code_of(app.browser.allow(consent(app)), CALLBACK)


def test_a_program_on_this_device_is_asked_for_each_time(application: Application) -> None:
    app = signed_in(application)
    app.say(**CLAUDE_CODE)
    redirect_uri = "http://localhost:4000/callback"
    for _ in range(2):
        code_of(app.browser.allow(consent(app, redirect_uri=redirect_uri)), redirect_uri)


def test_a_disabled_client_is_refused_whatever_its_document_says(application: Application) -> None:
    app = signed_in(application)
    consent(app)
    with app.provider.begin() as tx:
        app.provider.services.clients.set_active(tx, app.provider.origin, app.url, False)
    app.say(client_name="Another")
    app.provider.clock.advance(3600)
    refusal_of(app.authorize())
    assert (app.client.name, app.client.is_active) == ("Another", False)


def test_cancelling_is_told_to_the_application(application: Application) -> None:
    app = signed_in(application)
    assert error_of(app.browser.decide(consent(app), "cancel"), CALLBACK) == "access_denied"
