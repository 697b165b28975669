"""The second step: set up, confirmed, turned off, and its recovery codes.

The same page stands in the account and, where a second step is demanded, between password and everything else.
"""

from __future__ import annotations

import datetime
import io

import segno
from flask import Blueprint
from flask_babel import gettext as _
from markupsafe import Markup
from werkzeug.wrappers import Response

from provider.pages import passkey_forms, waiting
from provider.pages.refusals import codes_not_taken, throttled, wrong_code
from provider.pages.words import noticed
from provider.security.crypto import new_secret
from provider.sign_in.assurance import together
from provider.sign_in.attempts import CodesNotTaken, Throttled
from provider.sign_in.login import WrongCode
from provider.web import cookies, current, forms
from provider.web.guards import here, is_recent, signed_in_only
from provider.web.rendering import render, see_other

pages = Blueprint("second_factor", __name__)
_PAGE = "/account/second-factor"
_CODES_PAGE = "/account/second-factor/recovery-codes"


@pages.get(_PAGE)
@signed_in_only("second-factor")
def show() -> Response:
    return _page(forms.Problems())


@pages.post(_PAGE)
@signed_in_only("second-factor", recently=True)
def change() -> Response:
    action = forms.text("action")
    if action == "begin":
        return _begin(_PAGE)
    if action == "confirm":
        return _confirm()
    if action in ("turn-off", "new-codes"):
        return _with_code(action)
    return see_other(_PAGE)


@pages.get(_CODES_PAGE)
@signed_in_only("second-factor")
def show_recovery_codes() -> Response:
    """The codes that this session has just made, also after a reload; for ten minutes, and in this session only."""
    return _codes_page(forms.Problems())


@pages.post(_CODES_PAGE)
@signed_in_only("second-factor")
def prove_recovery_codes() -> Response:
    """Goes on once one of them has been typed back: who hasn't kept them finds that out here and not without a phone."""
    known, codes, problems = here(), current.services().recovery_codes, forms.Problems()
    typed = forms.text("code", limit=64)
    if not typed:
        problems.add("code", _("Enter one of the codes."))
    elif not codes.prove(current.tx(), current.origin(), known.session, current.cookie("session"), typed):
        problems.add("code", _("That is none of these codes. Look at what you have saved, and type one of them."))
    if problems:
        return _codes_page(problems)
    onward = waiting.passed_on("/signup/address") if known.user.is_unconfirmed else waiting.destination()
    return see_other(onward, notice="" if waiting.handle() else "recovery-codes-kept")


@pages.get("/login/second-factor")
def show_demanded() -> Response:
    refusal = _refuse_undemanded()
    return refusal or _page(forms.Problems(), demanded=True)


@pages.post("/login/second-factor")
def set_up_demanded() -> Response:
    refusal = _refuse_undemanded()
    if refusal is not None:
        return refusal
    if not is_recent():
        return see_other(waiting.passed_on("/login/again"))
    if passkey_forms.answer():
        return _confirm_by_passkey()
    if forms.text("action") == "confirm":
        return _confirm(demanded=True)
    return _begin(waiting.passed_on("/login/second-factor"))


def _codes_page(problems: forms.Problems) -> Response:
    codes = current.services().recovery_codes.shown(
        current.tx(), current.now(), here().session, current.cookie("session")
    )
    if codes is None:
        return see_other(_PAGE)
    return render(
        "second_factor/recovery_codes.html",
        status=400 if problems else 200,
        leads_away=bool(waiting.handle()),
        problems=problems,
        codes=codes,
    )


def _refuse_undemanded() -> Response | None:
    waiting.find()
    known = current.signed_in()
    if known is None:
        return see_other(waiting.passed_on("/login"))
    is_missed = current.services().second_factor_rule.is_missed(current.tx(), known.user)
    return None if is_missed else see_other(waiting.destination())


def _begin(page: str) -> Response:
    """A secret for this session to confirm, the same one when asked again. Nothing is turned on by it."""
    known, totp, tx = here(), current.services().totp, current.tx()
    if not known.user.two_factor_enabled and totp.pending_secret(tx, current.origin(), known.session) is None:
        totp.begin(tx, known.session)
    return see_other(page)


def _confirm(*, demanded: bool = False) -> Response:
    """Turns the second step on once a code from the app has proved that it works, and makes the recovery codes."""
    known, services, tx, origin = here(), current.services(), current.tx(), current.origin()
    if known.user.two_factor_enabled:
        return see_other(waiting.destination())
    problems = forms.Problems()
    code = forms.text("code", limit=64)
    if not code:
        problems.add("code", _("Enter the code."))
    elif not services.totp.confirm(tx, origin, known.session, known.user, code):
        problems.add("code", wrong_code(is_recovery_code=False))
    if problems:
        return _page(problems, demanded=demanded)
    return make_recovery_codes(together(known.session.amr, ("otp", "mfa")))


