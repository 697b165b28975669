"""What an application asks for, in plain words, with Allow and Cancel alike."""

from __future__ import annotations

from flask import Blueprint
from werkzeug.wrappers import Response

from provider.pages import waiting
from provider.pages.words import scope_sentences
from provider.web import current, forms
from provider.web.guards import must_enrol
from provider.web.rendering import render, see_other, send

pages = Blueprint("consent", __name__)


@pages.get("/consent")
def show() -> Response:
    asked, known = waiting.find(), current.signed_in()
    if asked is None:
        return waiting.over()
    if known is None or must_enrol(known.user):
        return see_other(waiting.destination())
    wanted = (*asked.scope, *asked.claims_scope)
    return render(
        "consent/ask.html",
        leads_away=True,
        asked=asked,
        user=known.user,
        sentences=scope_sentences((name for name in wanted if name not in asked.allowed_before), asked.resource),
        allowed_before=scope_sentences((name for name in wanted if name in asked.allowed_before), asked.resource),
        withheld=scope_sentences(asked.withheld, asked.resource),
        switch_account=waiting.passed_on("/login", switch="1"),
        is_out_of_date=forms.is_out_of_date(),
    )


@pages.post("/consent")
@forms.or_the_page(show)
def decide() -> Response:
    """Notes the decision on the very request that was shown, for this session, and hands over to the authorize endpoint.

    Where something has changed since the page was shown, it is shown again: nobody has allowed that yet. A second click
    comes when nothing waits any more: the endpoint knows what the first one led to.
    """
    asked, known = waiting.look(), current.signed_in()
    if asked is None:
        return see_other(waiting.destination()) if waiting.handle() else waiting.over()
    if known is None or must_enrol(known.user):
        return see_other(waiting.destination())
    services, tx, origin = current.services(), current.tx(), current.origin()
    decision = forms.text("decision")
    if decision == "cancel":
        return send(waiting.server().deny(tx, origin, waiting.handle(), current.browser(), known.user.id))
    if decision == "allow":
        if forms.text("shown", limit=64) != asked.digest:
            return see_other(waiting.passed_on("/consent"), notice="request-changed")
        services.authorization_requests.mark_consented(tx, origin.now, waiting.handle(), known.session.id, asked.digest)
    return see_other(waiting.destination())
