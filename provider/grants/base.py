"""What all grants share: our request, the audience of a token, and the answer of the token endpoint."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from typing import Any

from authlib.oauth2.rfc6749 import BaseGrant, OAuth2Request
from authlib.oauth2.rfc6749.grants.base import TokenEndpointMixin
from authlib.oauth2.rfc6749.requests import OAuth2Payload

from database.transaction import Transaction
from provider.accounts.api_keys import scope_of_owner
from provider.accounts.profile import subject_of
from provider.audit import AuditEvent
from provider.protocol.claims import CLAIMS_OF_SCOPE, claims_for, wants_profile
from provider.protocol.client import Client, Resource
from provider.protocol.errors import OAuthError
from provider.protocol.groups import Membership
from provider.protocol.messages import Origin, Parameters, ProtocolRequest
from provider.protocol.resources import single_resource
from provider.protocol.scopes import GROUPS, IDENTITY_SCOPES, OPENID, grantable_scope
from provider.services import Services
from provider.tokens.authorization import Authorization
from provider.tokens.grant_records import GrantRecord


class FormPayload(OAuth2Payload):  # type: ignore[misc]
    """The body's fields as Authlib reads them. The query string never counts (RFC 6749 §3.2)."""

    def __init__(self, form: Parameters) -> None:
        self._form = form

    @property
    def data(self) -> Parameters:
        return self._form

    @property
    def datalist(self) -> dict[str, list[str]]:
        return self._form.as_dict()


# What Authlib's own constructor sets, which checks the URI at each request. Whether plain HTTP is acceptable was decided at
# start from the issuer, which this URI stands for. The token endpoint knows no other method.
_AS_AUTHLIB_BEGINS = vars(OAuth2Request("POST", "https://localhost/token"))


class TokenRequest(OAuth2Request):  # type: ignore[misc]
    """Authlib's request made from ours, with the transaction that the answer is made in.

    Raises ``invalid_request`` when the body is no form, or has a parameter other than ``resource`` twice.
    """

    def __init__(self, message: ProtocolRequest, tx: Transaction, services: Services) -> None:
        self.__dict__.update(_AS_AUTHLIB_BEGINS)
        self.headers = message.headers
        self.message = message
        self.tx = tx
        self.services = services
        message.form.refuse_repeated("resource")
        self.payload = FormPayload(message.form)

    @property
    def form(self) -> Parameters:
        return self.message.form


