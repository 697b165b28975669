"""The first account, through the one-time link that the server prints."""

from __future__ import annotations

from flask import Blueprint
from werkzeug.wrappers import Response

from provider.accounts.users import NameTaken
from provider.pages.account_form import AccountForm, begin_session
from provider.security.crypto import is_secret
from provider.web import current, error_pages, forms, locale
from provider.web.rendering import render

pages = Blueprint("setup", __name__)


@pages.get("/setup/<token>")
def show(token: str) -> Response:
    if not _works(token):
        return error_pages.show(404, "setup-link")
    return _page(forms.Problems(), AccountForm("", "", "", is_admin=True))


@pages.post("/setup/<token>")
def create_account(token: str) -> Response:
    if not _works(token):
        return error_pages.show(404, "setup-link")
    services, tx, origin = current.services(), current.tx(), current.origin()
    form = AccountForm.sent(is_admin=True)
    if locale.is_chosen_here():
        return _page(forms.Problems(), form)
    tx.commit()  # no transaction is open while the password is judged and hashed
    problems = form.problems(allowed=None)
    if problems:
        return _page(problems, form)
    password_hash = services.passwords.hash(form.password)
    if not services.setup_links.claim(tx, origin, token):
        return error_pages.show(404, "setup-link")
    try:
        user = services.users.create(
            tx,
            origin,
            username=form.username,
            email=form.email,
            password_hash=password_hash,
            is_admin=True,
            is_verified=True,
            locale=locale.language(),
        )
    except NameTaken:
        tx.rollback()
        return error_pages.show(404, "setup-link")
    return begin_session(user, password_hash, "/account/second-factor", notice="welcome")


def _works(token: str) -> bool:
    return is_secret("setup", token) and current.services().setup_links.find(current.tx(), current.now(), token)


def _page(problems: forms.Problems, form: AccountForm) -> Response:
    return render("setup/account.html", status=400 if problems else 200, problems=problems, form=form)
