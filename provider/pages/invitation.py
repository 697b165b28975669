"""Accepting an invitation: user name, and a password or a passkey, for an address that the link has proved."""

from __future__ import annotations

from flask import Blueprint
from werkzeug.wrappers import Response

from provider.accounts.invitations import Invitation, InvitationOver
from provider.accounts.users import NameTaken
from provider.pages import passkey_forms
from provider.pages.account_form import AccountForm, begin_session, chosen_key, username_taken
from provider.sign_in.passkeys import PasskeyTaken
from provider.web import current, error_pages, forms, locale
from provider.web.rendering import render

pages = Blueprint("invitation", __name__)


@pages.get("/invitation/<token>")
def show(token: str) -> Response:
    invitation = _open(token)
    if invitation is None:
        return error_pages.show(404, "invitation")
    if _has_account(invitation):
        return _account_exists(invitation)
    form = AccountForm(invitation.username or "", invitation.email, "", invitation.is_admin)
    return _page(forms.Problems(), invitation, form)


@pages.post("/invitation/<token>")
def accept(token: str) -> Response:
    invitation = _open(token)
    if invitation is None:
        return error_pages.show(404, "invitation")
    services, tx, origin = current.services(), current.tx(), current.origin()
    if _has_account(invitation):
        return _account_exists(invitation)
    form = AccountForm.sent(email=invitation.email, is_admin=invitation.is_admin, may_have_passkey=True)
    if locale.is_chosen_here():
        return _page(forms.Problems(), invitation, form)
    tx.commit()  # no transaction is open while the password is judged and hashed
    problems = form.problems(allowed=invitation.username or "")
    if "username" not in problems and services.users.is_username_taken(tx, form.username):
        problems.add("username", username_taken())
    key = None if problems else chosen_key(form, problems)
    if key is None:
        return _page(problems, invitation, form)
    try:
        user = services.invitations.accept(
            tx,
            origin,
            token,
            username=form.username,
            password_hash=key if isinstance(key, str) else None,
            locale=locale.language(),
        )
        return begin_session(user, key, "/account/second-factor", notice="welcome")
    except InvitationOver:
        return error_pages.show(404, "invitation")
    except NameTaken as error:
        tx.rollback()  # the invitation works still
        if error.field == "email":
            return _account_exists(invitation)
        problems.add("username", username_taken())
        return _page(problems, invitation, form)
    except PasskeyTaken:
        tx.rollback()
        problems.add("passkey", passkey_forms.taken())
        return _page(problems, invitation, form)


def _open(token: str) -> Invitation | None:
    if current.settings().sign_up == "off":
        return None
    return current.services().invitations.find(current.tx(), current.now(), token)


def _has_account(invitation: Invitation) -> bool:
    return current.services().users.find_by_login(current.tx(), invitation.email) is not None


def _account_exists(invitation: Invitation) -> Response:
    return render("invitation/exists.html", status=400, has_form=False, email=invitation.email)


def _page(problems: forms.Problems, invitation: Invitation, form: AccountForm) -> Response:
    known = current.signed_in()
    return render(
        "invitation/form.html",
        status=400 if problems else 200,
        problems=problems,
        form=form,
        invitation=invitation,
        passkey=passkey_forms.to_make_account(form.username),
        present=None if known is None else known.user,
    )
