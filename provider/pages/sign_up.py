"""Signing up: making an account where anybody may. What follows is the same whether the address is known or not."""

from __future__ import annotations

from flask import Blueprint
from werkzeug.wrappers import Response

from provider.accounts.sign_ups import TooManySignUps
from provider.accounts.users import NameTaken
from provider.pages import passkey_forms, waiting
from provider.pages.account_form import AccountForm, begin_session, chosen_key, username_taken
from provider.pages.refusals import throttled
from provider.sign_in.passkeys import PasskeyTaken
from provider.web import current, error_pages, forms, locale
from provider.web.rendering import render, see_other

pages = Blueprint("sign_up", __name__)


@pages.get("/signup")
def show() -> Response:
    """The form, or on at once for whoever is signed in, unless an application wants an account to be made."""
    asked = waiting.find()
    if not current.services().sign_ups.are_open(current.tx()):
        return error_pages.show(404, "no-sign-up")
    wants_account = asked is not None and asked.wants_account and asked.needs_sign_in
    if current.signed_in() is not None and not wants_account:
        return see_other(waiting.destination())
    return _page(forms.Problems(), AccountForm("", "", ""))


@pages.post("/signup")
@forms.or_the_page(show)
def create() -> Response:
    waiting.find()
    services, tx, origin = current.services(), current.tx(), current.origin()
    if not services.sign_ups.are_open(tx):
        return error_pages.show(404, "no-sign-up")
    form = AccountForm.sent(may_have_passkey=True)
    if locale.is_chosen_here():
        return _page(forms.Problems(), form)
    try:
        services.sign_ups.count_try(tx, origin)
    except TooManySignUps as refusal:
        return _refused(form, refusal)
    tx.commit()  # no transaction is open while the password is judged and hashed
    problems = form.problems()
    if "username" not in problems and services.users.is_username_taken(tx, form.username):
        problems.add("username", username_taken())
    key = None if problems else chosen_key(form, problems)
    if key is None:
        return _page(problems, form)
    try:
        user = services.sign_ups.create(
            tx,
            origin,
            username=form.username,
            email=form.email,
            password_hash=key if isinstance(key, str) else None,
            locale=locale.language(),
            request=waiting.handle(),
        )
        return begin_session(user, key, waiting.passed_on("/signup/address"))
    except NameTaken:  # somebody else took it in between
        tx.rollback()
        problems.add("username", username_taken())
        return _page(problems, form)
    except PasskeyTaken:
        tx.rollback()
        problems.add("passkey", passkey_forms.taken())
        return _page(problems, form)
    except TooManySignUps as refusal:
        return _refused(form, refusal)


def _refused(form: AccountForm, refusal: TooManySignUps) -> Response:
    problems = forms.Problems()
    return throttled(refusal.until, problems, lambda: _page(problems, form))


def _page(problems: forms.Problems, form: AccountForm) -> Response:
    asked = waiting.find()
    return render(
        "sign_up/form.html",
        status=400 if problems else 200,
        leads_away=asked is not None,
        problems=problems,
        asked=asked,
        form=form,
        passkey=passkey_forms.to_make_account(form.username),
        sign_in=waiting.passed_on("/login"),
    )
