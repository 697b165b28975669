"""What proves each member of the metadata. A proof gets the member's value and finds out what the server does."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from tests.endpoints.browsing import Browser, code_of, fields_of, form_of, request_of
from tests.endpoints.metadata_world import ALL_ALGORITHMS, METHODS, PROOFS, World, proves
from tests.endpoints.provider import REDIRECT_URI, KnownClient, claims_of, header_of
from tests.endpoints.registering import register
from tests.pages.document import Document
from tests.signing import client_key, jwks

__all__ = ["PROOFS"]


@proves("issuer")
def _(world: World, value: str) -> None:
    assert claims_of(world.tokens(world.trusted())["id_token"])["iss"] == value == world.provider.issuer


@proves("authorization_endpoint")
def _(world: World, value: str) -> None:
    code_of(
        world.browser.get(urlsplit(value).path + "?" + "&".join(f"{n}={v}" for n, v in request_of(world.trusted())))
    )


@proves("token_endpoint")
def _(world: World, value: str) -> None:
    fields = {"grant_type": "client_credentials"}
    assert world.provider.post(urlsplit(value).path, fields, by=world.provider.machine()).status == 200


@proves("jwks_uri")
def _(world: World, value: str) -> None:
    kids = {key["kid"] for key in world.provider.get(urlsplit(value).path).json["keys"]}
    assert header_of(world.tokens(world.trusted())["id_token"])["kid"] in kids


@proves("userinfo_endpoint")
def _(world: World, value: str) -> None:
    token = world.tokens(world.trusted())["access_token"]
    answer = world.provider.get(urlsplit(value).path, {"Authorization": f"Bearer {token}"})
    assert answer.json["sub"] == world.user.id


@proves("introspection_endpoint", "revocation_endpoint")
def _(world: World, _value: str) -> None:
    client = world.trusted()
    token = world.tokens(client)["access_token"]
    inspect = world.path("introspection_endpoint")
    assert world.provider.post(inspect, {"token": token}, by=client).json["active"] is True
    assert world.provider.post(world.path("revocation_endpoint"), {"token": token}, by=client).status == 200
    assert world.provider.post(inspect, {"token": token}, by=client).json == {"active": False}


@proves("end_session_endpoint")
def _(world: World, value: str) -> None:
    hint = world.tokens(world.trusted())["id_token"]
    world.browser.get(f"{urlsplit(value).path}?id_token_hint={hint}")
    assert fields_of(world.answer(prompt="none"))["error"] == "login_required"


@proves("pushed_authorization_request_endpoint")
def _(world: World, value: str) -> None:
    client = world.trusted()
    pushed = world.provider.post(urlsplit(value).path, request_of(client), by=client)
    code_of(
        world.browser.get(f"/oauth/authorize?client_id={client.client_id}&request_uri={pushed.json['request_uri']}")
    )


@proves("registration_endpoint")
def _(world: World, value: str) -> None:
    assert urlsplit(value).path == f"{world.provider.path}/register"
    assert register(world.provider).status == 201


@proves("client_id_metadata_document_supported")
def _(world: World, value: bool) -> None:
    client_id = world.server.url + "/client"
    world.server.say_json("/client", {"client_id": client_id, "client_name": "Far", "redirect_uris": [REDIRECT_URI]})
    answer = world.answer(client_id=client_id)
    assert (answer.status == 303 and answer.location.startswith("/consent")) is value


@proves("scopes_supported")
def _(world: World, value: list[str]) -> None:
    world.provider.resource()
    asked = [*value, "telephone", "notes:read", "profile.name"]
    client = world.trusted()
    granted = world.tokens(client, scope=" ".join(asked), resource=world.provider.issuer)["scope"].split()
    assert granted == value, "no scope of an API is named: some clients ask for everything that is"


@proves("claims_supported")
def _(world: World, value: list[str]) -> None:
    client = world.trusted()
    world.provider.profile(world.user)
    made = world.tokens(client, scope="openid profile email phone address groups", nonce="n")
    had = set(claims_of(made["id_token"])) | set(world.provider.userinfo(made["access_token"]).json)
    assert had == set(value)
    assert len(value) == len(set(value))


@proves("claim_types_supported")
def _(world: World, value: list[str]) -> None:
    made = world.tokens(world.trusted(), scope="openid profile email")
    assert not {"_claim_names", "_claim_sources"} & set(world.provider.userinfo(made["access_token"]).json)
    assert value == ["normal"]


@proves("response_types_supported")
def _(world: World, value: list[str]) -> None:
    kinds = ["code", "token", "id_token", "code id_token", "code token", "id_token token", "none"]
    assert [kind for kind in kinds if "code" in fields_of(world.answer(response_type=kind))] == value


@proves("response_modes_supported")
def _(world: World, value: list[str]) -> None:
    def works(mode: str) -> bool:
        answer = world.answer(response_mode=mode)
        return "code" in (form_of(answer) if answer.status == 200 else fields_of(answer))

    modes = ["query", "fragment", "form_post", "jwt", "query.jwt", "form_post.jwt", "web_message"]
    assert [mode for mode in modes if works(mode)] == value


@proves("grant_types_supported")
def _(world: World, value: list[str]) -> None:
    urn = "urn:ietf:params:oauth:grant-type:"
    others = [
        "password",
        "implicit",
        urn + "jwt-bearer",
        urn + "token-exchange",
        urn + "device_code",
        urn + "saml2-bearer",
    ]
    client = world.provider.machine()
    answers = {kind: world.provider.token(client, {"grant_type": kind}) for kind in (*value, *others)}
    unsupported = {kind for kind, answer in answers.items() if answer.status != 200}
    assert [
        kind for kind in answers if kind not in unsupported or answers[kind].json["error"] != "unsupported_grant_type"
    ] == value


@proves("subject_types_supported")
def _(world: World, value: list[str]) -> None:
    registered = {kind: register(world.provider, {
        "client_name": "App", "redirect_uris": [REDIRECT_URI], "subject_type": kind,
    }).status for kind in ("public", "pairwise", "ephemeral")}  # fmt: skip
    assert [kind for kind, status in registered.items() if status == 201] == value
    subjects = {kind: claims_of(world.tokens(world.trusted(subject_type=kind))["id_token"])["sub"] for kind in value}
    assert subjects["public"] == world.user.id != subjects["pairwise"]


def registers(world: World, **members: Any) -> bool:
    answer = register(world.provider, {"client_name": "App", "redirect_uris": [REDIRECT_URI], **members})
    assert answer.status in (201, 400), answer.body
    return answer.status == 201


@proves("id_token_signing_alg_values_supported")
def _(world: World, value: list[str]) -> None:
    asked = ("RS256", "ES256", "EdDSA", "PS256", "HS256", "none")
    assert [name for name in asked if registers(world, id_token_signed_response_alg=name)] == value
    for name in value:
        client = world.trusted(id_token_signed_response_alg=name)
        assert header_of(world.tokens(client)["id_token"])["alg"] == name


@proves("userinfo_signing_alg_values_supported")
def _(world: World, value: list[str]) -> None:
    asked = ("RS256", "ES256", "EdDSA", "PS256", "HS256", "none")
    assert [name for name in asked if registers(world, userinfo_signed_response_alg=name)] == value
    for name in value:
        token = world.tokens(world.trusted(userinfo_signed_response_alg=name))["access_token"]
        assert header_of(world.provider.userinfo(token).text)["alg"] == name


@proves(
    "token_endpoint_auth_methods_supported",
    "introspection_endpoint_auth_methods_supported",
    "revocation_endpoint_auth_methods_supported",
)
def _(world: World, _value: list[str]) -> None:
    for endpoint in ("token_endpoint", "introspection_endpoint", "revocation_endpoint"):
        named = world.document[f"{endpoint}_auth_methods_supported"]
        assert [method for method in METHODS if world.authenticated(endpoint, method)] == named
    assert "none" in world.document["token_endpoint_auth_methods_supported"], "or clients with a document stay away"


@proves(
    "token_endpoint_auth_signing_alg_values_supported",
    "introspection_endpoint_auth_signing_alg_values_supported",
    "revocation_endpoint_auth_signing_alg_values_supported",
)
def _(world: World, _value: list[str]) -> None:
    for endpoint in ("token_endpoint", "introspection_endpoint", "revocation_endpoint"):
        named = world.document[f"{endpoint}_auth_signing_alg_values_supported"]
        assert [name for name in ALL_ALGORITHMS if world.authenticated(endpoint, "private_key_jwt", name)] == named
    # A client that registers another one is refused: it could never sign.
    asked = (*ALL_ALGORITHMS, "HS256", "RS512", "none")
    assert [name for name in asked if registers(world, token_endpoint_auth_signing_alg=name)] == named


@proves("code_challenge_methods_supported")
def _(world: World, value: list[str]) -> None:
    methods = ["plain", "S256", "S512"]
    assert [name for name in methods if "code" in fields_of(world.answer(code_challenge_method=name))] == value


@proves("authorization_response_iss_parameter_supported")
def _(world: World, value: bool) -> None:
    answers = [
        world.answer(),
        world.answer(prompt="none"),
        world.answer(scope="unknown"),
        world.answer(response_type="x"),
    ]
    assert [fields_of(answer).get("iss") == world.provider.issuer for answer in answers] == [value] * 4
    forms = [world.answer(response_mode="form_post"), world.answer(response_mode="form_post", scope="unknown")]
    assert [form_of(answer).get("iss") == world.provider.issuer for answer in forms] == [value] * 2


@proves("acr_values_supported")
def _(world: World, value: list[str]) -> None:
    had = []
    for amr in (("pwd",), ("pwd", "otp", "mfa"), ("hwk", "user", "mfa")):
        world.browser = Browser(world.provider)
        world.browser.sign_in(world.user, amr)
        had.append(claims_of(world.tokens(world.trusted())["id_token"])["acr"])
    assert had == value


@proves("prompt_values_supported")
def _(world: World, value: list[str]) -> None:
    world.provider.clock.advance(60)
    seen = {prompt: world.answer(prompt=prompt).location.partition("?")[0] for prompt in value}
    assert seen == {"none": REDIRECT_URI, "login": "/login", "consent": "/consent", "select_account": "/consent"}
    assert world.answer(prompt="unheard-of").location.startswith(REDIRECT_URI)


@proves("ui_locales_supported")
def _(world: World, value: list[str]) -> None:
    world.browser = Browser(world.provider)
    pages = {locale: world.browser.get(world.answer(ui_locales=locale).location) for locale in (*value, "fr")}
    spoken = {locale: Document(page.text).elements[0].get("lang") for locale, page in pages.items()}
    assert [locale for locale, language in spoken.items() if language == locale] == value


@proves("display_values_supported")
def _(world: World, value: list[str]) -> None:
    for display in (*value, "popup", "touch"):
        code_of(world.answer(display=display))
    assert value == ["page"], "whatever is asked for, it is a page"


@proves("claims_parameter_supported")
def _(world: World, value: bool) -> None:
    made = world.tokens(world.trusted(), scope="openid", claims=json.dumps({"id_token": {"email": None}}))
    assert ("email" in claims_of(made["id_token"])) is value


def signed_request(world: World, client: KnownClient, algorithm: str) -> str:
    return client_key(algorithm).sign(
        {**dict(request_of(client)), "iss": client.client_id, "aud": world.provider.issuer}
    )


@proves("request_parameter_supported", "request_object_signing_alg_values_supported")
def _(world: World, _value: Any) -> None:
    def works(algorithm: str) -> bool:
        client = world.trusted(jwks=jwks(client_key(algorithm)))
        return "code" in fields_of(world.answer(client, request=signed_request(world, client, algorithm)))

    assert [name for name in ALL_ALGORITHMS if works(name)] == world.document[
        "request_object_signing_alg_values_supported"
    ]
    assert world.document["request_parameter_supported"] is True
    unsigned = world.answer(request="eyJhbGciOiJub25lIn0.e30.")
    assert fields_of(unsigned)["error"] == "invalid_request_object"


@proves("request_uri_parameter_supported", "require_request_uri_registration")
def _(world: World, value: bool) -> None:
    key, uri = client_key(), world.server.url + "/request"
    registered = world.trusted(jwks=jwks(key), request_uris=(uri,))
    other = world.trusted(jwks=jwks(key))
    for client, works in ((registered, value), (other, not value)):
        world.server.answers["/request"] = (
            200, {"Content-Type": "application/jwt"}, signed_request(world, client, "ES256").encode(),
        )  # fmt: skip
        assert ("code" in fields_of(world.answer(client, request_uri=uri))) is works


@proves("backchannel_logout_supported", "backchannel_logout_session_supported")
def _(world: World, value: bool) -> None:
    """That the notice arrives is proven where notices are sent."""
    client = world.trusted(backchannel_logout_uri=world.server.url + "/bye", backchannel_logout_session_required=True)
    made = world.tokens(client)
    world.browser.get(f"{world.path('end_session_endpoint')}?id_token_hint={made['id_token']}")
    with world.provider.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT uri, session_id FROM logout_notices").all()
    told = [(world.server.url + "/bye", claims_of(made["id_token"])["sid"])]
    assert ([tuple(row) for row in rows] == told) is value


@proves("frontchannel_logout_supported", "frontchannel_logout_session_supported")
def _(world: World, value: bool) -> None:
    client = world.trusted(frontchannel_logout_uri="https://app.example.com/bye")
    made = world.tokens(client)
    page = world.browser.get(f"{world.path('end_session_endpoint')}?id_token_hint={made['id_token']}").text
    assert ("https://app.example.com/bye?" in page and claims_of(made["id_token"])["sid"] in page) is value
