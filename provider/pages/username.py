"""The account's user name, and another one."""

from __future__ import annotations

from flask import Blueprint
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.accounts.chosen_names import UnfitName, check_chosen_username
from provider.accounts.login_names import InvalidName, canonical_username
from provider.accounts.renaming import NameIsAnother, TooSoon
from provider.accounts.users import NameTaken
from provider.pages.account_form import unfit_name, username_taken
from provider.web import current, forms
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render, see_other
from provider.web.times import day

pages = Blueprint("username", __name__)
_PAGE = "/account/username"


@pages.get(_PAGE)
@signed_in_only("username")
def show() -> Response:
    return _page(forms.Problems(), here().user.username)


@pages.post(_PAGE)
@signed_in_only("username", recently=True)
def change() -> Response:
    """User names are no secret (applications show them), so that one that is taken can be called so."""
    services, tx, user = current.services(), current.tx(), here().user
    name = forms.text("username", limit=255)
    problems = forms.Problems()
    try:
        if canonical_username(name) != canonical_username(user.username):
            check_chosen_username(name, service_name=current.settings().service_name)
        services.renaming.rename(tx, current.origin(), user, name)
    except InvalidName:
        problems.add("username", _("Choose a user name of 2 to 64 letters, digits, dots, hyphens or underscores."))
    except UnfitName as error:
        problems.add("username", unfit_name(error))
    except NameTaken:
        problems.add("username", username_taken())
    except TooSoon as refusal:
        problems.add("", _("You can choose another user name from %(day)s on.", day=day(refusal.until)))
    except NameIsAnother:
        problems.add("", _("Your user name was changed in another window a moment ago. Nothing was done here."))
    return _page(problems, name) if problems else see_other(_PAGE, notice="username-changed")


def _page(problems: forms.Problems, name: str) -> Response:
    user = here().user
    until = current.services().renaming.next_username_at(current.tx(), user.id)
    return render(
        "username/page.html",
        status=400 if problems else 200,
        problems=problems,
        user=user,
        username=name,
        until=until if until is not None and until > current.now() else None,
    )
