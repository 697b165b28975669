"""What the user prefers: the language, the time zone and the colours of our pages."""

from __future__ import annotations

from flask import Blueprint
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.web import current, forms, locale, theme
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render, see_other
from provider.web.times import reader_zone, time_zones

pages = Blueprint("preferences", __name__)
_PAGE = "/account/preferences"


@pages.get(_PAGE)
@signed_in_only("preferences")
def show() -> Response:
    return render(
        "preferences/page.html",
        user=here().user,
        zone=reader_zone(),
        zones=time_zones(),
        now=current.now(),
        themes=[(theme.SYSTEM, _("As on the device")), ("light", _("Light")), ("dark", _("Dark"))],
        chosen_theme=here().user.theme or theme.SYSTEM,
    )


@pages.post(_PAGE)
@signed_in_only("preferences")
def change() -> Response:
    """Remembers each choice that the form makes. What is no language, zone or theme changes nothing."""
    chosen = forms.text("time_zone", limit=64)
    zone_is_known = not chosen or chosen in time_zones()
    if zone_is_known and forms.has("time_zone"):
        current.services().users.set_time_zone(current.tx(), current.now(), here().user.id, chosen or None)
    done = [zone_is_known]
    if forms.has("theme"):
        done.append(theme.choose(forms.text("theme", limit=16)))
    if forms.has("language"):
        done.append(locale.choose(""))
    return see_other(_PAGE, notice="preferences-saved" if all(done) else "")
