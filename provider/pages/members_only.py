"""For a person whom an application is not for: it is reserved for groups that they are not in."""

from __future__ import annotations

from flask import Blueprint
from werkzeug.wrappers import Response

from provider.pages import waiting
from provider.web import current
from provider.web.rendering import render, see_other, send

pages = Blueprint("members_only", __name__)
_PAGE = "/members-only"


@pages.get(_PAGE)
def show() -> Response:
    """Says so, whom to ask, and the ways on. The groups are not named: strangers may make accounts."""
    asked, known = waiting.find(), current.signed_in()
    if asked is None:
        return waiting.over()
    if known is None or not asked.is_outside:
        return see_other(waiting.destination())
    return render(
        "members_only/page.html",
        status=403,
        leads_away=True,
        asked=asked,
        user=known.user,
        switch_account=waiting.passed_on("/login", switch="1"),
    )


@pages.post(_PAGE)
def go_back() -> Response:
    """Back to the application, which is told (RFC 6749 §4.1.2.1: ``access_denied``)."""
    asked, known = waiting.find(), current.signed_in()
    if asked is None:
        return waiting.over()
    if known is None or not asked.is_outside:
        return see_other(waiting.destination())
    return send(
        waiting.server().deny(current.tx(), current.origin(), waiting.handle(), current.browser(), known.user.id)
    )
