"""Passkeys of an account: seen, added, named, removed."""

from __future__ import annotations

from flask import Blueprint
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.pages import passkey_forms
from provider.pages.second_factor import make_recovery_codes
from provider.sign_in.passkeys import MAX_PASSKEYS, InvalidPasskeyName, LastPasskey, Passkey
from provider.sign_in.second_factors import has_second_factor
from provider.web import cookies, current, error_pages, forms
from provider.web.guards import here, is_recent, signed_in_only
from provider.web.rendering import render, see_other

pages = Blueprint("passkeys", __name__)
_PAGE = "/account/passkeys"


@pages.get(_PAGE)
@signed_in_only("passkeys")
def show() -> Response:
    return _list(forms.Problems())


@pages.post(_PAGE)
@signed_in_only("passkeys", recently=True)
def change() -> Response:
    if forms.text("action") == "new-codes":
        return _make_new_codes()
    return _add() if passkey_forms.answer() else see_other(_PAGE)


@pages.get(f"{_PAGE}/<passkey_id>")
@signed_in_only("passkeys")
def show_one(passkey_id: str) -> Response:
    passkey = _own(passkey_id)
    return error_pages.show(404) if passkey is None else _one(passkey, forms.Problems())


@pages.post(f"{_PAGE}/<passkey_id>")
@signed_in_only("passkeys", recently=True)
def change_one(passkey_id: str) -> Response:
    passkey = _own(passkey_id)
    if passkey is None:
        return error_pages.show(404)
    action = forms.text("action")
    if action == "rename":
        return _rename(passkey)
    return _remove(passkey) if action == "remove" else see_other(f"{_PAGE}/{passkey.id}")


def _add() -> Response:
    """Keeps the new passkey. The first second factor of an account comes with recovery codes, as every other does."""
    known = here()
    had_second_factor = has_second_factor(current.tx(), known.user)
    problems = forms.Problems()
    added = passkey_forms.add(problems)
    if added is None:
        return _list(problems)
    if had_second_factor:
        return see_other(_PAGE, notice="passkey-added")
    return make_recovery_codes(passkey_forms.amr_with(added))


def _make_new_codes() -> Response:
    """For who has no code of an app to prove it by: a fresh look at who they are has been enough to come here."""
    known = here()
    if known.user.two_factor_enabled or not has_second_factor(current.tx(), known.user):
        return see_other("/account/second-factor")
    return make_recovery_codes(known.session.amr)


def _rename(passkey: Passkey) -> Response:
    known, problems = here(), forms.Problems()
    try:
        current.services().passkeys.rename(
            current.tx(), current.origin(), known.user.id, passkey.id, forms.text("name", limit=255)
        )
    except InvalidPasskeyName:
        problems.add("name", passkey_forms.wrong_name())
        return _one(passkey, problems)
    return see_other(_PAGE, notice="passkey-renamed")


def _remove(passkey: Passkey) -> Response:
    """Takes it away and signs out the other devices: one of them may be what it was kept on."""
    known, services, tx, origin = here(), current.services(), current.tx(), current.origin()
    try:
        services.passkeys.remove(tx, origin, known.user, passkey.id, needs_another_factor=_needs_second_factor())
    except LastPasskey:
        problems = forms.Problems()
        problems.add("", _why_it_stays())
        return _one(passkey, problems)
    if not has_second_factor(tx, known.user):
        services.recovery_codes.forget(tx, known.user.id)
    services.sessions.end_all(tx, origin, known.user.id, except_id=known.session.id, reason="second_factor_changed")
    response = see_other(_PAGE, notice="passkey-removed")
    cookies.set_cookie(response, "session", services.sessions.rotate(tx, origin, known.session, known.session.amr))
    return response


def _own(passkey_id: str) -> Passkey | None:
    return current.services().passkeys.find(current.tx(), here().user.id, passkey_id)


def _needs_second_factor() -> bool:
    return current.settings().second_factor_required(is_admin=here().user.is_admin)


def _why_it_stays() -> str:
    if here().user.password_hash is None:
        return str(_("This is the only way into your account, which has no password. Add another passkey first."))
    return str(_("Your account needs a second step. Add another passkey or an authenticator app first."))


def _list(problems: forms.Problems) -> Response:
    known, services, tx = here(), current.services(), current.tx()
    passkeys = services.passkeys.list(tx, known.user.id)
    can_add = is_recent() and len(passkeys) < MAX_PASSKEYS
    counts_codes = passkeys and not known.user.two_factor_enabled
    return render(
        "passkeys/list.html",
        status=400 if problems else 200,
        problems=problems,
        user=known.user,
        passkeys=passkeys,
        is_offered=services.passkey_enrolments.is_offered,
        is_full=len(passkeys) >= MAX_PASSKEYS,
        too_many=passkey_forms.too_many(),
        options=passkey_forms.to_add(known.user) if can_add else None,
        name=passkey_forms.name_to_begin_with(),
        codes_left=services.recovery_codes.count(tx, known.user.id) if counts_codes else None,
    )


def _one(passkey: Passkey, problems: forms.Problems) -> Response:
    return render(
        "passkeys/one.html",
        status=400 if problems else 200,
        problems=problems,
        user=here().user,
        passkey=passkey,
        name=forms.text("name", limit=255) or passkey.name,
    )
