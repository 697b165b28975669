"""API keys: made, shown once, listed, revoked."""

from __future__ import annotations

from flask import Blueprint
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from provider.accounts.api_keys import MAX_LIVE, TooManyKeys
from provider.pages.words import scope_sentences
from provider.protocol.errors import OAuthError
from provider.protocol.text import is_name, one_line
from provider.web import current, error_pages, forms, locale
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render, see_other

pages = Blueprint("api_keys", __name__)
_PAGE = "/account/api-keys"
_DAYS = (30, 90, 180, 365)
_NEVER = "never"
_NAME_LENGTH = 64


@pages.get(_PAGE)
@signed_in_only("api-keys")
def show() -> Response:
    known = here()
    keys = current.services().api_keys.list(current.tx(), known.user.id)
    return render("api_keys/list.html", user=known.user, keys=[key for key in keys if key.is_usable(current.now())])


@pages.get(f"{_PAGE}/new")
@signed_in_only("new-api-key", recently=True)
def show_form() -> Response:
    return _form(forms.Problems())


@pages.post(f"{_PAGE}/new")
@signed_in_only("new-api-key", recently=True)
def create() -> Response:
    """Makes the key and shows its secret. The answer is no redirect: nothing but this answer may hold the secret."""
    if locale.is_chosen_here():
        return _form(forms.Problems())
    known, services, tx, origin = here(), current.services(), current.tx(), current.origin()
    name = one_line(forms.text("name", limit=255))
    resource, days = forms.text("resource", limit=512), forms.text("days")
    scope = tuple(forms.all_of("scope"))
    problems = forms.Problems()
    if not is_name(name, _NAME_LENGTH):
        problems.add("name", _("Give the key a name of 1 to 64 characters."))
    elif any(key.name == name for key in services.api_keys.list(tx, known.user.id) if key.is_usable(current.now())):
        problems.add("name", _("You already have a key with this name."))
    if days not in (*map(str, _DAYS), _NEVER):
        problems.add("days", _("Choose one of these."))
    if resource and resource not in _resources():
        problems.add("resource", _("Choose one of these."))
    if not problems:
        try:
            client, key_secret = services.api_keys.create(
                tx,
                origin,
                known.user,
                name=name,
                scope=scope or None,
                expires_in_days=None if days == _NEVER else int(days),
                resource=resource or None,
            )
        except TooManyKeys:
            problems.add(
                "", _("You have %(num)d keys, as many as there can be. Revoke one that you don't need.", num=MAX_LIVE)
            )
        except (OAuthError, ValueError):
            problems.add("scope", _("This key can't have these scopes. Choose fewer of them."))
        else:
            return render("api_keys/made.html", user=known.user, key=client, secret=key_secret)
    return _form(problems)


@pages.get(f"{_PAGE}/<client_id>/revoke")
@signed_in_only("api-keys", recently=True)
def confirm_revocation(client_id: str) -> Response:
    known = here()
    for key in current.services().api_keys.list(current.tx(), known.user.id):
        if key.client_id == client_id and key.is_usable(current.now()):
            return render("api_keys/revoke.html", user=known.user, key=key)
    return error_pages.show(404)


@pages.post(f"{_PAGE}/<client_id>/revoke")
@signed_in_only("api-keys", recently=True)
def revoke(client_id: str) -> Response:
    known, services, tx = here(), current.services(), current.tx()
    for key in services.api_keys.list(tx, known.user.id):
        if key.client_id == client_id and services.api_keys.revoke(tx, current.origin(), known.user.id, key.id):
            return see_other(_PAGE, notice="key-revoked")
    return error_pages.show(404)


def _resources() -> dict[str, str]:
    """The APIs that a key can be limited to: address and name."""
    return {item.uri: item.name for item in current.services().resources.list(current.tx())}


def _form(problems: forms.Problems) -> Response:
    known, services, tx = here(), current.services(), current.tx()
    scopes: dict[str, None] = {}
    for uri in (None, *_resources()):
        scopes.update(dict.fromkeys(services.api_keys.owner_scope(tx, known.user, uri)))
    return render(
        "api_keys/form.html",
        status=400 if problems else 200,
        problems=problems,
        user=known.user,
        scopes=scope_sentences(tuple(scopes)),
        resources=_resources(),
        days=[(str(count), ngettext("%(num)d day", "%(num)d days", count)) for count in _DAYS],
        entered={
            "name": forms.text("name", limit=255),
            "days": forms.text("days") or "90",
            "resource": forms.text("resource", limit=512),
            "scope": forms.all_of("scope"),
        },
    )
