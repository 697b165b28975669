"""Signing in: the password, or a passkey in place of everything. There is no session before the last step is done."""

from __future__ import annotations

from flask import Blueprint, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.accounts.users import User
from provider.authorization.descriptions import RequestDescription
from provider.pages import passkey_forms, waiting
from provider.pages.refusals import throttled
from provider.pages.signing_in import by_passkey, new_password_needed, sign_in, sign_in_by_passkey
from provider.sign_in.attempts import Throttled
from provider.sign_in.login import WrongCredentials
from provider.sign_in.second_factors import has_second_factor
from provider.web import cookies, current, forms, locale
from provider.web.rendering import render, see_other

pages = Blueprint("login", __name__)


@pages.get("/login")
def show_login() -> Response:
    """The form, or on at once: somebody may have signed in in another window while this one stood open.

    Whoever had typed another name here meant that person, and is asked again.
    """
    asked, known = waiting.find(), current.signed_in()
    typed = forms.text("username", limit=255)
    if known is None:
        return _login_page(forms.Problems(), typed or _hint(asked))
    wants_another = "switch" in request.args or not _is_name_of(known.user, typed)
    if not wants_another and (asked is None or not asked.needs_sign_in):
        return see_other(waiting.destination())
    name = typed or _hint(asked) or ("" if wants_another else known.user.username)
    return _login_page(forms.Problems(), name, meanwhile=known.user if forms.is_out_of_date() else None)


@pages.post("/login")
@forms.or_the_page(show_login)
def check_password() -> Response:
    waiting.find()
    name = forms.text("username", limit=255)
    password = forms.secret("password")
    if locale.is_chosen_here():
        return _login_page(forms.Problems(), name)
    problems = forms.Problems()
    if passkey_forms.answer():
        services, bound_to = current.services(), passkey_forms.in_browser()
        return by_passkey(
            lambda answer: services.passkey_proofs.sign_in(current.tx(), current.origin(), bound_to, answer),
            lambda problems: _login_page(problems, ""),
            sign_in_by_passkey,
        )
    if not name:
        problems.add("username", _("Enter your e-mail address or user name."))
    if not password:
        problems.add("password", _("Enter your password."))
    if problems:
        return _login_page(problems, name)
    try:
        user = current.services().login.check_password(
            current.tx(), current.origin(), name, password, device=current.cookie("device")
        )
    except WrongCredentials:
        problems.add("username", _("Wrong e-mail or password."))
    except Throttled as refusal:
        return throttled(refusal.until, problems, lambda: _login_page(problems, name))
    else:
        return _after_password(user)
    return _login_page(problems, name)


def _after_password(user: User) -> Response:
    services, tx, origin = current.services(), current.tx(), current.origin()
    if user.password_reset_required:
        return new_password_needed(user)
    if not has_second_factor(tx, user):
        return sign_in(user, ("pwd",))
    if services.lost_second_factors.remove_if_waited(tx, origin, user):
        response = sign_in(services.users.get(tx, user.id), ("pwd",))
        cookies.set_cookie(response, "notice", "second-factor-lost", seconds=cookies.NOTICE_SECONDS)
        return response
    devices = services.remembered_devices
    remembered = devices.use(tx, origin, user, current.cookie(devices.cookie_of(user)), current.browser())
    if remembered is not None:  # one factor, and said to be: nothing that asks for two is content with it
        response = sign_in(user, ("pwd",))
        cookies.keep_remembered(response, devices.cookie_of(user), remembered)
        return response
    step = services.login.begin_second_factor(tx, origin, user)
    response = see_other(waiting.passed_on("/login/code"))
    cookies.set_cookie(response, "step", step)
    return response


def _hint(asked: RequestDescription | None) -> str:
    return (asked.login_hint or "") if asked else ""


def _is_name_of(user: User, typed: str) -> bool:
    """Whether ``typed`` means this user, or nobody."""
    if not typed:
        return True
    meant = current.services().users.find_by_login(current.tx(), typed)
    return meant is not None and meant.id == user.id


def _login_page(problems: forms.Problems, name: str, *, meanwhile: User | None = None) -> Response:
    """``meanwhile``: who has signed in in another window since this form was shown."""
    asked = waiting.find()
    return render(
        "login/password.html",
        status=400 if problems else 200,
        leads_away=asked is not None,
        problems=problems,
        asked=asked,
        username=name,
        meanwhile=meanwhile,
        forgot=waiting.passed_on("/forgot"),
        passkey=passkey_forms.to_sign_in(),
        sign_up=waiting.passed_on("/signup") if current.services().sign_ups.are_open(current.tx()) else "",
    )