class Grant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]
    """One ``grant_type``: proves an ``Authorization`` and has it turned into tokens by the issuer."""

    request: TokenRequest

    @property
    def services(self) -> Services:
        return self.request.services

    @property
    def tx(self) -> Transaction:
        return self.request.tx

    @property
    def now(self) -> datetime.datetime:
        return self.request.message.received_at

    @property
    def origin(self) -> Origin:
        return self.request.message.origin

    @property
    def authenticated_client(self) -> Client:
        client: Client = self.request.client
        return client

    def record_refusal(self, event: AuditEvent, client: Client, grant: GrantRecord, reason: str) -> None:
        """Notes that ``client`` has presented something of a grant in a way that is refused."""
        self.services.refusals.of_grant(self.tx, event, self.origin, grant, reason, actor=client.client_id)

    def required(self, name: str) -> str:
        """A parameter that the grant cannot do without. Raises ``invalid_request``."""
        value = self.request.form.get(name)
        if value is None:
            raise OAuthError.invalid_request(f"The parameter {name} is missing.")
        return value

    def requested_resource(self) -> Resource | None:
        """The API that the token request names. Raises ``invalid_target``."""
        uri = single_resource(self.request.form.all("resource"))
        return None if uri is None else self.services.resources.get(self.tx, uri)

    def granted_resource(self, granted_uri: str) -> Resource:
        """The API of a grant. The token request may repeat it but not ask for another (RFC 8707 §2.2)."""
        granted, requested = self.services.resources.get(self.tx, granted_uri), self.requested_resource()
        if granted.uri != granted_uri:
            raise OAuthError.invalid_target("The resource that was authorized is not registered any more.")
        if requested is not None and requested.uri != granted.uri:
            raise OAuthError.invalid_target("The resource differs from the one that was authorized.")
        return granted

    def groups_behind(self, person_id: str | None, resource: Resource, scope: Collection[str]) -> Membership | None:
        """The groups of a person where ``scope`` rests on them, as what is kept for administrators does as well.

        None where it does not, or where there is nobody. The mint looks whether they are still the same.
        """
        rests_on_them = {GROUPS, *resource.admin_scope, *resource.scope_groups}
        is_reserved = bool(self.authenticated_client.only_groups)
        if person_id is None or (rests_on_them.isdisjoint(scope) and not is_reserved):
            return None
        return self.services.groups.membership(self.tx, person_id)

    def remaining_scope(self, resource: Resource, person: Membership | None, scope: tuple[str, ...]) -> tuple[str, ...]:
        """A grant's scope without what is gone since: the catalogue and people change.

        Raises ``invalid_scope`` when all of it is.
        """
        allowed = {*IDENTITY_SCOPES, *resource.personal_scope, *scope_of_owner(resource, person)}
        return grantable_scope(scope, default=(), allowed=allowed)

    def authorization_by(
        self,
        grant: GrantRecord,
        resource: Resource,
        asked_scope: tuple[str, ...],
        *,
        nonce: str | None = None,
    ) -> Authorization:
        """What a user's grant proves now, for the authenticated client, of the scope that was asked for.

        Raises ``invalid_scope`` when nothing of it is left, ``invalid_grant`` where the person is in none of the groups that
        the client is reserved for any more. Nothing is used up then: who comes back goes on.
        """
        asked_claims = {GROUPS} & set(grant.claims.id_token)
        person = self.groups_behind(grant.user_id, resource, {*asked_scope, *asked_claims})
        if person is not None and not person.is_in_one_of(self.authenticated_client.only_groups):
            raise OAuthError.invalid_grant("The user is not among those whom this application is for.")
        scope = self.remaining_scope(resource, person, asked_scope)
        return Authorization(
            client=self.authenticated_client,
            grant_type=self.GRANT_TYPE,
            scope=scope,
            resource=resource,
            user_id=grant.user_id,
            grant_id=grant.id,
            session_id=grant.session_id,
            authenticated_at=grant.authenticated_at,
            amr=grant.amr,
            acr=grant.acr,
            nonce=nonce,
            id_token_claims=grant.claims.id_token,
            membership=person,
            source=self.request.message.source,
        )

    def answer(
        self, authorization: Authorization, refresh_token: str | None = None
    ) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """Mints and returns what Authlib hands to the server: status, fields and headers (RFC 6749 §5.1).

        ``scope`` is always said, unless it is empty, which its syntax does not allow.
        """
        issuer = self.services.token_issuer
        access = issuer.issue_access_token(self.tx, authorization, self.now)
        fields: dict[str, Any] = {
            "access_token": access.token,
            "token_type": "Bearer",
            "expires_in": access.expires_in,
        }
        if access.scope:
            fields["scope"] = " ".join(access.scope)
        if refresh_token is not None:
            fields["refresh_token"] = refresh_token
        if authorization.user_id is not None and OPENID in authorization.scope:
            fields["id_token"] = issuer.id_token(
                self.tx,
                authorization,
                self.now,
                access_token=access.token,
                subject_claims=self._id_token_claims(authorization),
            )
        self.services.clients.touch(self.tx, authorization.client, self.now, authorization.source)
        return 200, fields, []

    def _id_token_claims(self, authorization: Authorization) -> Mapping[str, Any]:
        """What the ``claims`` parameter asked for here, and for clients that are to have them the claims of the scope;
        otherwise those are UserInfo's (OpenID Connect Core §5.4). Groups are always here: whoever wants them looks here."""
        has_all = authorization.client.claims_in_id_token
        scope = tuple(name for name in authorization.scope if has_all or name == GROUPS)
        if authorization.user_id is None or not (authorization.id_token_claims or CLAIMS_OF_SCOPE.keys() & set(scope)):
            return {}
        user = self.services.users.find(self.tx, authorization.user_id)
        if user is None:
            return {}
        asked = authorization.id_token_claims
        profile = self.services.profiles.claims(self.tx, user) if wants_profile(scope, asked) else None
        groups = None if authorization.membership is None else authorization.membership.names
        return claims_for(subject_of(user, user.id, profile, groups), scope, asked)

    def validate_requested_scope(self) -> None:
        """Scopes are cut down instead of refused, by each grant's own rule."""
