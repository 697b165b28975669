"""Proving again who one is, before something sensitive: the password, and the second step where there is one."""

from __future__ import annotations

from flask import Blueprint
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.accounts.users import User
from provider.pages import waiting
from provider.pages.login import codes_closed, throttled, too_many_attempts, wrong_code
from provider.sign_in.attempts import CodesClosed, Throttled
from provider.sign_in.login import WrongCode, WrongCredentials
from provider.web import cookies, current, forms, locale
from provider.web.rendering import render, see_other

pages = Blueprint("reauthentication", __name__)


@pages.get("/login/again")
def show() -> Response:
    known = current.signed_in()
    if known is None:
        return see_other(waiting.passed_on("/login"))
    return _page(forms.Problems(), known.user)


@pages.post("/login/again")
def check() -> Response:
    known = current.signed_in()
    if known is None:
        return see_other(waiting.passed_on("/login"))
    user = known.user
    if locale.is_chosen_here():
        return _page(forms.Problems(), user)
    password, code = forms.secret("password"), forms.text("code", limit=64)
    problems = forms.Problems()
    if not password:
        problems.add("password", _("Enter your password."))
    if user.two_factor_enabled and not code:
        problems.add("code", _("Enter the code."))
    if problems:
        return _page(problems, user)
    services, tx, origin = current.services(), current.tx(), current.origin()
    device = services.login.device_token(user)
    amr: tuple[str, ...] = ("pwd",)
    try:
        proved = services.login.check_password(tx, origin, user.username, password, device=device)
        if proved.id != user.id:
            raise WrongCredentials
        if proved.two_factor_enabled:
            methods, _codes_left = services.login.check_code(tx, origin, proved, code, device=device)
            amr = ("pwd", *methods)
    except WrongCredentials:
        problems.add("password", _("Wrong password."))
    except WrongCode:
        problems.add("code", wrong_code(is_recovery_code=False))
    except CodesClosed:
        problems.add("code", codes_closed())
    except Throttled as refusal:
        problems.add("", too_many_attempts(refusal.until))
        return throttled(_page(problems, user), refusal.until)
    if problems:
        return _page(problems, user)
    token = services.sessions.rotate(tx, origin, known.session, amr)
    response = see_other(waiting.destination())
    cookies.set_cookie(response, "session", token)
    return response


def _page(problems: forms.Problems, user: User) -> Response:
    return render(
        "login/again.html",
        status=400 if problems else 200,
        leads_away=bool(waiting.handle()),
        problems=problems,
        user=user,
        onward="" if waiting.handle() else "/account",
    )
