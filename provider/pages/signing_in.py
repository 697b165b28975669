"""The last step of signing in, by whatever way, and what can come in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from werkzeug.wrappers import Response

from provider.accounts.users import User
from provider.pages import passkey_forms, waiting
from provider.pages.refusals import throttled
from provider.sign_in.attempts import Throttled
from provider.sign_in.consecutive_failures import MOST, Closing
from provider.sign_in.login import CompletedLogin, StepExpired
from provider.sign_in.passkey_challenges import ChallengeOver
from provider.sign_in.passkey_proofs import WrongPasskey
from provider.web import cookies, current, forms
from provider.web.rendering import render, see_other

Proved = TypeVar("Proved")


def by_passkey(
    prove: Callable[[str], Proved], page: Callable[[forms.Problems], Response], then: Callable[[Proved], Response]
) -> Response:
    """Goes on to ``then`` with what the answer of the page's script proves, or shows ``page`` with what was wrong."""
    problems = forms.Problems()
    try:
        proved = prove(passkey_forms.answer())
    except StepExpired:
        return start_again()
    except WrongPasskey:
        problems.add("passkey", passkey_forms.wrong_passkey())
    except ChallengeOver:
        problems.add("passkey", passkey_forms.took_too_long())
    except Throttled as refusal:
        return throttled(refusal.until, problems, lambda: page(problems))
    else:
        return then(proved)
    return page(problems)


def sign_in_by_passkey(completed: CompletedLogin) -> Response:
    """After the last step, which no password was typed in."""
    user = completed.user
    return new_password_needed(user) if user.password_reset_required else sign_in(user, completed.amr)


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


def new_password_needed(user: User) -> Response:
    """For whoever proved to be somebody whose account was in other hands, or may have been: the mailbox decides."""
    is_sent = current.services().new_passwords.remind(current.tx(), current.origin(), user)
    onward = waiting.passed_on("/login")
    return render("login/new_password_needed.html", has_form=False, is_sent=is_sent, onward=onward)


def start_again() -> Response:
    if current.signed_in() is not None:  # another window was quicker
        return see_other(waiting.passed_on("/login"))
    response = see_other(waiting.passed_on("/login"), notice="step-expired")
    cookies.delete_cookie(response, "step")
    return response
