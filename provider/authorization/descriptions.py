"""What people are told about an authorization request, before and while they decide."""

from __future__ import annotations

from dataclasses import dataclass

from provider.protocol.app_identity import AppIdentity, client_host, identity_of
from provider.protocol.client import Client, Resource
from provider.protocol.redirect_uris import redirect_host
from provider.protocol.request_rules import AuthorizationParameters


@dataclass(frozen=True, slots=True)
class RequestDescription:
    """What a person is told about a request: who asks, where the answer goes, and for what.

    ``client_host`` is the host of a client's id that is a URL. ``resource`` is None for this server itself, which needs no
    mention. ``claims_scope`` are scopes that are not granted and whose
    claims the request asks for one by one. ``wants_account`` says that the person is expected to make an account first
    (``prompt=create``), which operators do where nobody may sign up. ``digest`` names what is told: a decision is about
    that alone. ``needs_sign_in`` says that nobody is signed in, or not in the way that the request wants. ``withheld`` are
    scopes that it asks for and this person cannot give; ``is_outside`` says that the application is not for them at all.
    ``contacts`` are addresses of the people who run it.
    """

    app: AppIdentity
    client_host: str | None
    redirect_host: str
    resource: Resource | None
    scope: tuple[str, ...]
    claims_scope: tuple[str, ...]
    allowed_before: tuple[str, ...]
    wants_account: bool
    login_hint: str | None
    ui_locales: str | None
    logo_uri: str | None
    policy_uri: str | None
    tos_uri: str | None
    digest: str
    needs_sign_in: bool
    withheld: tuple[str, ...] = ()
    is_outside: bool = False
    contacts: tuple[str, ...] = ()


def describe_request(
    client: Client,
    parameters: AuthorizationParameters,
    resource: Resource | None,
    scope: tuple[str, ...],
    allowed_before: tuple[str, ...],
    digest: str,
    *,
    withheld: tuple[str, ...],
    is_outside: bool,
    needs_sign_in: bool,
) -> RequestDescription:
    """Only applications that somebody vouches for show a picture, and say whom to ask."""
    details = client.details
    return RequestDescription(
        app=identity_of(client, [parameters.redirect_uri]),
        client_host=client_host(client),
        redirect_host=redirect_host(parameters.redirect_uri),
        resource=resource,
        scope=scope,
        claims_scope=tuple(name for name in parameters.claims.scope if name not in scope),
        allowed_before=allowed_before,
        wants_account="create" in parameters.prompt,
        login_hint=parameters.login_hint,
        ui_locales=parameters.ui_locales,
        logo_uri=details.logo_uri if client.is_vouched else None,
        policy_uri=details.policy_uri,
        tos_uri=details.tos_uri,
        digest=digest,
        needs_sign_in=needs_sign_in,
        withheld=withheld,
        is_outside=is_outside,
        contacts=details.contacts if client.is_vouched else (),
    )
