"""Client credentials (RFC 6749 §4.4): applications and API keys in their own name."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant as AuthlibClientCredentialsGrant

from provider.accounts.api_keys import scope_of_owner
from provider.grants.base import Grant
from provider.protocol.client import Client, Resource
from provider.protocol.errors import OAuthError
from provider.protocol.groups import NOBODY, Membership
from provider.protocol.scopes import KEY_SCOPES, grantable_scope, parse_scope
from provider.tokens.authorization import Authorization


class ClientCredentialsGrant(Grant, AuthlibClientCredentialsGrant):  # type: ignore[misc]
    """Authlib authenticates the client and asks whether it may use this grant; the rest is the scope and the audience."""

    def validate_token_request(self) -> None:
        super().validate_token_request()
        if self.authenticated_client.is_public:
            raise OAuthError.unauthorized_client("A public client cannot use client credentials.")

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        client = self.authenticated_client
        wanted = parse_scope(self.request.form.get("scope"))
        resource = self._resource(client, wanted)
        has = client.scope if client.scope or client.is_api_key else scope_of_owner(resource, NOBODY)
        owner = self.groups_behind(client.owner_user_id, resource, has)
        authorization = Authorization(
            client=client,
            grant_type=self.GRANT_TYPE,
            scope=self._scope(has, resource, owner, wanted),
            resource=resource,
            membership=owner,
            source=self.request.message.source,
        )
        return self.answer(authorization)

    def _resource(self, client: Client, wanted: tuple[str, ...]) -> Resource:
        """The API that is named, or the client's own, or the only one that has such scopes, or this server."""
        requested = self.requested_resource()
        if client.resource is not None:
            own = self.services.resources.get(self.tx, client.resource)
            if requested is not None and requested.uri != own.uri:
                raise OAuthError.invalid_target("This client is for another resource.")
            return own
        if requested is not None:
            return requested
        scope = set(wanted or client.scope)
        candidates = [api for api in self.services.resources.known(self.tx) if scope & set(api.scope)]
        if len(candidates) > 1:
            raise OAuthError.invalid_target("Several resources have these scopes. Name the one that is meant.")
        return candidates[0] if candidates else self.services.resources.default()

    def _scope(
        self, has: tuple[str, ...], resource: Resource, owner: Membership | None, wanted: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Never more than the client has, and for an API key never more than its owner has now.

        A client without a scope of its own may have what the API offers to everybody. No catalogue has scopes about
        people (``openid`` and the like), so none is ever granted here. What an API key can have of this server's own API
        counts in a key that was made for this server alone: elsewhere it is another API's scope of the same name.
        """
        client = self.authenticated_client
        offered = set(scope_of_owner(resource, owner))
        if client.is_api_key and client.resource == self.services.resources.default().uri == resource.uri:
            offered.update(KEY_SCOPES)
        allowed = offered & set(has)
        return grantable_scope(wanted, default=has, allowed=allowed)
