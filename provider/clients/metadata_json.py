"""Client metadata as JSON: what a registration or a metadata document says, and what is answered (RFC 7591 §2, §3.2.1).

Unknown members and nulls are left out, unknown grants are cut, what has the wrong type is refused: clients send what they
have heard of, and believe what the answer says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from provider.clients.metadata import GRANT_TYPES, ClientMetadata
from provider.protocol.client import PUBLIC, Client, ClientDetails
from provider.protocol.errors import OAuthError
from provider.protocol.redirect_uris import is_loopback, is_private_scheme
from provider.protocol.scopes import parse_scope
from provider.protocol.sizes import fits
from provider.protocol.text import is_plain, one_line

_LISTS = ("contacts", "request_uris", "default_acr_values")
_FLAGS = (
    "require_pushed_authorization_requests",
    "require_auth_time",
    "backchannel_logout_session_required",
    "frontchannel_logout_session_required",
)
_NOT_SAID = ("authentication_methods",)
_DETAILS = frozenset(item.name for item in fields(ClientDetails)) - set(_NOT_SAID)
# All that a registration can say. What is not in here is not read.
NAMES = _DETAILS | {
    *("client_name", "application_type", "redirect_uris", "response_types", "token_endpoint_auth_method"),
    *("grant_types", "scope", "post_logout_redirect_uris", "id_token_signed_response_alg"),
}
MAX_TEXT_BYTES = 4096
MAX_ITEM_BYTES = 2048
MAX_ITEMS = 50


def metadata_from_json(said: object, *, require_pkce: bool = True, as_it_stands: bool = False) -> ClientMetadata:
    """What somebody asks for, not yet checked. Raises ``invalid_client_metadata`` or ``invalid_redirect_uri``.

    Without ``application_type`` a client with a loopback or private-use redirect is a native one; without
    ``token_endpoint_auth_method`` a native one is public and any other has a secret. ``as_it_stands`` concludes neither.
    """
    if not isinstance(said, Mapping):
        raise _refused("The metadata must be a JSON object.")
    known = {name: value for name, value in said.items() if name in NAMES and value not in (None, "")}
    if isinstance(known.get("client_name"), str):
        known["client_name"] = one_line(known["client_name"])
    redirect_uris = _texts(known, "redirect_uris", error="invalid_redirect_uri")
    is_native = not as_it_stands and any(is_loopback(uri) or is_private_scheme(uri) for uri in redirect_uris)
    application_type = "native" if is_native else _text(known, "application_type") or "web"
    response_types = _texts(known, "response_types")
    if response_types and "code" not in response_types:
        raise _refused("The response type must be code.")
    is_public = application_type == "native" and not as_it_stands
    method = _text(known, "token_endpoint_auth_method") or (PUBLIC if is_public else None)
    grants = tuple(name for name in _texts(known, "grant_types") if name in GRANT_TYPES)
    if "grant_types" in known and not grants:
        raise _refused("None of these grant types is supported.")
    try:
        scope = parse_scope(_text(known, "scope"))
    except OAuthError:
        raise _refused("The scope has a form that RFC 6749 does not allow.") from None
    return ClientMetadata(
        name=_text(known, "client_name") or "",
        application_type=application_type,
        token_endpoint_auth_method=method,
        redirect_uris=redirect_uris,
        post_logout_redirect_uris=_texts(known, "post_logout_redirect_uris"),
        grant_types=grants if redirect_uris or "authorization_code" not in grants else ("authorization_code",),
        scope=scope,
        require_pkce=require_pkce or method == PUBLIC,
        id_token_signed_response_alg=_text(known, "id_token_signed_response_alg") or "RS256",
        details=_details(known),
    )


def metadata_to_json(client: Client) -> dict[str, Any]:
    """What a client is registered with, without nulls, and with lists in their place even when they are empty."""
    answer: dict[str, Any] = {
        "client_name": client.name,
        "application_type": client.application_type,
        "redirect_uris": list(client.redirect_uris),
        "token_endpoint_auth_method": client.token_endpoint_auth_method,
        "grant_types": list(client.grant_types),
        "response_types": ["code"] if client.allows_grant("authorization_code") else [],
        "id_token_signed_response_alg": client.id_token_signed_response_alg,
        "subject_type": client.details.subject_type,
    }
    if client.post_logout_redirect_uris:
        answer["post_logout_redirect_uris"] = list(client.post_logout_redirect_uris)
    if client.scope:
        answer["scope"] = " ".join(client.scope)
    said = client.details.to_dict()
    return answer | {name: value for name, value in said.items() if name not in _NOT_SAID}


def _details(known: Mapping[str, Any]) -> ClientDetails:
    values: dict[str, Any] = {}
    for item in fields(ClientDetails):
        name = item.name
        if name not in known or name not in _DETAILS:
            continue
        if name in _LISTS:
            values[name] = _texts(known, name)
        elif name in _FLAGS:
            values[name] = _flag(known, name)
        elif name == "jwks":
            values[name] = _object(known, name)
        elif name == "default_max_age":
            values[name] = _seconds(known, name)
        else:
            values[name] = _text(known, name)
    return ClientDetails(**values)


def _text(known: Mapping[str, Any], name: str) -> str | None:
    value = known.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not fits(value, MAX_TEXT_BYTES) or not is_plain(value):
        raise _refused(f"{name} must be a string of printable characters.")
    return value


def _texts(known: Mapping[str, Any], name: str, *, error: str = "invalid_client_metadata") -> tuple[str, ...]:
    value = known.get(name, [])
    if not isinstance(value, list) or not all(_is_short_text(item) for item in value):
        raise OAuthError(error, f"{name} must be a list of strings of printable characters.")
    if len(value) > MAX_ITEMS:
        raise OAuthError(error, f"{name} is too long.")
    return tuple(dict.fromkeys(item for item in value if item))


def _is_short_text(item: object) -> bool:
    return isinstance(item, str) and fits(item, MAX_ITEM_BYTES) and is_plain(item)


def _flag(known: Mapping[str, Any], name: str) -> bool:
    value = known[name]
    if not isinstance(value, bool):
        raise _refused(f"{name} must be true or false.")
    return value


def _seconds(known: Mapping[str, Any], name: str) -> int:
    value = known[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise _refused(f"{name} must be a number of seconds.")
    return value


def _object(known: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = known[name]
    if not isinstance(value, dict):
        raise _refused(f"{name} must be an object.")
    return value


def _refused(problem: str) -> OAuthError:
    return OAuthError("invalid_client_metadata", problem)
