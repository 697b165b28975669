"""API keys: made, listed, shown, revoked."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from provider.accounts.api_keys import MAX_LIVE, NameInUse, SecondFactorNeeded, TooManyKeys, scope_of_owner
from provider.pages.words import ScopeSentence
from provider.protocol.client import Client, Resource
from provider.protocol.errors import OAuthError
from provider.protocol.groups import Membership
from provider.protocol.scopes import CLOUD_CREDENTIALS, KEY_SCOPES
from provider.protocol.text import is_name, one_line
from provider.sign_in import assurance
from provider.sign_in.second_factors import has_second_factor
from provider.web import current, error_pages, forms, listing, locale
from provider.web.guards import here, signed_in_only
from provider.web.locale import language
from provider.web.rendering import render, see_other

pages = Blueprint("api_keys", __name__)
_PAGE = "/account/api-keys"
_DAYS = (30, 90, 180, 365)
_NEVER = "never"
_NAME_LENGTH = 64
_EVERYTHING = "everything"
_CLOUDS = "clouds"


@dataclass(frozen=True)
class ScopeGroup:
    """Scopes that a key may be given, with the APIs at which each of them counts."""

    apis: list[Resource]
    scopes: list[ScopeSentence]


@pages.get(_PAGE)
@signed_in_only("api-keys")
def show() -> Response:
    known = here()
    page = listing.page_of(current.services().api_keys.living(known.user.id, current.now(), listing.search()))
    return render("api_keys/list.html", user=known.user, page=page)


@pages.get(f"{_PAGE}/new")
@signed_in_only("new-api-key", recently=True, confirmed=True)
def show_form() -> Response:
    return _form(forms.Problems())


@pages.post(f"{_PAGE}/new")
@signed_in_only("new-api-key", recently=True, confirmed=True)
def create() -> Response:
    """Makes the key and leads to its page, which shows the secret. The same form sent twice leads there twice."""
    if locale.is_chosen_here():
        return _form(forms.Problems())
    known, services, tx, origin = here(), current.services(), current.tx(), current.origin()
    name = one_line(forms.text("name", limit=255))
    resource, days = forms.text("resource", limit=512), forms.text("days")
    problems = forms.Problems()
    if not is_name(name, _NAME_LENGTH):
        problems.add("name", _("Give the key a name of 1 to 64 characters."))
    if days not in (*map(str, _DAYS), _NEVER):
        problems.add("days", _("Choose one of these."))
    if resource and resource not in [api.uri for api in services.resources.list(tx)]:
        problems.add("resource", _("Choose one of these."))
    if resource and forms.text("access") == _CLOUDS:
        problems.add("resource", _("A key for cloud accounts works here alone. Choose no limit."))
    if problems:
        return _form(problems)
    try:
        key, _secret = services.api_keys.create(
            tx,
            origin,
            known.user,
            name=name,
            scope=_chosen_scope(),
            expires_in_days=None if days == _NEVER else int(days),
            resource=resource or None,
            proved_second_factor=_has_proved_second_factor(),
            session_token=current.cookie("session"),
        )
    except TooManyKeys:
        problems.add(
            "", _("You have %(num)d keys, as many as there can be. Revoke one that you don't need.", num=MAX_LIVE)
        )
    except NameInUse:
        problems.add("name", _("You already have a key with this name."))
    except SecondFactorNeeded:
        problems.add("scope", _("A key for cloud accounts needs two-step sign-in. Set it up first."))
    except (OAuthError, ValueError):
        problems.add("scope", _("This key can't have these scopes. Choose fewer of them."))
    else:
        return see_other(f"{_PAGE}/{key.client_id}")
    return _form(problems)


@pages.get(f"{_PAGE}/<client_id>")
@signed_in_only("api-keys")
def show_key(client_id: str) -> Response:
    """One key, with its secret for ten minutes after it was made, in the session that made it."""
    known, services, key = here(), current.services(), own_key(client_id)
    if key is None:
        return error_pages.show(404)
    apis = _apis_of(key)
    return render(
        "api_keys/key.html",
        user=known.user,
        key=key,
        now=current.now(),
        secret=services.api_keys.shown_secret(current.now(), key, current.cookie("session")),
        apis=apis,
        is_for_clouds=CLOUD_CREDENTIALS in key.scope,
        command=token_command(key.client_id, apis[0].uri if apis else None, current.settings().issuer),
    )


@pages.get(f"{_PAGE}/<client_id>/revoke")
@signed_in_only("api-keys", recently=True)
def confirm_revocation(client_id: str) -> Response:
    key = own_key(client_id)
    return error_pages.show(404) if key is None else render("api_keys/revoke.html", user=here().user, key=key)


@pages.post(f"{_PAGE}/<client_id>/revoke")
@signed_in_only("api-keys", recently=True)
def revoke(client_id: str) -> Response:
    known, services, tx = here(), current.services(), current.tx()
    for key in services.api_keys.list(tx, known.user.id):
        if key.client_id == client_id and services.api_keys.revoke(tx, current.origin(), known.user.id, key.id):
            return see_other(_PAGE, notice="key-revoked")
    return error_pages.show(404)


def _has_proved_second_factor() -> bool:
    """Whether the fresh proof that this page asks for was one: of whoever has a second factor it always is. A session may
    remember one that is gone since."""
    known = here()
    has_one = has_second_factor(current.tx(), known.user)
    return has_one and assurance.reaches(known.session.acr, assurance.TWO_FACTOR)


def _chosen_scope() -> tuple[str, ...] | None:
    """What the form asks for, None for everything that its owner may do at APIs today."""
    access = forms.text("access")
    if access == _CLOUDS:
        return KEY_SCOPES
    return None if access == _EVERYTHING else tuple(name for name in forms.all_of("scope") if name not in KEY_SCOPES)


def token_command(client_id: str, resource: str | None, issuer: str) -> str:
    """What fetches a token, for a shell (POSIX sh). curl asks for the secret, so that no history keeps it."""
    parts = [f"curl -u {shlex.quote(client_id)}", "-d grant_type=client_credentials"]
    if resource is not None:
        parts.append(f"--data-urlencode {shlex.quote(f'resource={resource}')}")
    return " \\\n  ".join([*parts, shlex.quote(f"{issuer}/token")])


def own_key(client_id: str) -> Client | None:
    """The living key of this name, if it is the user's own."""
    keys = current.services().api_keys.list(current.tx(), here().user.id)
    return next((key for key in keys if key.client_id == client_id and key.is_usable(current.now())), None)


