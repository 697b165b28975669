"""The rules of an authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect Core §3.1.2.1)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from provider.protocol.claims_request import ClaimsRequest, parse_claims_request
from provider.protocol.client import Client
from provider.protocol.errors import OAuthError, UntrustedRedirect
from provider.protocol.messages import Parameters
from provider.protocol.redirect_uris import redirect_uri_matches, redirect_uri_problem
from provider.protocol.remedies import remedy
from provider.protocol.resources import single_resource
from provider.protocol.scopes import OPENID, parse_scope
from provider.protocol.sizes import fits
from provider.protocol.text import is_plain

MAX_STATE_BYTES = 4096
MAX_HINT_BYTES = 8192
MAX_LOGIN_HINT_BYTES = 255
MAX_SHOWN_CHARACTERS = 120
RESPONSE_MODES = ("query", "form_post")
PROMPTS = frozenset({"none", "login", "consent", "select_account", "create"})
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_LOCALES = re.compile(r"[A-Za-z0-9 -]{1,100}")


@dataclass(frozen=True, slots=True)
class AuthorizationParameters:
    """A checked authorization request. ``max_age`` is in seconds; ``scope`` is what was asked for, maybe nothing.

    ``pushed`` names the pushed request that it was read from (RFC 9126).
    """

    redirect_uri: str
    scope: tuple[str, ...] = ()
    state: str | None = None
    nonce: str | None = None
    code_challenge: str | None = None
    resource: str | None = None
    prompt: tuple[str, ...] = ()
    max_age: int | None = None
    login_hint: str | None = None
    ui_locales: str | None = None
    id_token_hint: str | None = None
    response_mode: str = "query"
    acr_values: tuple[str, ...] = ()
    claims: ClaimsRequest = field(default_factory=ClaimsRequest)
    pushed: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values of what was asked for."""
        said = {**asdict(self), "claims": self.claims.to_dict()}
        return {name: value for name, value in said.items() if value not in (None, (), {})}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> AuthorizationParameters:
        """What ``to_dict`` gave, in this release or another: fields that are not known here are left out."""
        known = {item.name: stored[item.name] for item in fields(cls) if item.name in stored}
        for name in ("scope", "prompt", "acr_values"):
            known[name] = tuple(known.get(name, ()))
        known["claims"] = ClaimsRequest.from_dict(known.get("claims"))
        return cls(**known)


def proven_redirect_uri(parameters: Parameters, client: Client | None) -> str:
    """The redirect URI, once it is certain that it belongs to the client.

    Raises ``UntrustedRedirect``: until this returns, no answer may go to a URI from the request (RFC 6749 §4.1.2.1).
    """
    if client is None:
        raise UntrustedRedirect("invalid_request", "No application is registered under this client_id.")
    requested = single_value(parameters, "redirect_uri")
    if requested is None:
        raise UntrustedRedirect("invalid_request", "The request names no redirect_uri.")
    if not is_redirect_uri_of(client, requested):
        raise UntrustedRedirect(
            "invalid_request",
            "The redirect_uri is not registered for this application.",
            detail=_foreign(requested, client),
        )
    return requested


def is_redirect_uri_of(client: Client, uri: str) -> bool:
    return any(redirect_uri_matches(known, uri, client.application_type) for known in client.redirect_uris)


def _foreign(uri: str, client: Client) -> str:
    """What an operator is told of a redirect URI. It may be an attacker's: whose it is, only a person can judge."""
    fact = f"redirect_uri {shlex.quote(uri[:MAX_SHOWN_CHARACTERS])} is not registered for it"
    if len(uri) > MAX_SHOWN_CHARACTERS or redirect_uri_problem(uri, client.application_type) is not None:
        return fact
    option = f"--add-redirect-uri {shlex.quote(uri)}"
    return fact + remedy(client, option, condition=", if it is the application's own")


def single_value(parameters: Parameters, name: str) -> str | None:
    """A parameter that must be certain before anything can be redirected. Raises ``UntrustedRedirect`` when repeated."""
    try:
        return parameters.get(name)
    except OAuthError as error:
        raise UntrustedRedirect(error.error, f"The request has more than one {name}.") from None


def safe_state(parameters: Parameters) -> str | None:
    """The state to send back with an error: None when it was repeated or is too long to keep."""
    values = parameters.all("state")
    return values[0] if len(values) == 1 and fits(values[0], MAX_STATE_BYTES) else None


def safe_response_mode(parameters: Parameters, redirect_uri: str) -> str:
    """The mode in which to send an error back: the one asked for where that is certain, and possible."""
    asked_for_form = parameters.all("response_mode") == ["form_post"]
    return "form_post" if asked_for_form and _can_be_posted_to(redirect_uri) else "query"


