"""The account's password: changed by somebody who has just proved who they are, or set where there is none."""

from __future__ import annotations

from flask import Blueprint
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.pages.refusals import throttled
from provider.pages.words import weak_password
from provider.sign_in.attempts import Throttled
from provider.sign_in.login import WrongCredentials
from provider.sign_in.new_passwords import How, PasswordIsAnother
from provider.sign_in.passwords import WeakPassword
from provider.web import cookies, current, forms
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render, see_other

pages = Blueprint("password", __name__)
PAGE = "/account/password"


@pages.get("/.well-known/change-password")
def where_managers_look() -> Response:
    """Password managers open this address to change what they keep (W3C, A Well-Known URL for Changing Passwords)."""
    return see_other(PAGE)


@pages.get(PAGE)
@signed_in_only("password", recently=True)
def show() -> Response:
    return _page(forms.Problems())


@pages.post(PAGE)
@signed_in_only("password", recently=True)
def change() -> Response:
    """The recent sign-in has proved every factor; the present password is asked for besides (ASVS 5.0, 6.2.3)."""
    known, services, tx, origin = here(), current.services(), current.tx(), current.origin()
    user = known.user
    present, password = forms.secret("present"), forms.secret("password")
    problems = forms.Problems()
    if user.password_hash and not present:
        problems.add("present", _("Enter your present password."))
    if not password:
        problems.add("password", _("Choose a password."))
    if problems:
        return _page(problems)
    try:
        if user.password_hash:
            device = services.login.device_token(user)
            user = services.login.check_password(tx, origin, user.username, present, device=device)
            if user.id != known.user.id:
                raise WrongCredentials
        password_hash = services.new_passwords.prepare(tx, user, password)
        services.new_passwords.change(
            tx,
            origin,
            user,
            password_hash,
            how=How.CHANGED,
            kept_session=known.session.id,
            ends_apps="yes" in forms.all_of("end-apps"),
        )
    except WrongCredentials:
        problems.add("present", _("Wrong password."))
    except WeakPassword as weakness:
        problems.add("password", weak_password(weakness, services.new_passwords.shortest(user)))
    except PasswordIsAnother:
        problems.add("", _("Your password was changed in another window a moment ago. Nothing was done here."))
    except Throttled as refusal:
        return throttled(refusal.until, problems, lambda: _page(problems))
    if problems:
        return _page(problems)
    response = see_other("/account", notice="password-changed")
    cookies.set_cookie(response, "session", services.sessions.rotate(tx, origin, known.session, known.session.amr))
    cookies.keep_device(response, services.login.device_token(services.users.get(tx, user.id)))
    return response


def _page(problems: forms.Problems) -> Response:
    user = here().user
    return render(
        "password/page.html",
        status=400 if problems else 200,
        problems=problems,
        user=user,
        shortest=current.services().new_passwords.shortest(user),
    )
