"""The profile: what a person says of themselves, as applications get it from them (OpenID Connect Core §5.1)."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.protocol.profile import FIELDS, GENDERS, LONGEST_URL, InvalidFields
from provider.web import current, forms, locale
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render, see_other

pages = Blueprint("profile", __name__)
_PAGE = "/account/profile"
_CUT = 2 * LONGEST_URL  # longer than any field may be: what is cut is refused


@pages.get(_PAGE)
@signed_in_only("profile")
def show() -> Response:
    user = here().user
    kept = current.services().profiles.get(current.tx(), user.id).fields
    return _page(forms.Problems(), {"display_name": user.display_name or "", **{k: v or "" for k, v in kept.items()}})


@pages.post(_PAGE)
@signed_in_only("profile")
def save() -> Response:
    entered = {name: forms.text(name, limit=_CUT) for name in ("display_name", *FIELDS)}
    if locale.is_chosen_here():
        return _page(forms.Problems(), entered)
    problems = forms.Problems()
    values = {name: entered[name] for name in FIELDS}
    try:
        current.services().profiles.save(current.tx(), current.origin(), here().user, entered["display_name"], values)
    except InvalidFields as refusal:
        for name in refusal.names:
            problems.add(name, _mistake(name))
        return _page(problems, entered)
    return see_other(_PAGE, notice="profile-saved")


def _mistake(name: str) -> str:
    """What is wrong with a field, by what it takes."""
    sentences = {
        "profile": _("Enter the address of a web page, such as https://example.com/me."),
        "website": _("Enter the address of a web page, such as https://example.com."),
        "gender": _("Choose one of these."),
        "birthdate": _("Enter a date that was, such as 1990-03-01."),
        "phone_number": _("Enter the number with its country code, such as +82 10 1234 5678."),
        "street_address": _("Use up to four lines of up to 100 characters, of letters that can be seen."),
        "postal_code": _("Use at most 32 characters, of letters that can be seen."),
    }
    return str(sentences.get(name, _("Use at most 100 characters in one line, of letters that can be seen.")))


def _page(problems: forms.Problems, entered: Mapping[str, str]) -> Response:
    user = here().user
    genders = {"female": _("Female"), "male": _("Male"), "non-binary": _("Non-binary")}
    return render(
        "profile/page.html",
        status=400 if problems else 200,
        problems=problems,
        user=user,
        entered=entered,
        picture=current.services().profiles.get(current.tx(), user.id).picture,
        genders=[(name, genders[name]) for name in GENDERS],
        today=current.now().date().isoformat(),
    )
