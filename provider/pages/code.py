"""The second step of signing in: a code, a recovery code or a passkey after the right password."""

from __future__ import annotations

from flask import Blueprint, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.accounts.users import User
from provider.pages import passkey_forms, waiting
from provider.pages.refusals import codes_not_taken, throttled, wrong_code
from provider.pages.signing_in import by_passkey, sign_in, sign_in_by_passkey, start_again
from provider.sign_in.attempts import CodesNotTaken, Throttled
from provider.sign_in.login import StepExpired, WrongCode
from provider.web import cookies, current, forms, locale
from provider.web.rendering import render

pages = Blueprint("code", __name__)


@pages.get("/login/code")
def show_code() -> Response:
    waiting.find()
    user = _user_of_step()
    return _code_page(forms.Problems(), user) if user else start_again()


@pages.post("/login/code")
@forms.or_the_page(show_code)
def check_code() -> Response:
    waiting.find()
    user = _user_of_step()
    if user is None:
        return start_again()
    if locale.is_chosen_here():
        return _code_page(forms.Problems(), user)
    if passkey_forms.answer():
        services, step, bound_to = current.services(), current.cookie("step"), passkey_forms.in_step()
        return by_passkey(
            lambda answer: services.passkey_proofs.second_factor(
                current.tx(), current.origin(), step, bound_to, answer
            ),
            lambda problems: _code_page(problems, user),
            sign_in_by_passkey,
        )
    code = forms.text("code", limit=64)
    problems = forms.Problems()
    if not code:
        problems.add("code", _("Enter the code."))
        return _code_page(problems, user)
    login = current.services().login
    try:
        completed = login.check_second_factor(
            current.tx(), current.origin(), current.cookie("step"), code, device=current.cookie("device")
        )
    except StepExpired:
        return start_again()
    except WrongCode:
        problems.add("code", wrong_code(is_recovery_code=_uses_recovery_code()))
        return _code_page(problems, user)
    except CodesNotTaken as refusal:
        problems.add("", codes_not_taken(refusal))
        return _code_page(problems, user)
    except Throttled as refusal:
        return throttled(refusal.until, problems, lambda: _code_page(problems, user))
    notice = "" if completed.recovery_codes_left is None else "recovery-code-used"
    response = sign_in(completed.user, completed.amr, notice=notice)
    if "remember" in request.form:
        devices = current.services().remembered_devices
        token = devices.remember(current.tx(), current.origin(), completed.user, current.browser())
        cookies.keep_remembered(response, devices.cookie_of(completed.user), token)
    return response


def _uses_recovery_code() -> bool:
    return request.args.get("with") == "recovery-code"


def _user_of_step() -> User | None:
    step = current.cookie("step")
    return current.services().login.find_step(current.tx(), current.now(), step) if step else None


def _code_page(problems: forms.Problems, user: User) -> Response:
    asked = waiting.find()
    return render(
        "login/code.html",
        status=400 if problems else 200,
        leads_away=asked is not None,
        problems=problems,
        asked=asked,
        user=user,
        passkey=None if _uses_recovery_code() else passkey_forms.as_second_factor(user),
        with_recovery_code=_uses_recovery_code(),
        remember="remember" in request.form,
        this_page=waiting.passed_on("/login/code"),
        recovery_page=waiting.passed_on("/login/code", **{"with": "recovery-code"}),
        start_again=waiting.passed_on("/login", switch="1"),
        lost=waiting.passed_on("/login/lost"),
    )
