"""Authorization requests as signed objects (RFC 9101, OpenID Connect Core §6): the parameters they stand for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from provider.protocol.errors import OAuthError
from provider.protocol.messages import Parameters

PUSHED_PREFIX = "urn:ietf:params:oauth:request_uri:"
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
CONTENT_TYPES = ("application/oauth-authz-req+jwt", "application/jwt", "text/plain")
TYPES = ("oauth-authz-req+jwt",)
MAX_CHARACTERS = 16_384
_OF_THE_JWT = frozenset({"iss", "aud", "exp", "nbf", "iat", "jti", "sub"})
_FORBIDDEN = ("request", "request_uri")
PARAMETERS = frozenset(
    (
        *("response_type", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method"),
        *("resource", "prompt", "max_age", "login_hint", "ui_locales", "id_token_hint", "response_mode", "acr_values"),
        "claims",
    )
)


def parameters_of(
    claims: Mapping[str, Any], *, client_id: str, issuer: str, now: float, skew_seconds: int
) -> Parameters:
    """The parameters of a verified request object. They count alone: what stands outside of it is nobody's word.

    ``now`` is in seconds since the epoch. Raises ``invalid_request_object``.
    """
    problem = _problem(claims, client_id, issuer) or _time_problem(claims, now, skew_seconds)
    if problem is not None:
        raise invalid_request_object(problem)
    pairs: list[tuple[str, str]] = []
    for name, value in claims.items():
        if name not in _OF_THE_JWT and name != "client_id":
            pairs += [(name, text) for text in _texts(name, value)]
    return Parameters([("client_id", client_id), *pairs])


def _problem(claims: Mapping[str, Any], client_id: str, issuer: str) -> str | None:
    if claims.get("client_id", client_id) != client_id or claims.get("iss", client_id) != client_id:
        return "The request object is another client's."
    if claims.get("sub") == client_id:
        return "The request object is a client assertion."
    audience = claims.get("aud", issuer)
    if issuer not in (audience if isinstance(audience, list) else [audience]):
        return "The request object is for another server."
    if any(name in claims for name in _FORBIDDEN):
        return "A request object cannot hold another one."
    return None


def _time_problem(claims: Mapping[str, Any], now: float, skew: int) -> str | None:
    for name in ("exp", "nbf", "iat"):
        if name not in claims:
            continue
        value = claims[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return "The request object has a time that is no number."
        if (name == "exp" and value <= now - skew) or (name != "exp" and value > now + skew):
            return "The request object is not valid at this time."
    return None


def _texts(name: str, value: object) -> list[str]:
    """A claim as parameters are written: ``max_age`` may be a number, ``claims`` an object, ``resource`` a list.

    Raises ``invalid_request_object`` where a parameter that means something has another form: leaving it out would
    make another request of it.
    """
    if isinstance(value, str) and "\x00" not in value:
        return [value]
    if name == "resource" and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    if name == "max_age" and isinstance(value, int) and not isinstance(value, bool):
        return [str(value)]
    if name == "claims" and isinstance(value, dict):
        return [json.dumps(value)]
    if name in PARAMETERS and value is not None:
        raise invalid_request_object("A parameter in the request object has a form that it cannot have.")
    return []


def invalid_request_object(description: str, *, detail: str = "") -> OAuthError:
    return OAuthError("invalid_request_object", description, detail=detail)


def invalid_request_uri(description: str, *, detail: str = "") -> OAuthError:
    return OAuthError("invalid_request_uri", description, detail=detail)
