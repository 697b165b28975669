"""The first account, through the one-time link that the server prints."""

from __future__ import annotations

from flask import Blueprint
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.accounts.login_names import InvalidName, canonical_email, canonical_username
from provider.accounts.users import NameTaken
from provider.pages.words import weak_password
from provider.security.crypto import is_secret
from provider.sign_in.passwords import MIN_WITH_SECOND_FACTOR, WeakPassword
from provider.web import cookies, current, error_pages, forms, locale
from provider.web.rendering import render, see_other

pages = Blueprint("setup", __name__)


@pages.get("/setup/<token>")
def show(token: str) -> Response:
    if not _works(token):
        return error_pages.show(404, "setup-link")
    return _page(forms.Problems(), "", "")


@pages.post("/setup/<token>")
def create_account(token: str) -> Response:
    if not _works(token):
        return error_pages.show(404, "setup-link")
    services, tx, origin = current.services(), current.tx(), current.origin()
    username, email, password = (
        forms.text("username", limit=255),
        forms.text("email", limit=512),
        forms.secret("password"),
    )
    if locale.is_chosen_here():
        return _page(forms.Problems(), username, email)
    tx.commit()  # no transaction is open while the password is judged and hashed
    problems = _problems_with(username, email, password)
    if problems:
        return _page(problems, username, email)
    password_hash = services.passwords.hash(password)
    if not services.setup_links.claim(tx, origin, token):
        return error_pages.show(404, "setup-link")
    try:
        user = services.users.create(
            tx,
            origin,
            username=username,
            email=email,
            password_hash=password_hash,
            is_admin=True,
            is_verified=True,
            locale=locale.language(),
        )
    except NameTaken:
        tx.rollback()
        return error_pages.show(404, "setup-link")
    session = services.login.start_session(tx, origin, user, ("pwd",), browser=current.browser())
    response = see_other("/account/second-factor", notice="welcome")
    cookies.set_cookie(response, "session", session)
    cookies.keep_device(response, services.login.device_token(user))
    return response


def _works(token: str) -> bool:
    return is_secret("setup", token) and current.services().setup_links.find(current.tx(), current.now(), token)


def _problems_with(username: str, email: str, password: str) -> forms.Problems:
    problems = forms.Problems()
    try:
        canonical_username(username)
    except InvalidName:
        problems.add("username", _("Choose a user name of 2 to 64 letters, digits, dots, hyphens or underscores."))
    try:
        canonical_email(email)
    except InvalidName:
        problems.add("email", _("Enter an e-mail address, such as name@example.com."))
    if not password:
        problems.add("password", _("Choose a password."))
        return problems
    try:
        current.services().passwords.check_strength(
            password, username=username, email=email, second_factor_required=_second_factor_follows()
        )
    except WeakPassword as weakness:
        problems.add("password", weak_password(weakness, _shortest()))
    return problems


def _second_factor_follows() -> bool:
    return current.settings().second_factor_at_once(is_admin=True)


def _shortest() -> int:
    return MIN_WITH_SECOND_FACTOR if _second_factor_follows() else current.settings().password_min_length


def _page(problems: forms.Problems, username: str, email: str) -> Response:
    return render(
        "setup/account.html",
        status=400 if problems else 200,
        problems=problems,
        username=username,
        email=email,
        password_min_length=_shortest(),
    )