def _apis_of(key: Client) -> list[Resource]:
    """Where the key is good for something: its own API, or those that have one of its scopes, the most of them first."""
    known = current.services().resources.list(current.tx())
    if key.resource is not None:
        return [api for api in known if api.uri == key.resource]
    shared = {api.uri: len(set(api.scope) & set(key.scope)) for api in known}
    return sorted((api for api in known if shared[api.uri]), key=lambda api: -shared[api.uri])


def _scope_groups(apis: Sequence[Resource], owner: Membership) -> list[ScopeGroup]:
    """All scopes that the user may give, each once: one that two APIs have counts at both, and stands under both names."""
    at: dict[str, list[Resource]] = {}
    for api in apis:
        for scope in scope_of_owner(api, owner):
            at.setdefault(scope, []).append(api)
    groups: dict[tuple[str, ...], ScopeGroup] = {}
    for scope, where in at.items():
        group = groups.setdefault(tuple(api.uri for api in where), ScopeGroup(where, []))
        said = dict.fromkeys(filter(None, (api.description(scope, language()) for api in where)))
        group.scopes.append(ScopeSentence(scope, " · ".join(said)))
    return list(groups.values())


def _form(problems: forms.Problems) -> Response:
    known = here()
    apis = current.services().resources.list(current.tx())
    return render(
        "api_keys/form.html",
        status=400 if problems else 200,
        problems=problems,
        user=known.user,
        groups=_scope_groups(apis, current.services().groups.membership(current.tx(), known.user.id)),
        apis=apis,
        clouds_scope=CLOUD_CREDENTIALS,
        has_second_factor=has_second_factor(current.tx(), known.user),
        days=[(str(count), ngettext("%(num)d day", "%(num)d days", count)) for count in _DAYS],
        entered={
            "name": forms.text("name", limit=255),
            "days": forms.text("days") or "90",
            "resource": forms.text("resource", limit=512),
            "scope": forms.all_of("scope"),
            "access": forms.text("access"),
        },
    )
