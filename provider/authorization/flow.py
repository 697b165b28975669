"""An authorization request on its way: what is needed next, and the code that it gets in the end.

The authorization endpoint and the pages both use it. The next step follows from stored state alone (the request, the
browser's session, consents), so pages return to the endpoint and never decide where things go.
"""

from __future__ import annotations

import datetime
from dataclasses import replace

from database.transaction import Transaction
from provider.accounts.users import User
from provider.audit import AuditEvent
from provider.authorization.answers import AuthorizationAnswers
from provider.authorization.asked import (
    AskedFor,
    asked_by,
    consented_scope,
    digest_of_request,
    scope_of_request,
    withheld_scope,
)
from provider.authorization.descriptions import RequestDescription, describe_request
from provider.authorization.ended import EndedRequests
from provider.authorization.levels import needs_step_up, wanted_levels
from provider.authorization.steps import OUTSIDE, NeedsPage, Ready
from provider.protocol.client import Resource
from provider.protocol.errors import OAuthError
from provider.protocol.groups import NOBODY, Membership
from provider.protocol.messages import Origin, ProtocolResponse
from provider.protocol.redirect_uris import goes_to_a_device
from provider.protocol.request_rules import AuthorizationParameters
from provider.protocol.scopes import IDENTITY_SCOPES, OFFLINE_ACCESS
from provider.services import Services
from provider.sign_in.assurance import answered
from provider.sign_in.sessions import Session


