"""Connected apps: what the user has allowed applications to have, and taking it back."""

from __future__ import annotations

from flask import Blueprint
from werkzeug.wrappers import Response

from provider.pages.words import scope_sentences
from provider.protocol.app_identity import identity_of
from provider.web import current, forms, listing
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render, see_other

pages = Blueprint("apps", __name__)
_PAGE = "/account/apps"


@pages.get(_PAGE)
@signed_in_only("apps")
def show() -> Response:
    known, services, tx = here(), current.services(), current.tx()
    connected = services.connected_apps
    page = listing.page_of(connected.living(known.user.id, listing.search()))
    used = connected.last_used(tx, known.user.id, page.items)
    apps = []
    for consent in connected.whole(tx, known.user.id, page.items):
        client = services.clients.get_by_row(tx, consent.client_row_id)
        if client is not None:
            api = services.resources.find(tx, consent.resource)
            sentences = scope_sentences(consent.scope, None if api == services.resources.default() else api)
            last_used_at = used.get((consent.client_row_id, consent.resource))
            apps.append((consent, identity_of(client, client.redirect_uris), sentences, last_used_at))
    return render("apps/list.html", user=known.user, apps=apps, page=page)


@pages.post(_PAGE)
@signed_in_only("apps")
def withdraw() -> Response:
    known = here()
    current.services().consents.withdraw(current.tx(), current.origin(), known.user.id, forms.text("consent", limit=64))
    return see_other(_PAGE, notice="app-disconnected")
