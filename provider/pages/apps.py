"""Connected apps: what the user has allowed applications to have, and taking it back."""

from __future__ import annotations

from flask import Blueprint
from werkzeug.wrappers import Response

from provider.pages.words import scope_sentences
from provider.protocol.app_identity import identity_of
from provider.web import current, forms
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render, see_other

pages = Blueprint("apps", __name__)
_PAGE = "/account/apps"


@pages.get(_PAGE)
@signed_in_only("apps")
def show() -> Response:
    known, services, tx = here(), current.services(), current.tx()
    apps = []
    for consent in services.consents.list(tx, known.user.id):
        client = services.clients.get_by_row(tx, consent.client_row_id)
        if client is not None:
            api = services.resources.find(tx, consent.resource)
            sentences = scope_sentences(consent.scope, None if api == services.resources.default() else api)
            apps.append((consent, identity_of(client, client.redirect_uris), sentences))
    return render("apps/list.html", user=known.user, apps=apps)


@pages.post(_PAGE)
@signed_in_only("apps")
def withdraw() -> Response:
    known = here()
    current.services().consents.withdraw(current.tx(), current.origin(), known.user.id, forms.text("consent", limit=64))
    return see_other(_PAGE, notice="app-disconnected")
