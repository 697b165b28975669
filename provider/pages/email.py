"""The account's e-mail address: another one asked for, confirmed at the new, and brought back at the old."""

from __future__ import annotations

from flask import Blueprint
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.accounts.login_names import InvalidName
from provider.accounts.mailed_links import LinkOver
from provider.accounts.renaming import NameIsAnother
from provider.accounts.users import NameTaken
from provider.pages.mailed_links import link_over
from provider.pages.refusals import throttled
from provider.sign_in.address_changes import AddressChange, SameAddress, TooManyLetters
from provider.web import cookies, current, forms
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render, see_other

pages = Blueprint("email", __name__)
_PAGE = "/account/email"


@pages.get(_PAGE)
@signed_in_only("email")
def show() -> Response:
    return _page(forms.Problems(), "")


@pages.post(_PAGE)
@signed_in_only("email", recently=True)
def change() -> Response:
    changes, tx, origin, user = current.services().address_changes, current.tx(), current.origin(), here().user
    if forms.text("action") == "withdraw":
        changes.withdraw(tx, origin, user.id)
        return see_other(_PAGE, notice="address-withdrawn")
    email = forms.text("email", limit=512)
    problems = forms.Problems()
    try:
        changes.ask(tx, origin, user, email)
    except InvalidName:
        problems.add("email", _("Enter an e-mail address, such as name@example.com."))
    except SameAddress:
        problems.add("email", _("That is your address already."))
    except TooManyLetters as refusal:
        return throttled(refusal.until, problems, lambda: _page(problems, email))
    return _page(problems, email) if problems else see_other(_PAGE, notice="address-asked")


@pages.get("/email/<token>")
def show_confirmation(token: str) -> Response:
    change = current.services().address_changes.find(current.tx(), current.now(), token)
    return _over() if change is None else _ask("email/confirm.html", change)


@pages.post("/email/<token>")
def confirm(token: str) -> Response:
    """Whoever opens this has the mailbox, in whichever browser; who asked for it has proved the rest before."""
    services, tx, known = current.services(), current.tx(), current.signed_in()
    change = services.address_changes.find(tx, current.now(), token)
    if change is None:
        return _over()
    is_here = known is not None and known.user.id == change.user.id
    kept = known.session.id if known is not None and is_here else None
    try:
        services.address_changes.confirm(tx, current.origin(), token, kept_session=kept)
    except LinkOver:
        return _over()
    except (NameTaken, NameIsAnother):
        return link_over(
            _("That address belongs to another account by now. Nothing was changed."), onward=_PAGE, words=_("Go on")
        )
    return see_other(_PAGE if is_here else "/login", notice="address-changed")


@pages.get("/email/undo/<token>")
def show_undo(token: str) -> Response:
    change = current.services().address_changes.find_undo(current.tx(), current.now(), token)
    return _over() if change is None else _ask("email/undo.html", change)


@pages.post("/email/undo/<token>")
def undo(token: str) -> Response:
    changes, tx = current.services().address_changes, current.tx()
    try:
        changes.undo(tx, current.origin(), token)
    except LinkOver:
        return _over()
    except (NameTaken, NameIsAnother):
        tx.rollback()  # the link stays good: an operator may be able to make room
        return link_over(
            _("That address belongs to another account by now. Ask the people who run this service."),
            onward="/login",
            words=_("Sign in"),
        )
    response = see_other("/login", notice="address-restored")
    for name in ("session", "step"):
        cookies.delete_cookie(response, name)
    return response


def _over() -> Response:
    return link_over(
        _("It was used, a newer one has taken its place, or its time is over."),
        onward=_PAGE,
        words=_("Go to your account"),
    )


def _ask(template: str, change: AddressChange) -> Response:
    return render(template, user=change.user, email=change.email)


def _page(problems: forms.Problems, email: str) -> Response:
    services, user = current.services(), here().user
    return render(
        "email/page.html",
        status=400 if problems else 200,
        problems=problems,
        user=user,
        email=email,
        pending=services.address_changes.pending(current.tx(), current.now(), user),
    )
