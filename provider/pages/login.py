"""Signing in: the password, then the second step. There is no session before the last step is done."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from flask import Blueprint, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.accounts.users import User
from provider.authorization.descriptions import RequestDescription
from provider.pages import passkey_forms, waiting
from provider.sign_in.attempts import CodesClosed, Throttled
from provider.sign_in.consecutive_failures import MOST, Closing
from provider.sign_in.login import CompletedLogin, StepExpired, WrongCode, WrongCredentials
from provider.sign_in.passkey_challenges import ChallengeOver
from provider.sign_in.passkey_proofs import WrongPasskey
from provider.sign_in.second_factors import has_second_factor
from provider.web import cookies, current, forms, locale
from provider.web.rendering import render, see_other
from provider.web.times import clock_time

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
        return _by_passkey(
            lambda answer: services.passkey_proofs.sign_in(current.tx(), current.origin(), bound_to, answer),
            lambda problems: _login_page(problems, ""),
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
        problems.add("", too_many_attempts(refusal.until))
        return throttled(_login_page(problems, name), refusal.until)
    else:
        return _after_password(user)
    return _login_page(problems, name)


@pages.get("/login/code")
def show_code() -> Response:
    waiting.find()
    user = _user_of_step()
    return _code_page(forms.Problems(), user) if user else _start_again()


@pages.post("/login/code")
@forms.or_the_page(show_code)
def check_code() -> Response:
    waiting.find()
    user = _user_of_step()
    if user is None:
        return _start_again()
    if locale.is_chosen_here():
        return _code_page(forms.Problems(), user)
    if passkey_forms.answer():
        services, step, bound_to = current.services(), current.cookie("step"), passkey_forms.in_step()
        return _by_passkey(
            lambda answer: services.passkey_proofs.second_factor(
                current.tx(), current.origin(), step, bound_to, answer
            ),
            lambda problems: _code_page(problems, user),
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
        return _start_again()
    except WrongCode:
        problems.add("code", wrong_code(is_recovery_code=uses_recovery_code()))
        return _code_page(problems, user)
    except CodesClosed:
        problems.add("", codes_closed())
        return _code_page(problems, user)
    except Throttled as refusal:
        problems.add("", too_many_attempts(refusal.until))
        return throttled(_code_page(problems, user), refusal.until)
    notice = "" if completed.recovery_codes_left is None else "recovery-code-used"
    response = sign_in(completed.user, completed.amr, notice=notice)
    if "remember" in request.form:
        devices = current.services().remembered_devices
        token = devices.remember(current.tx(), current.origin(), completed.user, current.browser())
        cookies.keep_remembered(response, devices.cookie_of(completed.user), token)
    return response


def _by_passkey(prove: Callable[[str], CompletedLogin], page: Callable[[forms.Problems], Response]) -> Response:
    """Signs in whoever ``prove`` finds behind the answer of the page's script, or shows ``page`` with what was wrong."""
    problems = forms.Problems()
    try:
        completed = prove(passkey_forms.answer())
    except StepExpired:
        return _start_again()
    except WrongPasskey:
        problems.add("passkey", passkey_forms.wrong_passkey())
    except ChallengeOver:
        problems.add("passkey", passkey_forms.took_too_long())
    except Throttled as refusal:
        problems.add("", too_many_attempts(refusal.until))
        return throttled(page(problems), refusal.until)
    else:
        user = completed.user
        return _new_password_needed(user) if user.password_reset_required else sign_in(user, completed.amr)
    return page(problems)


def sign_in(user: User, amr: tuple[str, ...], *, notice: str = "") -> Response:
    """Starts the session, after the last step: a new id, and whatever the browser held before stops working.

    Somebody who signs in again (an application asked for it) stays in the same session, and other applications' access
    that rests on it goes on. ``notice`` is what the next page says, by its name in ``pages.words``. Who has closed the
    account is asked first whether to open it again.
    """
    services, tx, origin = current.services(), current.tx(), current.origin()
    if user.closed_at is not None:
        return _asked_to_return(CompletedLogin(user, amr))
    services.second_factor_rule.note_sign_in(tx, user, origin.now)
    known = current.signed_in()
    closings: list[Closing] = []
    if known is not None and known.user.id == user.id:
        token = services.sessions.rotate(tx, origin, known.session, amr)
    else:
        previous = current.cookie("session") or None
        closings = services.consecutive_failures.closings(tx, user.id, since=user.last_login_at)
        token = services.login.start_session(
            tx,
            origin,
            user,
            amr,
            previous_token=previous,
            browser=current.browser(),
            device=current.cookie("device"),
        )
    is_missed = services.second_factor_rule.is_missed(tx, user)
    target = waiting.passed_on("/login/second-factor") if is_missed else waiting.destination()
    response = _told(closings, target) if closings else see_other(target, notice=notice)
    cookies.set_cookie(response, "session", token)
    cookies.keep_device(response, services.login.device_token(user))
    cookies.delete_cookie(response, "step")
    return response


