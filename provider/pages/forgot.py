"""Forgotten passwords: asking for a link, and choosing a new password behind it."""

from __future__ import annotations

from flask import Blueprint
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.accounts.mailed_links import LinkOver
from provider.accounts.users import User
from provider.pages import passkey_forms, waiting
from provider.pages.mailed_links import link_over
from provider.pages.refusals import codes_not_taken, throttled
from provider.pages.words import weak_password
from provider.sign_in.attempts import CodesNotTaken, Throttled
from provider.sign_in.login import WrongCode
from provider.sign_in.new_passwords import PasswordIsAnother
from provider.sign_in.passkey_challenges import ChallengeOver
from provider.sign_in.passkey_proofs import WrongPasskey
from provider.sign_in.passwords import WeakPassword
from provider.sign_in.second_factors import has_second_factor
from provider.web import cookies, current, forms, locale
from provider.web.guards import is_recent
from provider.web.rendering import render, see_other

pages = Blueprint("forgot", __name__)


@pages.get("/forgot")
def show() -> Response:
    waiting.find()
    return _ask_page(forms.Problems(), "")


@pages.post("/forgot")
@forms.or_the_page(show)
def ask() -> Response:
    """Looks nobody up: what follows for this name is decided later, so that nobody can tell whose it is (A-78)."""
    waiting.find()
    name = forms.text("username", limit=255)
    if locale.is_chosen_here():
        return _ask_page(forms.Problems(), name)
    problems = forms.Problems()
    if not name:
        problems.add("username", _("Enter your e-mail address or user name."))
        return _ask_page(problems, name)
    current.services().forgotten_passwords.ask(current.tx(), current.origin(), name, locale.language())
    return see_other(waiting.passed_on("/forgot/sent"))


@pages.get("/forgot/sent")
def sent() -> Response:
    waiting.find()
    return render("forgot/sent.html", leads_away=bool(waiting.handle()), onward=waiting.passed_on("/login"))


@pages.get("/reset/<token>")
def show_reset(token: str) -> Response:
    user = _user_of(token)
    return _over() if user is None else _reset_page(forms.Problems(), user, token)


@pages.post("/reset/<token>")
def reset(token: str) -> Response:
    """The second factor is checked before the password changes: the mailbox alone gives nobody a password (A-82)."""
    user = _user_of(token)
    if user is None:
        return _over()
    services, tx, origin = current.services(), current.tx(), current.origin()
    password, code = forms.secret("password"), forms.text("code", limit=64)
    asks_for_code = _asks_for_code(user)
    problems = forms.Problems()
    if not password:
        problems.add("password", _("Choose a password."))
    if asks_for_code and not (code or passkey_forms.answer()):
        problems.add("code", _("Enter the code."))
    if problems:
        return _reset_page(problems, user, token)
    try:
        services.new_passwords.judge(tx, user, password)  # before the code, which works once
        if asks_for_code:
            _prove(user, token, code)
        password_hash = services.new_passwords.prepare(tx, user, password)
        services.forgotten_passwords.finish(tx, origin, token, user, password_hash)
    except WrongCode:
        problems.add("code", _("That code didn't work. Codes change every 30 seconds, and each works once."))
    except WrongPasskey:
        problems.add("passkey", passkey_forms.wrong_passkey())
    except ChallengeOver:
        problems.add("passkey", passkey_forms.took_too_long())
    except CodesNotTaken as refusal:
        problems.add("code", codes_not_taken(refusal))
    except WeakPassword as weakness:
        problems.add("password", weak_password(weakness, services.new_passwords.shortest(user)))
    except (LinkOver, PasswordIsAnother):
        return _over()
    except Throttled as refusal:
        return throttled(refusal.until, problems, lambda: _reset_page(problems, user, token))
    if problems:
        return _reset_page(problems, user, token)
    response = see_other("/login", notice="password-reset")
    for name in ("session", "step"):
        cookies.delete_cookie(response, name)
    return response


def _user_of(token: str) -> User | None:
    return current.services().forgotten_passwords.find(current.tx(), current.now(), token)


def _asks_for_code(user: User) -> bool:
    """Not where this browser has just proved the second factor, as somebody does who signs in with a passkey alone."""
    known = current.signed_in()
    is_proved = known is not None and known.user.id == user.id and "mfa" in known.session.amr and is_recent()
    return has_second_factor(current.tx(), user) and not is_proved


def _prove(user: User, token: str, code: str) -> None:
    """The second factor: a passkey where the script has sent its answer, else the code. Raises what either does."""
    services, tx, origin, answer = current.services(), current.tx(), current.origin(), passkey_forms.answer()
    if answer == passkey_forms.LATE:
        raise ChallengeOver
    if answer:
        services.passkey_proofs.for_new_password(tx, origin, user, passkey_forms.in_link(token), answer)
    else:
        services.login.check_code(tx, origin, user, code, device=current.cookie("device"))


def _over() -> Response:
    return link_over(
        _("It was used, a newer one has taken its place, or its time is over."),
        onward="/forgot",
        words=_("Ask for another link"),
    )


def _ask_page(problems: forms.Problems, name: str) -> Response:
    return render(
        "forgot/ask.html",
        status=400 if problems else 200,
        leads_away=bool(waiting.handle()),
        problems=problems,
        username=name,
        can_send=current.services().mail.can_send,
        onward=waiting.passed_on("/login"),
    )


def _reset_page(problems: forms.Problems, user: User, token: str) -> Response:
    asks_for_code = _asks_for_code(user)
    return render(
        "forgot/reset.html",
        status=400 if problems else 200,
        problems=problems,
        user=user,
        asks_for_code=asks_for_code,
        passkey=passkey_forms.to_reset(user, token) if asks_for_code else None,
        shortest=current.services().new_passwords.shortest(user),
    )
