"""A checked authorization request with its client, and what follows from the two."""

from __future__ import annotations

import datetime
import hashlib
import json
from dataclasses import dataclass

from database.transaction import Transaction
from provider.accounts.api_keys import scope_of_owner
from provider.authorization.answers import ReturnAddress
from provider.protocol.client import Client, Resource
from provider.protocol.errors import OAuthError
from provider.protocol.groups import Membership
from provider.protocol.registration_digest import registration_digest
from provider.protocol.request_rules import AuthorizationParameters, is_redirect_uri_of
from provider.protocol.scopes import IDENTITY_SCOPES, OFFLINE_ACCESS, grantable_scope
from provider.services import Services
from provider.tokens.one_time import StoredRequest


@dataclass(frozen=True, slots=True)
class AskedFor:
    """A checked request with its client. ``asked_at`` is when it arrived; ``consented_session_id`` who allowed it, and
    ``consented_digest`` what they were told then."""

    client: Client
    parameters: AuthorizationParameters
    asked_at: datetime.datetime
    consented_session_id: str | None = None
    consented_digest: str | None = None

    @property
    def return_address(self) -> ReturnAddress:
        return ReturnAddress(self.parameters.redirect_uri, self.parameters.state, self.parameters.response_mode)


def asked_by(services: Services, tx: Transaction, now: datetime.datetime, stored: StoredRequest) -> AskedFor | None:
    """What a stored request asks for, None when its client or redirect URI is gone."""
    client = services.clients.get_by_row(tx, stored.client_row_id)
    if client is None or not client.is_usable(now):
        return None
    parameters = AuthorizationParameters.from_dict(stored.parameters)
    if not is_redirect_uri_of(client, parameters.redirect_uri):
        return None
    return AskedFor(client, parameters, stored.created_at, stored.consented_session_id, stored.consented_digest)


def digest_of_request(asked: AskedFor, resource: Resource, scope: tuple[str, ...]) -> str:
    """Differs when anything does of what a person decides on, whoever has changed it. Hexadecimal SHA-256.

    ``scope`` is what would be granted to this person.
    """
    words = {name: dict(resource.descriptions[name]) for name in scope if name in resource.descriptions}
    said = [registration_digest(asked.client), resource.uri, resource.name, scope, asked.parameters.claims.scope, words]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def consented_scope(asked: AskedFor, scope: tuple[str, ...]) -> tuple[str, ...]:
    """What the user's decision is about: the scope, and what single claims reveal beyond it."""
    return tuple(dict.fromkeys((*scope, *asked.parameters.claims.scope)))


def scope_of_request(asked: AskedFor, resource: Resource, person: Membership | None) -> tuple[str, ...]:
    """Exactly what would be granted: the request, or the defaults, cut down to what this person can have.

    None stands for whoever can have the most. Raises ``invalid_scope`` when nothing is left.
    """
    allowed = {*IDENTITY_SCOPES, *scope_of_owner(resource, person)}
    if asked.client.is_vouched:  # a stranger's application changes nobody's account
        allowed.update(resource.personal_scope)
    if not asked.client.allows_grant("refresh_token"):
        allowed.discard(OFFLINE_ACCESS)
    scope = grantable_scope(asked.parameters.scope, default=asked.client.scope or resource.scope, allowed=allowed)
    if not scope:
        raise OAuthError.invalid_scope("The request asks for no scope, and there is none by default.")
    return scope


def withheld_scope(asked: AskedFor, resource: Resource, person: Membership) -> tuple[str, ...]:
    """What of the request this person cannot have, since it is reserved for groups that they are not in."""
    wanted = asked.parameters.scope or asked.client.scope or resource.scope
    reserved = resource.scope_groups
    return tuple(name for name in wanted if name in reserved and not person.is_in_one_of(reserved[name]))