def _asked_to_return(completed: CompletedLogin) -> Response:
    """On to the question whether a closed account is to be opened again."""
    step = current.services().reopening.begin(current.tx(), current.origin(), completed)
    response = see_other(waiting.passed_on("/login/reopen"))
    cookies.set_cookie(response, "step", step)
    return response


def uses_recovery_code() -> bool:
    return request.args.get("with") == "recovery-code"


def wrong_code(*, is_recovery_code: bool) -> str:
    if is_recovery_code:
        return str(_("That recovery code didn't work. Each one works once."))
    return str(_("That code didn't work. Codes change every 30 seconds; check your phone's clock."))


def codes_closed() -> str:
    """Why no code is taken here, and what is."""
    return str(
        _(
            "%(count)d wrong codes in a row were entered, so codes from the app are not accepted here any more. Use a "
            "recovery code, or a device where you have signed in before, or ask the people who run %(service)s.",
            count=MOST,
            service=current.settings().service_name,
        )
    )


def too_many_attempts(until: datetime.datetime) -> str:
    return str(_("Too many attempts. Try again at %(time)s.", time=clock_time(until + datetime.timedelta(seconds=59))))


def throttled(response: Response, until: datetime.datetime) -> Response:
    """The same page as 429, saying when to come back."""
    response.status_code = 429
    response.headers["Retry-After"] = str(max(1, int((until - current.now()).total_seconds()) + 1))
    return response


def _told(closings: list[Closing], target: str) -> Response:
    """Tells what guesses have closed since the last sign-in, on the way to ``target``. Said once, so no redirect."""
    return render(
        "login/closings.html",
        has_form=False,
        leads_away=bool(waiting.handle()),
        closings=closings,
        most=MOST,
        onward=target,
    )


def _new_password_needed(user: User) -> Response:
    """For whoever proved to be somebody whose account was in other hands, or may have been: the mailbox decides."""
    is_sent = current.services().new_passwords.remind(current.tx(), current.origin(), user)
    onward = waiting.passed_on("/login")
    return render("login/new_password_needed.html", has_form=False, is_sent=is_sent, onward=onward)


def _after_password(user: User) -> Response:
    services, tx, origin = current.services(), current.tx(), current.origin()
    if user.password_reset_required:
        return _new_password_needed(user)
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


def _user_of_step() -> User | None:
    step = current.cookie("step")
    return current.services().login.find_step(current.tx(), current.now(), step) if step else None


def _hint(asked: RequestDescription | None) -> str:
    return (asked.login_hint or "") if asked else ""


def _is_name_of(user: User, typed: str) -> bool:
    """Whether ``typed`` means this user, or nobody."""
    if not typed:
        return True
    meant = current.services().users.find_by_login(current.tx(), typed)
    return meant is not None and meant.id == user.id


def _start_again() -> Response:
    if current.signed_in() is not None:  # another window was quicker
        return see_other(waiting.passed_on("/login"))
    response = see_other(waiting.passed_on("/login"), notice="step-expired")
    cookies.delete_cookie(response, "step")
    return response


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


def _code_page(problems: forms.Problems, user: User) -> Response:
    asked = waiting.find()
    return render(
        "login/code.html",
        status=400 if problems else 200,
        leads_away=asked is not None,
        problems=problems,
        asked=asked,
        user=user,
        passkey=None if uses_recovery_code() else passkey_forms.as_second_factor(user),
        with_recovery_code=uses_recovery_code(),
        remember="remember" in request.form,
        this_page=waiting.passed_on("/login/code"),
        recovery_page=waiting.passed_on("/login/code", **{"with": "recovery-code"}),
        start_again=waiting.passed_on("/login", switch="1"),
        lost=waiting.passed_on("/login/lost"),
    )
