"""What the user prefers: the time zone that our pages write times in."""

from __future__ import annotations

from flask import Blueprint
from werkzeug.wrappers import Response

from provider.web import current, forms
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render, see_other
from provider.web.times import reader_zone, time_zones

pages = Blueprint("preferences", __name__)
_PAGE = "/account/preferences"


@pages.get(_PAGE)
@signed_in_only("preferences")
def show() -> Response:
    return render("preferences/page.html", user=here().user, zone=reader_zone(), zones=time_zones(), now=current.now())


@pages.post(_PAGE)
@signed_in_only("preferences")
def change() -> Response:
    """Remembers a zone, or to follow the browser. What is no zone changes nothing."""
    chosen = forms.text("time_zone", limit=64)
    if not chosen or chosen in time_zones():
        current.services().users.set_time_zone(current.tx(), current.now(), here().user.id, chosen or None)
    return see_other(_PAGE)
