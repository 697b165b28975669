"""What tokens of ours are for: this server, the APIs of the catalogue, and applications. Clouds are none of it."""

from __future__ import annotations

from urllib.parse import urlsplit

from database.transaction import Transaction
from provider.clients.registry import Clients
from provider.clients.resources import Resources
from provider.protocol.errors import OAuthError
from provider.protocol.resources import loose_resource

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class OwnAudiences:
    """``issuer`` is this server: all that has its host and port is its own."""

    def __init__(self, issuer: str, resources: Resources, clients: Clients) -> None:
        self._authority = _authority_of(issuer)
        self._resources = resources
        self._clients = clients

    def has(self, tx: Transaction, audience: str) -> bool:
        """Whether an access token or an ID token of ours could have this audience, or one that is taken for it."""
        if audience != audience.strip() or self._clients.find(tx, audience) is not None:
            return True
        if self._authority in (_authority_of(audience), _authority_of(f"https://{audience}")):
            return True
        return _folded(audience) in {_folded(api.uri) for api in self._resources.list(tx)}


def _authority_of(uri: str) -> str:
    """Host and port, without the port that goes without saying. Empty where there is none."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return ""
    authority = parts.netloc.rpartition("@")[2].casefold()
    return authority.removesuffix(_DEFAULT_PORTS.get(parts.scheme, ":443")).removesuffix(".")


def _folded(uri: str) -> str:
    try:
        known = loose_resource(uri)
    except OAuthError:  # no name that an API can have, but perhaps a spelling of one
        known = uri
    return known.casefold().rstrip("/")
