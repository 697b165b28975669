"""Sign-in and security: every way in and what protects it, each with its state and the page that changes it."""

from __future__ import annotations

from flask import Blueprint
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from provider.accounts.users import User
from provider.pages import areas
from provider.web import current
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render
from provider.web.times import day

pages = Blueprint("security", __name__)


@pages.get("/account/security")
@signed_in_only("security")
def show() -> Response:
    user = here().user
    states = _states(user)
    entries = [(path, name, states.get(path, "")) for path, name in areas.security()]
    return render("security/page.html", user=user, entries=entries)


def _states(user: User) -> dict[str, str]:
    """What is to be said of a page's subject, by its path. Subjects without a state have none."""
    changed = user.password_changed_at
    if user.two_factor_enabled:
        left = current.services().recovery_codes.count(current.tx(), user.id)
        codes = ngettext("%(num)d recovery code left", "%(num)d recovery codes left", left)
        second_factor = _("On · %(codes)s", codes=codes)
    else:
        second_factor = _("Off. Your password is all that protects this account.")
    passkeys = current.services().passkeys.count(current.tx(), user.id)
    return {
        "/account/passkeys": ngettext("%(num)d passkey", "%(num)d passkeys", passkeys) if passkeys else _("None yet"),
        "/account/password": _("Last changed on %(day)s", day=day(changed)) if changed else _("Not set"),
        "/account/second-factor": second_factor,
        "/account/email": _("Confirmed") if user.is_verified else _("Not confirmed yet"),
    }
