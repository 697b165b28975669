"""The profile: what a person says of themselves, as applications get it from them (OpenID Connect Core §5.1)."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.accounts.profiles import Profile, digest_of, said_by
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
    kept = said_by(here().user, _profile())
    return _page(forms.Problems(), {name: value or "" for name, value in kept.items()}, digest_of(kept))


@pages.post(_PAGE)
@signed_in_only("profile")
def save() -> Response:
    """What was changed elsewhere since the page was shown is not overwritten unseen: it is said first."""
    entered = {name: forms.text(name, limit=_CUT) for name in ("display_name", *FIELDS)}
    shown = forms.text("shown", limit=64)
    if locale.is_chosen_here():
        return _page(forms.Problems(), entered, shown)
    problems, user = forms.Problems(), here().user
    values = {name: entered[name] for name in FIELDS}
    try:
        is_saved = current.services().profiles.save(
            current.tx(), current.origin(), user, entered["display_name"], values, shown=shown
        )
    except InvalidFields as refusal:
        for name in refusal.names:
            problems.add(name, _mistake(name))
        return _page(problems, entered, shown)
    if not is_saved:
        problems.add("", _("Your profile was changed elsewhere meanwhile. To keep what you see here, save it again."))
        return _page(problems, entered, digest_of(said_by(user, _profile())))
    return see_other(_PAGE, notice="profile-saved")


def _profile() -> Profile:
    return current.services().profiles.get(current.tx(), here().user.id)


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


def _page(problems: forms.Problems, entered: Mapping[str, str], shown: str) -> Response:
    """``shown`` is the ``digest_of`` what stood there when the person began to write."""
    genders = {"female": _("Female"), "male": _("Male"), "non-binary": _("Non-binary")}
    return render(
        "profile/page.html",
        status=400 if problems else 200,
        problems=problems,
        user=here().user,
        entered=entered,
        shown=shown,
        picture=_profile().picture,
        genders=[(name, genders[name]) for name in GENDERS],
        today=current.now().date().isoformat(),
    )
