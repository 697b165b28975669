"""What the proofs of the metadata's members work with: a provider, somebody signed in, and the list that they add to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from provider.protocol.client import ClientDetails
from tests.endpoints.browsing import Browser, code_of
from tests.endpoints.provider import VERIFIER, KnownClient, Provider
from tests.endpoints.wsgi import Answer
from tests.https_server import HttpsServer
from tests.signing import assertion_claims, client_key, jwks, with_assertion

PROOFS: dict[str, Callable[[World, Any], None]] = {}
ALL_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
METHODS = (
    "none",
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
    "client_secret_jwt",
    "tls_client_auth",
)


class World:
    """A provider that may ask a server of ours, and a browser in which somebody is signed in."""

    def __init__(self, provider: Provider, server: HttpsServer) -> None:
        self.provider, self.server = provider, server
        self.user = provider.user(display_name="Ada", locale="en", is_verified=True)
        self.browser = Browser(provider)
        self.browser.sign_in(self.user)
        self.document = provider.get(f"{provider.path}/.well-known/openid-configuration").json

    def path(self, member: str) -> str:
        value: str = self.document[member]
        assert value.startswith(self.provider.issuer + "/")
        return urlsplit(value).path

    def trusted(self, method: str = "client_secret_basic", **options: Any) -> KnownClient:
        """Other members of ``options`` that are no columns become its details."""
        details = {name: options.pop(name) for name in list(options) if name in ClientDetails.__dataclass_fields__}
        return self.provider.client(method, **{"is_trusted": True, "details": ClientDetails(**details), **options})

    def answer(self, client: KnownClient | None = None, **changes: Any) -> Answer:
        return self.browser.authorize(client or self.trusted(), **changes)

    def tokens(self, client: KnownClient, **changes: Any) -> Any:
        return self.provider.redeem(client, code_of(self.answer(client, **changes))).json

    def authenticated(self, endpoint: str, method: str, algorithm: str = "ES256") -> bool:
        """Whether a client of this method is let in with a right credential."""
        provider, key = self.provider, client_key(algorithm)
        known = method in ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
        client = self.trusted(method, jwks=jwks(key)) if known else self.trusted()
        fields = {"token": "unknown", "grant_type": "authorization_code", "code": "x", "code_verifier": VERIFIER}
        if method in ("private_key_jwt", "client_secret_jwt"):
            fields |= with_assertion(key.sign(assertion_claims(client.client_id, provider.issuer, provider.clock.now)))
        answer = provider.post(self.path(endpoint), fields, by=client if known else None)
        assert answer.status < 500
        return answer.status != 401


def proves(*names: str) -> Callable[[Callable[[World, Any], None]], Callable[[World, Any], None]]:
    def keep(proof: Callable[[World, Any], None]) -> Callable[[World, Any], None]:
        PROOFS.update(dict.fromkeys(names, proof))
        return proof

    return keep