def _confirm_by_passkey() -> Response:
    """A passkey is as good a second step as codes are."""
    problems = forms.Problems()
    added = passkey_forms.add(problems)
    return _page(problems, demanded=True) if added is None else make_recovery_codes(passkey_forms.amr_with(added))


def _with_code(action: str) -> Response:
    """What needs a recent sign-in and, on top of it, a code."""
    known, services, tx, origin = here(), current.services(), current.tx(), current.origin()
    if not known.user.two_factor_enabled:
        return see_other(_PAGE)
    problems, field = forms.Problems(), f"{action}-code"
    code = forms.text("code", limit=64)
    if not code:
        problems.add(field, _("Enter the code."))
        return _page(problems)
    device = services.login.device_token(known.user)
    try:
        methods, _codes_left = services.login.check_code(tx, origin, known.user, code, device=device)
    except WrongCode:
        problems.add(field, wrong_code(is_recovery_code=False))
        return _page(problems)
    except CodesNotTaken as refusal:
        problems.add(field, codes_not_taken(refusal))
        return _page(problems)
    except Throttled as refusal:
        return throttled(refusal.until, problems, lambda: _page(problems))
    if action == "new-codes":
        return make_recovery_codes(together(known.session.amr, methods))
    if not _can_turn_off():
        return see_other(_PAGE)
    services.totp.disable(tx, origin, known.user.id)
    if services.passkeys.count(tx, known.user.id):  # the codes stand in for these as well
        amr = together(known.session.amr, methods)
    else:
        services.recovery_codes.forget(tx, known.user.id)
        amr = ("pwd",)
    response = see_other(_PAGE, notice="second-factor-off")
    cookies.set_cookie(response, "session", _only_session_left(amr))
    return response


def make_recovery_codes(amr: tuple[str, ...]) -> Response:
    """A new set, made together with the cookie by which the next page can show it. The other sessions end."""
    token = new_secret("session")
    current.services().recovery_codes.generate(current.tx(), current.origin(), here().user.id, token)
    response = see_other(waiting.passed_on(_CODES_PAGE))
    cookies.set_cookie(response, "session", _only_session_left(amr, token))
    return response


def _can_turn_off() -> bool:
    """Whether codes may go: nothing asks for a second factor, or there is another."""
    user = here().user
    is_required = current.settings().second_factor_required(is_admin=user.is_admin)
    return not is_required or current.services().passkeys.count(current.tx(), user.id) > 0


def _only_session_left(amr: tuple[str, ...], token: str | None = None) -> str:
    """Ends the user's other sessions and gives this one a new id, as after every change of how one signs in."""
    known, sessions, tx, origin = here(), current.services().sessions, current.tx(), current.origin()
    sessions.end_all(tx, origin, known.user.id, except_id=known.session.id, reason="second_factor_changed")
    return sessions.rotate(tx, origin, known.session, amr, token)


def _page(problems: forms.Problems, *, demanded: bool = False) -> Response:
    known, services, tx = here(), current.services(), current.tx()
    secret = None
    if not known.user.two_factor_enabled and is_recent():
        secret = services.totp.pending_secret(tx, current.origin(), known.session)
    return render(
        "second_factor/page.html",
        status=400 if problems else 200,
        leads_away=demanded and bool(waiting.handle()),
        problems=problems,
        user=known.user,
        demanded=demanded,
        due=_end_of_grace() if demanded else None,
        onward=waiting.destination(),
        can_turn_off=_can_turn_off(),
        has_passkeys=services.passkeys.count(tx, known.user.id) > 0,
        codes_left=services.recovery_codes.count(tx, known.user.id) if known.user.two_factor_enabled else 0,
        secret=_grouped(secret) if secret else None,
        qr_code=_qr_code(services.totp.provisioning_uri(secret, known.user, _service_name())) if secret else None,
        with_welcome=noticed() == "welcome",
        options=passkey_forms.to_add(known.user) if demanded and secret is None and is_recent() else None,
        name=passkey_forms.name_to_begin_with(),
    )


def _end_of_grace() -> datetime.datetime | None:
    """Until when the person at hand may go on without a second step, None where they may not."""
    user, rule = here().user, current.services().second_factor_rule
    return None if rule.must_enrol(current.tx(), user, current.now()) else rule.due(user)


def _service_name() -> str:
    return current.settings().service_name


def _grouped(secret: str) -> str:
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))


def _qr_code(uri: str) -> Markup:
    """Inline SVG, so that the secret is in no address and no cache. Its paths are colourless: the style sheet decides."""
    drawn = io.BytesIO()
    segno.make(uri, error="m", micro=False).save(
        drawn,
        kind="svg",
        xmldecl=False,
        svgns=True,
        border=3,
        omitsize=True,
        svgclass="qr-code",
        lineclass="modules",
        dark="#000",
    )
    return Markup(drawn.getvalue().decode())  # noqa: S704 - drawn by segno from modules, holds no text
