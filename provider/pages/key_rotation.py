"""A new secret for an API key: how long the old one works beside it, and a longer life for a key that expires."""

from __future__ import annotations

from flask import Blueprint
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from provider.accounts.key_rotation import OVERLAP_HOURS, RENEWED_DAYS, RotatedMeanwhile
from provider.pages.api_keys import own_key
from provider.protocol.client import Client
from provider.web import current, error_pages, forms
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render, see_other

pages = Blueprint("key_rotation", __name__)
_PAGE = "/account/api-keys/<client_id>/rotate"
_UNCHANGED = ""
_USUAL_HOURS = "24"


@pages.get(_PAGE)
@signed_in_only("api-keys", recently=True)
def show(client_id: str) -> Response:
    key = own_key(client_id)
    return error_pages.show(404) if key is None else _page(key, forms.Problems())


@pages.post(_PAGE)
@signed_in_only("api-keys", recently=True)
def rotate(client_id: str) -> Response:
    """Leads to the page of the key, which shows the secret. The same form sent twice rotates once and leads there twice."""
    key = own_key(client_id)
    if key is None:
        return error_pages.show(404)
    services, now, session_token = current.services(), current.now(), current.cookie("session")
    hours, days = forms.text("hours", limit=8), forms.text("days", limit=8)
    problems = forms.Problems()
    if hours not in map(str, OVERLAP_HOURS):
        problems.add("hours", _("Choose one of these."))
    if days not in (_UNCHANGED, *map(str, RENEWED_DAYS)):
        problems.add("days", _("Choose one of these."))
    if problems:
        return _page(key, problems)
    try:
        services.key_rotation.rotate(
            current.tx(),
            current.origin(),
            key,
            version=forms.text("version", limit=64),
            overlap_hours=int(hours),
            renewed_days=int(days) if days else None,
            session_token=session_token,
        )
    except RotatedMeanwhile:
        if services.api_keys.shown_secret(now, key, session_token) is None:
            problems.add(
                "", _("This key has got a new secret in another window. Look again before you give it another.")
            )
            return _page(key, problems)
    return see_other(f"/account/api-keys/{key.client_id}", notice="key-rotated")


def _page(key: Client, problems: forms.Problems) -> Response:
    return render(
        "api_keys/rotate.html",
        status=400 if problems else 200,
        problems=problems,
        user=here().user,
        key=key,
        now=current.now(),
        version=current.services().key_rotation.version(key),
        hours=[(str(count), _hours(count)) for count in OVERLAP_HOURS],
        days=[(str(count), ngettext("%(num)d day", "%(num)d days", count)) for count in RENEWED_DAYS],
        entered={"hours": forms.text("hours", limit=8) or _USUAL_HOURS, "days": forms.text("days", limit=8)},
    )


def _hours(count: int) -> str:
    if not count:
        return str(_("not at all: it stops at once"))
    return str(ngettext("for %(num)d hour more", "for %(num)d hours more", count))
