"""Proving again who one is: before something sensitive, and where an application wants to be surer (step-up).

What is asked for is the best that the person has: a passkey, else a code, else the password.
"""

from __future__ import annotations

from flask import Blueprint, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.accounts.users import User
from provider.pages import passkey_forms, waiting
from provider.pages.refusals import codes_not_taken, throttled, wrong_code
from provider.pages.signing_in import by_passkey
from provider.sign_in.assurance import together
from provider.sign_in.attempts import CodesNotTaken, Throttled
from provider.sign_in.consecutive_failures import Way
from provider.sign_in.login import WrongCode, WrongCredentials
from provider.sign_in.proofs import Proof, proofs_of
from provider.web import cookies, current, forms, locale
from provider.web.guards import here, is_recent
from provider.web.rendering import render, see_other

pages = Blueprint("reauthentication", __name__)
_PAGE = "/login/again"


@pages.get(_PAGE)
def show() -> Response:
    """The form, or on at once where an out-of-date one was sent: by the second click, or after another window's proof."""
    waiting.find()
    known = current.signed_in()
    if known is None:
        return see_other(waiting.passed_on("/login"))
    if forms.is_out_of_date() and is_recent():
        return see_other(waiting.destination())
    return _page(forms.Problems(), known.user)


@pages.post(_PAGE)
@forms.or_the_page(show)
def check() -> Response:
    waiting.find()
    known = current.signed_in()
    if known is None:
        return see_other(waiting.passed_on("/login"))
    user = known.user
    if locale.is_chosen_here():
        return _page(forms.Problems(), user)
    if passkey_forms.answer():
        proofs, bound_to = current.services().passkey_proofs, passkey_forms.in_session()
        return by_passkey(
            lambda answer: proofs.again(current.tx(), current.origin(), user, bound_to, answer),
            lambda problems: _page(problems, user),
            confirmed,
        )
    problems = _what_is_missing(user)
    if problems:
        return _page(problems, user)
    amr: tuple[str, ...] = ()
    try:
        amr = _proved(user)
    except WrongCredentials:
        problems.add("password", _("Wrong password."))
    except WrongCode:
        problems.add("code", wrong_code(is_recovery_code=False))
    except CodesNotTaken as refusal:
        problems.add("code", codes_not_taken(refusal))
    except Throttled as refusal:
        return throttled(refusal.until, problems, lambda: _page(problems, user))
    return _page(problems, user) if problems else confirmed(amr)


def confirmed(amr: tuple[str, ...]) -> Response:
    """Goes on after a proof by these methods: the session has them from now on, and a new id. For every kind of proof."""
    session, tx, origin = here().session, current.tx(), current.origin()
    token = current.services().sessions.rotate(tx, origin, session, together(session.amr, amr))
    response = see_other(waiting.destination())
    cookies.set_cookie(response, "session", token)
    return response


def _proof_asked_of(user: User) -> Proof:
    """The one that the person has chosen, or else the best one."""
    offered = proofs_of(current.tx(), user)
    chosen = request.args.get("with", "")
    return next((proof for proof in offered if proof == chosen), offered[0])


def _asks_for(user: User) -> tuple[bool, bool]:
    """Whether the form asks for a password, and for a code.

    For both where guesses have closed the way by the password: the right one, here, opens it again.
    """
    proof = _proof_asked_of(user)
    ways = current.services().consecutive_failures.closed(current.tx(), user.id) if proof is Proof.CODE else ()
    is_closed = any(way_in.way is Way.PASSWORD for way_in in ways)
    return proof is Proof.PASSWORD or is_closed, proof is Proof.CODE


def _what_is_missing(user: User) -> forms.Problems:
    problems, (wants_password, wants_code) = forms.Problems(), _asks_for(user)
    if wants_password and not forms.secret("password"):
        problems.add("password", _("Enter your password."))
    if wants_code and not forms.text("code", limit=64):
        problems.add("code", _("Enter the code."))
    if not (wants_password or wants_code):
        problems.add("", _("Use your passkey, or choose another way."))
    return problems


def _proved(user: User) -> tuple[str, ...]:
    """The methods of a proof by what was typed. Raises what ``Login`` does."""
    login, tx, origin = current.services().login, current.tx(), current.origin()
    device = login.device_token(user)
    amr: tuple[str, ...] = ()
    wants_password, wants_code = _asks_for(user)
    if wants_password:
        proved = login.check_password(tx, origin, user.username, forms.secret("password"), device=device)
        if proved.id != user.id:
            raise WrongCredentials
        amr = ("pwd",)
    if wants_code:
        methods, _codes_left = login.check_code(tx, origin, user, forms.text("code", limit=64), device=device)
        amr = (*amr, *methods)
    return amr


def _page(problems: forms.Problems, user: User) -> Response:
    wants_password, wants_code = _asks_for(user)
    others = [proof for proof in proofs_of(current.tx(), user) if proof is not _proof_asked_of(user)]
    return render(
        "login/again.html",
        status=400 if problems else 200,
        leads_away=bool(waiting.handle()),
        problems=problems,
        asked=waiting.find(),
        user=user,
        passkey=passkey_forms.to_prove_again(user) if _proof_asked_of(user) is Proof.PASSKEY else None,
        wants_password=wants_password,
        wants_code=wants_code,
        is_out_of_date=forms.is_out_of_date(),
        others=[(proof, waiting.passed_on(_PAGE, **{"with": proof.value})) for proof in others],
        onward="" if waiting.handle() else "/account",
    )
