"""Closing one's account, and opening it again while that can be."""

from __future__ import annotations

from flask import Blueprint
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.accounts.administrators import LastAdministrator
from provider.accounts.login_names import InvalidName, canonical_username
from provider.pages import waiting
from provider.pages.signing_in import sign_in
from provider.sign_in.closing import DAYS_TO_RETURN, AlreadyClosed
from provider.sign_in.login import StepExpired
from provider.web import cookies, current, forms, locale
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render, see_other

pages = Blueprint("closing", __name__)


@pages.get("/account/close")
@signed_in_only("close", recently=True)
def ask() -> Response:
    return _page(forms.Problems())


@pages.post("/account/close")
@signed_in_only("close", recently=True)
def close() -> Response:
    if locale.is_chosen_here():
        return _page(forms.Problems())
    user, problems = here().user, forms.Problems()
    if not _means(forms.text("username", limit=255), user.username):
        problems.add("username", _("Type your user name to confirm: %(name)s", name=user.username))
        return _page(problems)
    try:
        current.services().closing.close(current.tx(), current.origin(), user)
    except LastAdministrator:
        problems.add("", _("You are the last administrator. Make somebody else one first."))
        return _page(problems)
    except AlreadyClosed:  # in another window
        pass
    response = see_other("/login", notice="account-closed")
    cookies.delete_cookie(response, "session")
    return response


@pages.get("/login/reopen")
def show_reopening() -> Response:
    waiting.find()
    found = current.services().reopening.find(current.tx(), current.now(), current.cookie("step"))
    if found is None or found.user.closed_at is None:
        return _over()
    return render(
        "closing/reopen.html",
        leads_away=bool(waiting.handle()),
        username=found.user.username,
        until=found.user.closed_at + DAYS_TO_RETURN,
        leave=waiting.passed_on("/login"),
    )


@pages.post("/login/reopen")
@forms.or_the_page(show_reopening)
def reopen() -> Response:
    """Opens the account and signs in, as the steps before would have done."""
    waiting.find()
    try:
        back = current.services().reopening.finish(current.tx(), current.origin(), current.cookie("step"))
    except StepExpired:
        return _over()
    response = sign_in(back.user, back.amr)
    cookies.set_cookie(response, "notice", "account-reopened", seconds=cookies.NOTICE_SECONDS)
    return response


def _means(typed: str, username: str) -> bool:
    try:
        return canonical_username(typed) == canonical_username(username)
    except InvalidName:
        return False


def _over() -> Response:
    response = see_other(waiting.passed_on("/login"), notice="step-expired")
    cookies.delete_cookie(response, "step")
    return response


def _page(problems: forms.Problems) -> Response:
    return render(
        "closing/ask.html",
        status=400 if problems else 200,
        problems=problems,
        user=here().user,
        typed=forms.text("username", limit=255),
        days=DAYS_TO_RETURN.days,
    )
