"""What the less common client metadata may say (OpenID Connect Registration §2 and its logouts, RFC 7591 §2)."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from typing import Any

from provider.protocol.client import PAIRWISE, PRIVATE_KEY_JWT, ClientDetails
from provider.protocol.errors import OAuthError
from provider.protocol.redirect_uris import is_loopback, uri_problem

SIGNING_ALGORITHMS = ("RS256", "ES256", "EdDSA")
ASSERTION_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
REQUEST_OBJECT_ALGORITHMS = ASSERTION_ALGORITHMS
MAX_KEYS = 10
MAX_REQUEST_URIS = 20
# A larger key makes each signature by it costly to check, and whoever sends one pays nothing.
LEAST_RSA_BITS, MOST_RSA_BITS = 2048, 4096
MOST_EXPONENT_BITS = 64
_PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}
_KEY_TYPES = ("RSA", "EC", "OKP")
_SHOWN_URIS = ("client_uri", "logo_uri", "policy_uri", "tos_uri")
_CALLED_URIS = ("jwks_uri", "sector_identifier_uri", "backchannel_logout_uri", "frontchannel_logout_uri")
_LOGOUT_URIS = ("backchannel_logout_uri", "frontchannel_logout_uri")


def check_details(details: ClientDetails, method: str | None, *, by_operator: bool = False) -> None:
    """Raises ``invalid_client_metadata`` at the first rule that does not hold. ``method`` is how it proves itself.

    An operator may have a program on this machine told of logouts by plain http. A stranger's word opens no door of ours.
    """
    or_loopback = (*_SHOWN_URIS, *_LOGOUT_URIS) if by_operator else _SHOWN_URIS
    problem = _problem(details, method, or_loopback)
    if problem is not None:
        raise OAuthError("invalid_client_metadata", problem)


def _problem(details: ClientDetails, method: str | None, or_loopback: Collection[str]) -> str | None:
    for name in (*_SHOWN_URIS, *_CALLED_URIS):
        uri = getattr(details, name)
        if uri is not None and not is_https_uri(uri, or_loopback=name in or_loopback):
            return f"{name} must be an https URI."
    if details.initiate_login_uri is not None and not is_https_uri(details.initiate_login_uri):
        return "initiate_login_uri must be an https URI."
    if any(not is_https_uri(uri.partition("#")[0]) for uri in details.request_uris):
        return "request_uris must be https URIs."
    if len(details.request_uris) > MAX_REQUEST_URIS:
        return "At most 20 request_uris can be registered."
    if details.jwks is not None and details.jwks_uri is not None:
        return "Only one of jwks and jwks_uri can be given."
    if details.jwks is not None and (problem := jwks_problem(details.jwks)) is not None:
        return problem
    if method == PRIVATE_KEY_JWT and details.jwks is None and details.jwks_uri is None:
        return "private_key_jwt needs jwks or jwks_uri."
    return _algorithm_problem(details)


def _algorithm_problem(details: ClientDetails) -> str | None:
    if details.token_endpoint_auth_signing_alg not in (None, *ASSERTION_ALGORITHMS):
        return "Client assertions can be signed with RS256, PS256, ES256 or EdDSA."
    if details.request_object_signing_alg not in (None, *REQUEST_OBJECT_ALGORITHMS):
        return "Request objects can be signed with RS256, PS256, ES256 or EdDSA."
    if details.userinfo_signed_response_alg not in (None, *SIGNING_ALGORITHMS):
        return "UserInfo can be signed with RS256, ES256 or EdDSA."
    if details.subject_type not in ("public", PAIRWISE):
        return "The subject type must be public or pairwise."
    if details.default_max_age is not None and not 0 <= details.default_max_age < 10**9:
        return "default_max_age must be a number of seconds."
    return None


def is_https_uri(uri: str, *, or_loopback: bool = False) -> bool:
    """Whether ``uri`` is an absolute https URI without fragment and user; ``or_loopback`` allows http to this machine."""
    return uri_problem(uri, "web") is None and (uri.startswith("https://") or (or_loopback and is_loopback(uri)))


def jwks_problem(jwks: Mapping[str, Any]) -> str | None:
    """Why ``jwks`` is no set of public asymmetric keys, None when it is.

    Keys of other kinds may be among them: they are never used (RFC 7517 §5).
    """
    keys = jwks.get("keys")
    if not isinstance(keys, list) or not keys or len(keys) > MAX_KEYS:
        return "jwks must have 1 to 10 keys."
    if not all(isinstance(key, dict) and isinstance(key.get("kty"), str) for key in keys):
        return "Every key must have a kty."
    if any(_PRIVATE_MEMBERS & set(key) for key in keys):
        return "Keys must be public ones."
    known = [key for key in keys if key["kty"] in _KEY_TYPES]
    if not known:
        return "At least one key must be an RSA, EC or OKP key."
    if not all(_is_cheap_to_check(key) for key in known if key["kty"] == "RSA"):
        return "RSA keys must have 2048 to 4096 bits, and a small exponent."
    return None


def _is_cheap_to_check(key: Mapping[str, Any]) -> bool:
    """Whether an RSA key has a size that is safe and costs little. Told without reading it, which costs more."""
    modulus, exponent = _bits(key.get("n")), _bits(key.get("e"))
    return LEAST_RSA_BITS <= modulus <= MOST_RSA_BITS and 1 <= exponent <= MOST_EXPONENT_BITS


def _bits(number: object) -> int:
    """How many bits a number in base64url has, 0 for what is none (RFC 7518 §6.3.1)."""
    try:
        known = base64.urlsafe_b64decode(number + "=" * (-len(number) % 4)) if isinstance(number, str) else b""
    except ValueError:
        return 0
    return int.from_bytes(known).bit_length()