def check_authorization_request(parameters: Parameters, client: Client, redirect_uri: str) -> AuthorizationParameters:
    """Everything but client and redirect URI. Raises ``OAuthError`` with the code that the redirect carries."""
    if parameters.repeated("resource"):
        raise OAuthError.invalid_request("A parameter was sent more than once.")
    response_type = parameters.get("response_type")
    if response_type is None:
        raise OAuthError.invalid_request("The request names no response_type.")
    if response_type != "code":
        raise OAuthError("unsupported_response_type", "The response type must be code.")
    if not client.allows_grant("authorization_code"):
        raise OAuthError.unauthorized_client(
            "This client may not use the authorization code grant.",
            detail="the grant authorization_code is not registered for it"
            + remedy(client, "--grant authorization_code --grant refresh_token"),
        )
    response_mode = parameters.get("response_mode") or "query"
    if response_mode not in RESPONSE_MODES:
        raise OAuthError.invalid_request("The response mode must be query or form_post.")
    if response_mode == "form_post" and not _can_be_posted_to(redirect_uri):
        raise OAuthError.invalid_request("form_post needs an http redirect URI.")
    state, nonce = parameters.get("state"), parameters.get("nonce")
    if not fits(state, MAX_STATE_BYTES) or not fits(nonce, MAX_STATE_BYTES):
        raise OAuthError.invalid_request("state and nonce must not exceed 4096 bytes.")
    id_token_hint = parameters.get("id_token_hint")
    if not fits(id_token_hint, MAX_HINT_BYTES):
        raise OAuthError.invalid_request("id_token_hint must not exceed 8192 bytes.")
    scope = parse_scope(parameters.get("scope"))
    return AuthorizationParameters(
        redirect_uri=redirect_uri,
        scope=scope,
        state=state,
        nonce=nonce,
        code_challenge=_code_challenge(parameters, client, scope),
        resource=single_resource(parameters.all("resource")),
        prompt=_prompt(parameters.get("prompt")),
        max_age=_max_age(parameters.get("max_age")),
        login_hint=_login_hint(parameters.get("login_hint")),
        ui_locales=_locales(parameters.get("ui_locales")),
        id_token_hint=id_token_hint,
        response_mode=response_mode,
        acr_values=_words(parameters.get("acr_values"))[:10],
        claims=parse_claims_request(parameters.get("claims")),
    )


def _can_be_posted_to(redirect_uri: str) -> bool:
    """Whether a form can go there: not to an application's own scheme."""
    return redirect_uri.startswith(("https:", "http:"))


def verifier_matches(challenge: str, verifier: str) -> bool:
    """Whether a code verifier belongs to an S256 challenge (RFC 7636 §4.6)."""
    if not _VERIFIER.fullmatch(verifier):
        return False
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"="), challenge.encode())


def _code_challenge(parameters: Parameters, client: Client, scope: Collection[str]) -> str | None:
    challenge, method = parameters.get("code_challenge"), parameters.get("code_challenge_method")
    if challenge is None and method is None and _may_go_without_pkce(client, scope, parameters.get("nonce")):
        return None
    if challenge is None:
        sent = "neither code_challenge nor nonce" if client.nonce_replaces_pkce else "no code_challenge"
        raise OAuthError.invalid_request(
            "PKCE is required: code_challenge is missing.",
            detail=f"it sends {sent}{remedy(client, '--pkce never')}",
        )
    if method != "S256":
        sent = "none" if method is None else shlex.quote(method[:MAX_SHOWN_CHARACTERS])
        raise OAuthError.invalid_request(
            "PKCE needs code_challenge_method S256.",
            detail=f"its code_challenge_method is {sent}, and only S256 is taken",
        )
    if not _CHALLENGE.fullmatch(challenge):
        raise OAuthError.invalid_request("code_challenge must be 43 base64url characters.")
    return challenge


def _may_go_without_pkce(client: Client, scope: Collection[str], nonce: str | None) -> bool:
    """A client that proves itself and checks a nonce finds an injected code out by the ID token (OAuth 2.1 §7.5.1)."""
    if not client.always_authenticates:
        return False
    return not client.require_pkce or (client.nonce_replaces_pkce and OPENID in scope and bool(nonce))


def _prompt(text: str | None) -> tuple[str, ...]:
    words = _words(text)
    values = tuple(dict.fromkeys(value for value in words if value in PROMPTS))
    if "none" in values and len(words) > 1:
        raise OAuthError.invalid_request("prompt none cannot be combined with another value.")
    return values


def _words(text: str | None) -> tuple[str, ...]:
    """A list as requests write it: with blanks between, which are blanks of ASCII (RFC 6749 §3.1.1)."""
    return tuple(word for word in (text or "").split(" ") if word)


def _max_age(text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise OAuthError.invalid_request("max_age must be a number of seconds.")
    return int(text)


def _login_hint(text: str | None) -> str | None:
    """A user name or address to fill in. What could not be one is left out: a hint is never an error."""
    return text if text and fits(text, MAX_LOGIN_HINT_BYTES) and is_plain(text) else None


def _locales(text: str | None) -> str | None:
    return text if text and _LOCALES.fullmatch(text) else None
