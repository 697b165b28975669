"""The self-service API: what the account pages show and do, for applications that a person has allowed to.

Pages and API call the same services. Errors are problem details; lists come in pieces.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence

from database.transaction import Transaction
from provider.accounts.api_keys import TooManyKeys
from provider.accounts.profile_fields import InvalidField, checked_fields, profile_of
from provider.accounts.profiles import digest_of
from provider.doors.endpoint import Endpoint
from provider.endpoints.bearer import Caller, caller, require_recent_sign_in, require_scope, require_second_factor
from provider.endpoints.lists import Lists, last_part
from provider.endpoints.self_service_views import activity_view, app_view, key_view, me_view, session_view
from provider.oauth_server import OAuthServer
from provider.protocol.client import Client
from provider.protocol.errors import OAuthError, refuse_until
from provider.protocol.json_body import JSON, json_body, parse_json
from provider.protocol.messages import ProtocolRequest, ProtocolResponse
from provider.protocol.scopes import CLOUD_CREDENTIALS, parse_scope
from provider.protocol.text import is_found
from provider.security.rate_limit import Limit

PATH = "/api/me"
CHANGES_PER_PERSON = Limit("self-service changes per person", 120, 3600)
_PATCH_TYPES = (JSON, "application/merge-patch+json")
Handler = Callable[[Caller, ProtocolRequest, Transaction], ProtocolResponse]


def mount(server: OAuthServer) -> Sequence[Endpoint]:
    api = SelfService(server)
    routes: dict[str, dict[str, tuple[str, Handler]]] = {
        "": {"GET": ("account:read", api.me)},
        "/profile": {"GET": ("account:read", api.profile), "PATCH": ("profile:write", api.change_profile)},
        "/sessions": {"GET": ("account:read", api.sessions)},
        "/sessions/<session_id>": {"DELETE": ("sessions:manage", api.end_session)},
        "/apps": {"GET": ("account:read", api.apps)},
        "/apps/<app_id>": {"DELETE": ("apps:manage", api.disconnect_app)},
        "/api-keys": {"GET": ("account:read", api.keys), "POST": ("api-keys:manage", api.make_key)},
        "/api-keys/<key_id>": {"DELETE": ("api-keys:manage", api.revoke_key)},
        "/activity": {"GET": ("activity:read", api.activity)},
    }
    return [
        Endpoint(PATH + path, tuple(by), api.guarded(by), cors=True, bare="<" not in path, has_problems=True)
        for path, by in routes.items()
    ]


class SelfService:
    def __init__(self, server: OAuthServer) -> None:
        self._services = server.services
        self._lists = Lists(server.services.keyring)

    def guarded(
        self, by_method: dict[str, tuple[str, Handler]]
    ) -> Callable[[ProtocolRequest, Transaction], ProtocolResponse]:
        """One handler for a path. Each method has the scope that it needs; what changes something is limited."""

        def handle(request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
            method = "GET" if request.method == "HEAD" else request.method
            scope, handler = by_method[method]
            known = caller(self._services, request, tx, scope)
            if method != "GET":
                now = request.received_at
                refuse_until(self._services.rate_limits.hit(tx, CHANGES_PER_PERSON, known.user.id, now), now)
            return handler(known, request, tx)

        return handle

    def me(self, known: Caller, _request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        groups = self._services.groups.membership(tx, known.user.id).names
        return ProtocolResponse.json(me_view(known.user, str(known.token.claims["sub"]), groups))

    # Profile

    def profile(self, known: Caller, _request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        return _profile(profile_of(known.user, self._services.profiles.get(tx, known.user.id)))

    def change_profile(self, known: Caller, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        """A merge patch (RFC 7396) of what ``If-Match`` names, so that nobody overwrites what they have not seen."""
        if request.media_type not in _PATCH_TYPES:
            accepted = (("Accept-Patch", ", ".join(_PATCH_TYPES)),)
            raise OAuthError("invalid_request", "The body must be a JSON merge patch.", status=415, headers=accepted)
        said = parse_json(request.body)
        if not isinstance(said, dict):
            raise OAuthError.invalid_request("The body must be a JSON object.")
        profiles, user = self._services.profiles, known.user
        self._check_match(request, _etag(profile_of(user, profiles.get(tx, user.id))))
        try:
            values = checked_fields(said, request.received_at.date())
        except InvalidField as field:
            name = str(field)
            words = (
                f"{name} cannot have this value." if name else "There is no such field, or it cannot be changed here."
            )
            raise OAuthError.invalid_request(words) from None
        if not profiles.change(tx, request.origin, user, values, actor=known.client.client_id):
            raise _changed_meanwhile()
        return _profile(profile_of(self._services.users.get(tx, user.id), profiles.get(tx, user.id)))

    def _check_match(self, request: ProtocolRequest, etag: str) -> None:
        wanted = request.headers.get("if-match")
        if wanted is None:
            raise OAuthError("precondition_required", "If-Match must name the ETag that was read.", status=428)
        if etag not in [part.strip() for part in wanted.split(",")] and wanted.strip() != "*":
            raise _changed_meanwhile()

    # Sessions, apps, keys, activity

    def sessions(self, known: Caller, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        services, own = self._services, known.token.claims.get("sid")
        asked = self._lists.asked(request, known.user.id, "sessions")
        living = services.sessions.list(tx, request.received_at, known.user.id)
        found = [it for it in living if is_found(asked.word, it.user_agent, it.ip_address)]
        at_hand = [it.id for it in found if services.subjects.session_of(known.client, it.id) == own]
        return self._lists.newest_first(asked, found, lambda it: session_view(it, it.id in at_hand))

    def end_session(self, known: Caller, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        session_id = last_part(request)
        ended = self._services.sessions.end(tx, request.origin, session_id, user_id=known.user.id, reason="user")
        return _gone(ended)

    def apps(self, known: Caller, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        services, asked = self._services, self._lists.asked(request, known.user.id, "apps")
        living = services.consents.list(tx, known.user.id)
        clients = {it.id: services.clients.get_by_row(tx, it.client_row_id) for it in living}
        views = [(it, app_view(it, clients[it.id])) for it in living]
        found = [it for it, view in views if is_found(asked.word, view["name"], view["client_id"])]
        return self._lists.newest_first(asked, found, lambda it: app_view(it, clients[it.id]))

    def disconnect_app(self, known: Caller, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        """Takes a consent back, with all that rests on it. An application may disconnect itself so."""
        done = self._services.consents.withdraw(tx, request.origin, known.user.id, last_part(request))
        return _gone(done)

    def keys(self, known: Caller, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        asked = self._lists.asked(request, known.user.id, "api-keys")
        living = self._living_keys(known, request, tx)
        found = [key for key in living if is_found(asked.word, key.name, key.client_id)]
        return self._lists.newest_first(asked, found, key_view)

    def make_key(self, known: Caller, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        """A key outlives the token by which it was made, so the person must be near (RFC 9470).

        For one that gets credentials of clouds, also by a second factor, and the application must have been allowed as much.
        """
        require_recent_sign_in(self._services, known, request.received_at)
        said = json_body(request)
        name, scope, days, resource = _key_asked_for(said)
        is_for_clouds = CLOUD_CREDENTIALS in scope
        if is_for_clouds:
            require_scope(known, CLOUD_CREDENTIALS)
            require_second_factor(self._services, tx, known)
        try:
            key, secret = self._services.api_keys.create(
                tx,
                request.origin,
                known.user,
                name=name,
                scope=scope,
                expires_in_days=days,
                resource=resource,
                proved_second_factor=is_for_clouds,
                actor=known.client.client_id,
            )
        except TooManyKeys:
            raise OAuthError("conflict", "There are as many keys as there can be. Revoke one.", status=409) from None
        except ValueError:
            raise OAuthError.invalid_request(
                "A key needs a name of 1 to 100 characters and a life of 1 to 366 days."
            ) from None
        return ProtocolResponse.json({**key_view(key), "secret": secret}, 201)

    def revoke_key(self, known: Caller, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        key_id, actor = last_part(request), known.client.client_id
        found = next((key for key in self._living_keys(known, request, tx) if key.client_id == key_id), None)
        api_keys = self._services.api_keys
        return _gone(found is not None and api_keys.revoke(tx, request.origin, known.user.id, found.id, actor=actor))

    def activity(self, known: Caller, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        asked = self._lists.asked(request, known.user.id, "activity")
        before = None
        if asked.position is not None:
            moment, _, last_id = asked.position.partition("|")
            before = (datetime.datetime.fromisoformat(moment), last_id)
        found = self._services.activity.before(tx, known.user.id, before, asked.limit + 1, search=asked.word)
        return self._lists.piece(asked, found, activity_view, lambda it: f"{it.created_at.isoformat()}|{it.id}")

    def _living_keys(self, known: Caller, request: ProtocolRequest, tx: Transaction) -> list[Client]:
        keys = self._services.api_keys.list(tx, known.user.id)
        return [key for key in keys if key.is_usable(request.received_at)]


def _key_asked_for(said: object) -> tuple[str, tuple[str, ...], int | None, str | None]:
    """Name, scope, days and API of a key. What it may do is always said, if only that it is nothing."""
    if not isinstance(said, dict) or not said.keys() <= {"name", "scope", "expires_in_days", "resource"}:
        raise OAuthError.invalid_request("A key has name, scope, expires_in_days and resource.")
    name, scope, days, resource = (said.get(key) for key in ("name", "scope", "expires_in_days", "resource"))
    is_life = days is None or (isinstance(days, int) and not isinstance(days, bool))
    if not isinstance(name, str) or not isinstance(scope, str) or not is_life or not isinstance(resource, str | None):
        raise OAuthError.invalid_request("name and scope are needed, as text; expires_in_days is a number.")
    return name, parse_scope(scope), days, resource


def _profile(profile: dict[str, str | None]) -> ProtocolResponse:
    return ProtocolResponse.json(profile, headers=[("ETag", _etag(profile))])


def _etag(profile: dict[str, str | None]) -> str:
    return f'"{digest_of(profile)[:32]}"'


def _changed_meanwhile() -> OAuthError:
    return OAuthError("precondition_failed", "It has changed since it was read. Read it again.", status=412)


def _gone(done: bool) -> ProtocolResponse:
    """Somebody else's and an unknown one look alike."""
    if not done:
        raise OAuthError("not_found", "There is no such thing, or it has ended.", status=404)
    return ProtocolResponse(204, [("Cache-Control", "no-store")])
