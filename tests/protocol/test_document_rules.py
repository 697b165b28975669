"""Which URLs can be a client's id, and what the document there must say (client-id metadata documents, draft-02)."""

from __future__ import annotations

from typing import Any

import pytest

from provider.protocol.document_rules import (
    MAX_CHARACTERS,
    document_method,
    document_problem,
    document_url_problem,
    looks_like_document_url,
    offered_methods,
)

URL = "https://app.example/client.json"
DOCUMENT: dict[str, Any] = {
    "client_id": URL,
    "client_name": "Editor",
    "redirect_uris": ["https://app.example/callback"],
}


@pytest.mark.parametrize(
    "client_id",
    [
        URL,
        "https://claude.ai/oauth/claude-code-client-metadata",
        "https://chatgpt.com/oauth/kMDc0ZjA2/client.json",
        "https://vscode.dev/oauth/client-metadata.json",
        "https://app.example:8443/client",
        "https://app.example:443/client",
        "https://[2001:db8::1]/client",
        "https://app.example/a/b%20c/",
        "https://app.example/client?version=2",
        "https://app.example/...",
        "https://app.example/" + "a" * (MAX_CHARACTERS - 20),
    ],
)
def test_a_url_with_host_and_path_can_be_a_client_id(client_id: str) -> None:
    assert document_url_problem(client_id) is None
    assert looks_like_document_url(client_id)


@pytest.mark.parametrize(
    "client_id",
    [
        "http://app.example/client.json",
        "HTTPS://app.example/client.json",
        "https://app.example",
        "https://app.example/",
        "https:///client.json",
        "https:/app.example/client.json",
        "https://user@app.example/client.json",
        "https://user:secret@app.example/client.json",
        "https://app.example/client.json#part",
        "https://app.example/client.json#",
        "https://app.example/a/../client.json",
        "https://app.example/./client.json",
        "https://app.example/a/%2e%2E/client.json",
        "https://app.example/a/%2E",
        "https://app.example/..",
        "https://app.example/a\\b",
        "https://app.example/a b",
        "https://app.example/a\n",
        "https://app.example/a\x00",
        "https://app.example/%zz",
        "https://app.example/%",
        "https://app.example:0/client.json",
        "https://app.example:65536/client.json",
        "https://app.example:port/client.json",
        "https://[::1/client.json",
        "https://::1]/client.json",
        "https://:443/client.json",
        "https://앱.example/client.json",
        "https://app.example/앱",
        "https://app.example/<script>",
        "https://app.example/" + "a" * (MAX_CHARACTERS - 19),
        "ftp://app.example/client.json",
        "urn:example:client",
        "app_4fK",
        "",
    ],
)
def test_any_other_text_cannot(client_id: str) -> None:
    assert document_url_problem(client_id)


@pytest.mark.parametrize("client_id", ["app_4fK", "key_1", "", "httpsx", " https://app.example/c", "urn:https:x"])
def test_what_we_call_clients_is_no_url(client_id: str) -> None:
    assert not looks_like_document_url(client_id)


def test_a_document_of_this_url_with_a_name_and_a_redirect_uri_is_valid() -> None:
    assert document_problem(URL, DOCUMENT) is None
    assert document_problem(URL, DOCUMENT | {"unknown": {"x": 1}, "token_endpoint_auth_method": "none"}) is None


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        [DOCUMENT],
        "text",
        1,
        {},
        DOCUMENT | {"client_id": None},
        DOCUMENT | {"client_id": URL + "/"},
        DOCUMENT | {"client_id": URL.upper()},
        DOCUMENT | {"client_id": "https://app.example:443/client.json"},
        DOCUMENT | {"client_id": [URL]},
        {name: value for name, value in DOCUMENT.items() if name != "client_id"},
        DOCUMENT | {"client_name": ""},
        DOCUMENT | {"client_name": None},
        {name: value for name, value in DOCUMENT.items() if name != "client_name"},
        DOCUMENT | {"redirect_uris": []},
        {name: value for name, value in DOCUMENT.items() if name != "redirect_uris"},
        DOCUMENT | {"client_secret": "x"},
        DOCUMENT | {"client_secret": None},
        DOCUMENT | {"client_secret_expires_at": 0},
        DOCUMENT | {"token_endpoint_auth_method": "client_secret_basic"},
        DOCUMENT | {"token_endpoint_auth_method": "client_secret_post"},
        DOCUMENT | {"token_endpoint_auth_method": "client_secret_jwt"},
        DOCUMENT | {"token_endpoint_auth_method": "tls_client_auth"},
        DOCUMENT | {"token_endpoint_auth_method": ""},
        DOCUMENT | {"token_endpoint_auth_method": ["none"]},
        DOCUMENT | {"token_endpoint_auth_methods_supported": ["client_secret_basic"]},
        DOCUMENT | {"token_endpoint_auth_methods": "none"},
    ],
)
def test_a_document_that_breaks_one_rule_is_not(document: object) -> None:
    assert document_problem(URL, document)


@pytest.mark.parametrize(
    "said, method, offered",
    [
        ({}, "none", ()),
        ({"token_endpoint_auth_method": "none"}, "none", ()),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "private_key_jwt", ()),
        (
            {
                "token_endpoint_auth_method": "private_key_jwt",
                "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
            },
            "private_key_jwt",
            ("none", "private_key_jwt"),
        ),
        ({"token_endpoint_auth_methods": ["private_key_jwt", "none"]}, "private_key_jwt", ("none", "private_key_jwt")),
        ({"token_endpoint_auth_methods_supported": ["none"]}, "none", ("none",)),
        ({"token_endpoint_auth_methods_supported": ["client_secret_basic", "none"]}, "none", ("none",)),
        ({"token_endpoint_auth_methods_supported": []}, "none", ()),
        ({"token_endpoint_auth_methods_supported": ["client_secret_basic"]}, None, ()),
        (
            {"token_endpoint_auth_method": "client_secret_post", "token_endpoint_auth_methods": ["none"]},
            None,
            ("none",),
        ),
        ({"token_endpoint_auth_methods_supported": [["none"], {"none": 1}]}, None, ()),
    ],
)
def test_the_method_is_the_preferred_one_or_the_best_of_those_offered(
    said: dict[str, Any], method: str | None, offered: tuple[str, ...]
) -> None:
    assert document_method(said) == method
    assert offered_methods(said) == offered
