"""Confirming the address of a new account: the page that waits for it, and the link of the letter."""

from __future__ import annotations

from flask import Blueprint
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.accounts.login_names import InvalidName, canonical_email
from provider.accounts.mailed_links import LinkOver
from provider.accounts.users import NameTaken, User
from provider.pages import waiting
from provider.web import current, error_pages, forms, locale
from provider.web.rendering import render, see_other

pages = Blueprint("confirmation", __name__)
_PAGE = "/signup/address"


@pages.get(_PAGE)
def show() -> Response:
    """Where an unconfirmed account waits, and goes on as soon as its address is confirmed, wherever that was done."""
    waiting.find()
    known = current.signed_in()
    if known is None:
        return see_other(waiting.passed_on("/login"))
    if not known.user.is_unconfirmed:
        return see_other(waiting.destination())
    return _waiting_page(forms.Problems(), known.user)


@pages.post(_PAGE)
def ask_again() -> Response:
    waiting.find()
    known = current.signed_in()
    if known is None:
        return see_other(waiting.passed_on("/login"))
    user = known.user
    if not user.is_unconfirmed:
        return see_other(waiting.destination())
    if locale.is_chosen_here():
        return _waiting_page(forms.Problems(), user)
    confirmations, tx, origin = current.services().confirmations, current.tx(), current.origin()
    if forms.text("action") == "change":
        email = forms.text("email", limit=512)
        problems = forms.Problems()
        try:
            is_other = canonical_email(email) != canonical_email(user.email)
        except InvalidName:
            problems.add("email", _("Enter an e-mail address, such as name@example.com."))
            return _waiting_page(problems, user, email)
        if is_other:
            confirmations.change_address(tx, origin, user, email, request=waiting.handle())
            return see_other(waiting.passed_on(_PAGE), notice="address-corrected")
    confirmations.ask(tx, origin, user, request=waiting.handle())
    return see_other(waiting.passed_on(_PAGE), notice="confirmation-sent")


@pages.get("/confirm/<token>")
def show_link(token: str) -> Response:
    """What the link would do. Opening it does nothing: scanners of mailboxes open every link."""
    user = current.services().confirmations.find(current.tx(), current.now(), token)
    return _link_page(user) if user is not None else _over()


@pages.post("/confirm/<token>")
def use_link(token: str) -> Response:
    """Confirms. It signs nobody in: who is signed in here as this person goes on, others go back to where they began."""
    confirmations, tx, origin = current.services().confirmations, current.tx(), current.origin()
    user = confirmations.find(tx, current.now(), token)
    if user is None:
        return _over()
    if locale.is_chosen_here():
        return _link_page(user)
    known = current.signed_in()
    try:
        if forms.text("action") == "disown":
            confirmations.disown(tx, origin, token)
            return render("confirmation/disowned.html", has_form=False, username=user.username)
        confirmed = confirmations.confirm(tx, origin, token)
    except LinkOver:
        tx.rollback()
        return _over()
    except NameTaken:
        tx.rollback()
        return render("confirmation/taken.html", status=400, has_form=False, email=user.email)
    if known is None or known.user.id != confirmed.id:
        return render("confirmation/done.html", has_form=False, email=confirmed.email)
    return _confirmed()


def _confirmed() -> Response:
    """On to the application that the account was made for, where it still waits in this browser."""
    return see_other(waiting.destination() if waiting.is_alive() else "/account", notice="address-confirmed")


def _over() -> Response:
    """A link that works no more. Whoever has confirmed with it a moment ago in this browser goes on."""
    known = current.signed_in()
    if known is not None and known.user.is_unconfirmed:
        return see_other(_PAGE, notice="confirmation-over")
    if known is not None and known.user.is_verified:
        return _confirmed()
    return error_pages.show(404, "confirm-link")


def _link_page(user: User) -> Response:
    return render("confirmation/link.html", leads_away=bool(waiting.handle()), person=user)


def _waiting_page(problems: forms.Problems, user: User, email: str = "") -> Response:
    return render(
        "confirmation/wait.html",
        status=400 if problems else 200,
        leads_away=bool(waiting.handle()),
        problems=problems,
        person=user,
        email=email,
        onward=waiting.passed_on(_PAGE),
    )