class AuthorizationFlow:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._issuer = services.settings.issuer
        self.answers = AuthorizationAnswers(self._issuer)
        self.ended = EndedRequests(services, self.answers)

    def next_step(
        self, tx: Transaction, asked: AskedFor, signed_in: tuple[Session, User] | None, now: datetime.datetime
    ) -> NeedsPage | Ready:
        """What has to happen before a code can be issued.

        Raises ``OAuthError`` (``invalid_scope``, ``invalid_target``, ``unmet_authentication_requirements``).
        """
        resource = self._resource(tx, asked)
        if signed_in is None or self._must_sign_in_again(tx, asked, signed_in[0], now):
            scope_of_request(asked, resource, None)
            makes_account = "create" in asked.parameters.prompt and self._services.sign_ups.are_open(tx)
            return NeedsPage("/signup" if makes_account else "/login", "login_required")
        session, user = signed_in
        person = self._membership(tx, asked, resource, user)
        if person is not None and not person.is_in_one_of(asked.client.only_groups):
            return OUTSIDE
        scope = scope_of_request(asked, resource, person)
        if self._services.second_factor_rule.must_enrol(tx, user, now):
            return NeedsPage("/login/second-factor", "interaction_required")
        if user.is_unconfirmed:
            return NeedsPage("/signup/address", "interaction_required")
        if needs_step_up(tx, asked, session, user):
            return NeedsPage("/login/again", "login_required")
        if asked.consented_session_id == session.id and asked.consented_digest == digest_of_request(
            asked, resource, scope
        ):
            return Ready(session, user, resource, scope, None, is_decided=True)
        consent_id = self._remembered_consent(tx, asked, user, resource, consented_scope(asked, scope))
        wants_page = {"consent", "select_account"} & set(asked.parameters.prompt)
        if wants_page or (consent_id is None and not asked.client.is_trusted):
            return NeedsPage("/consent", "consent_required")
        return Ready(session, user, resource, scope, consent_id)

    def settled(self, tx: Transaction, asked: AskedFor) -> AuthorizationParameters:
        """The parameters with all that follows from the client filled in. Raises ``OAuthError`` (``invalid_target``).

        While a person reads what is asked for, the client may change its registration or its document: what it gets must
        not follow. What this person can have is cut down to later.
        """
        resource = self._resource(tx, asked)
        scope = asked.parameters.scope or asked.client.scope or resource.scope
        if not asked.client.allows_grant("refresh_token"):
            scope = tuple(name for name in scope if name != OFFLINE_ACCESS) or scope
        return replace(asked.parameters, scope=scope, resource=resource.uri)

    def issue(
        self, tx: Transaction, origin: Origin, asked: AskedFor, ready: Ready, handle: str = ""
    ) -> ProtocolResponse:
        """Records the grant and sends its code to the application (RFC 6749 §4.1.2, RFC 9207).

        Raises ``login_required`` where the session has ended since it was looked for. ``handle`` is that of a request that
        waited: ``EndedRequests.code_again`` can send the same code.
        """
        services, parameters = self._services, asked.parameters
        if parameters.pushed is not None and not services.pushed_requests.consume(tx, origin.now, parameters.pushed):
            return self.answers.over(asked.client, parameters.redirect_uri, is_used=True)
        tx.keep_in_step()
        consent_id = ready.consent_id
        if ready.is_decided:
            consent_id = services.consents.remember(
                tx,
                origin,
                user_id=ready.user.id,
                client=asked.client,
                resource_uri=ready.resource.uri,
                redirect_uri=parameters.redirect_uri,
                scope=consented_scope(asked, ready.scope),
            )
        grant_id = services.grants.create(
            tx,
            origin.now,
            user_id=ready.user.id,
            client_row_id=asked.client.id,
            session_id=ready.session.id,
            consent_id=consent_id,
            earlier_consent_id=ready.consent_id,
            scope=ready.scope,
            resource_uri=ready.resource.uri,
            authenticated_at=ready.session.authenticated_at,
            amr=ready.session.amr,
            acr=answered(ready.session.acr, wanted_levels(asked)),
            claims=parameters.claims.to_dict(),
        )
        if grant_id is None:
            raise OAuthError("login_required", "What the authorization rests on ended in the same moment.")
        tx.keep_in_step()
        code = services.codes.issue(
            tx,
            origin.now,
            grant_id=grant_id,
            redirect_uri=parameters.redirect_uri,
            code_challenge=parameters.code_challenge,
            nonce=parameters.nonce,
            handle=handle,
        )
        services.audit.record(
            tx,
            AuditEvent.CODE_ISSUED,
            origin,
            user_id=ready.user.id,
            actor=asked.client.client_id,
            resource_type="oauth_grants",
            resource_id=grant_id,
            scope=ready.scope,
        )
        tx.keep_in_step()
        return self.answers.send_back(asked.return_address, {"code": code})

    def find(self, tx: Transaction, now: datetime.datetime, handle: str, browser: str) -> AskedFor | None:
        """The waiting request of a handle in this browser, None when it is gone, or its client or redirect URI is."""
        stored = self._services.authorization_requests.find(tx, now, handle, browser)
        return None if stored is None else asked_by(self._services, tx, now, stored)

    def describe(
        self,
        tx: Transaction,
        now: datetime.datetime,
        handle: str,
        browser: str,
        signed_in: tuple[Session, User] | None,
    ) -> RequestDescription | None:
        """What pages show. The scope is empty where this person can have nothing: the endpoint says so, not a page."""
        asked = self.find(tx, now, handle, browser)
        if asked is None:
            return None
        user = None if signed_in is None else signed_in[1]
        person = NOBODY if user is None else self._services.groups.membership(tx, user.id)
        try:
            resource = self._resource(tx, asked)
        except OAuthError:
            return None
        try:
            needs_sign_in = signed_in is None or self._must_sign_in_again(tx, asked, signed_in[0], now)
        except OAuthError:
            needs_sign_in = False  # the endpoint refuses
        try:
            scope = scope_of_request(asked, resource, person)
        except OAuthError:
            scope = ()
        allowed: tuple[str, ...] = ()
        if user is not None and not self._must_always_ask(asked):
            allowed = self._services.consents.allowed_before(
                tx,
                user_id=user.id,
                client=asked.client,
                resource_uri=resource.uri,
                redirect_uri=asked.parameters.redirect_uri,
            )
        shown = None if resource.uri == self._issuer else resource
        digest = digest_of_request(asked, resource, scope)
        return describe_request(
            asked.client,
            asked.parameters,
            shown,
            scope,
            allowed,
            digest,
            withheld=withheld_scope(asked, resource, person),
            is_outside=user is not None and not person.is_in_one_of(asked.client.only_groups),
            needs_sign_in=needs_sign_in,
        )

    def deny(self, tx: Transaction, origin: Origin, handle: str, browser: str, user_id: str) -> ProtocolResponse:
        """Uses the request up and tells the application, also where the user could not have allowed it.

        The user has acted, so any client may be redirected to.
        """
        asked = self.find(tx, origin.now, handle, browser)
        if asked is None or not self._services.authorization_requests.consume(tx, origin.now, handle):
            return self.ended.page(tx, origin.now, handle, browser)
        is_outside = not self._services.groups.membership(tx, user_id).is_in_one_of(asked.client.only_groups)
        self._services.audit.record(
            tx,
            AuditEvent.CONSENT_DENIED,
            origin,
            user_id=user_id,
            outcome="denied",
            resource_type="oauth_clients",
            resource_id=asked.client.client_id,
            **({"reason": "not in its groups"} if is_outside else {}),
        )
        if asked.parameters.pushed is not None:
            self._services.pushed_requests.consume(tx, origin.now, asked.parameters.pushed)
        error = OAuthError("access_denied", OUTSIDE.reason if is_outside else "The user refused.")
        return self.answers.send_back(asked.return_address, error.body())

    def _resource(self, tx: Transaction, asked: AskedFor) -> Resource:
        """The API that is named, or the client's own, or the only one that has such scopes, or this server."""
        uri = asked.parameters.resource or asked.client.resource
        if uri is not None:
            return self._services.resources.get(tx, uri)
        wanted = set(asked.parameters.scope or asked.client.scope) - set(IDENTITY_SCOPES)
        fitting = [api for api in self._services.resources.known(tx) if wanted & set(api.scope)] if wanted else []
        return fitting[0] if len(fitting) == 1 else self._services.resources.default()

    def _membership(self, tx: Transaction, asked: AskedFor, resource: Resource, user: User) -> Membership | None:
        """The groups of a person. None where nothing is reserved for any, so that nothing would follow from them."""
        if not (asked.client.only_groups or resource.scope_groups or resource.admin_scope):
            return None
        return self._services.groups.membership(tx, user.id)

    def _must_sign_in_again(self, tx: Transaction, asked: AskedFor, session: Session, now: datetime.datetime) -> bool:
        """Whether this session is not the sign-in that the request wants (OpenID Connect Core §3.1.2.1).

        A sign-in after the request arrived satisfies every wish, so that nobody is asked for ever. Only that the
        request names somebody else remains: raises ``login_required`` then (§3.1.2.2, §5.5.1).
        """
        parameters = asked.parameters
        is_fresh = session.authenticated_at > asked.asked_at
        is_named = self._is_the_person_named(tx, asked, session.user_id, now)
        if is_fresh and is_named is False:
            raise OAuthError("login_required", "Somebody else than the person whom the request names signed in.")
        if not is_fresh and not is_named:
            return True
        if is_fresh:
            return False
        if {"login", "create"} & set(parameters.prompt):
            return True
        max_age = asked.client.details.default_max_age if parameters.max_age is None else parameters.max_age
        return max_age is not None and now - session.authenticated_at > datetime.timedelta(seconds=max_age)

    def _is_the_person_named(
        self, tx: Transaction, asked: AskedFor, user_id: str, now: datetime.datetime
    ) -> bool | None:
        """Whether the user is the person whom the request names, as the ``sub`` of a claim or by a hint; True if it names
        nobody. None for a hint that is not ours or says nothing any more: nobody can tell whom it means."""
        services, parameters = self._services, asked.parameters
        if parameters.claims.subject not in (None, services.subjects.of(asked.client, user_id)):
            return False
        if parameters.id_token_hint is None:
            return True
        hint = services.token_verifier.verify_id_token_hint(tx, parameters.id_token_hint, now)
        hinted = None if hint is None else services.clients.find(tx, hint["aud"])
        if hint is None or hinted is None:
            return None
        return bool(hint["sub"] == services.subjects.of(hinted, user_id))

    def _must_always_ask(self, asked: AskedFor) -> bool:
        """Whether an earlier consent counts for nothing: any program on the device can pass for the one that it was given
        to, unless that proves itself and somebody vouches for what it proves (RFC 8252 §8.6)."""
        is_identified = asked.client.is_vouched and asked.client.always_authenticates
        return goes_to_a_device(asked.parameters.redirect_uri) and not is_identified

    def _remembered_consent(
        self, tx: Transaction, asked: AskedFor, user: User, resource: Resource, scope: tuple[str, ...]
    ) -> str | None:
        """A consent from before, where one counts."""
        if self._must_always_ask(asked):
            return None
        return self._services.consents.find_covering(
            tx,
            user_id=user.id,
            client=asked.client,
            resource_uri=resource.uri,
            redirect_uri=asked.parameters.redirect_uri,
            scope=scope,
        )
