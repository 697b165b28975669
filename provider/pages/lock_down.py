"""The panic button: from a letter that says "This wasn't me", signed out as well, and from the account's own pages."""

from __future__ import annotations

from flask import Blueprint
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.accounts.alerts import Alert
from provider.accounts.mailed_links import LinkOver
from provider.security.crypto import is_secret
from provider.web import cookies, current, error_pages
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render, see_other

pages = Blueprint("lock_down", __name__)
_DONE = "/locked-down"
_OVER = "letter-link"


@pages.get("/not-me/<token>")
def show_link(token: str) -> Response:
    """What the button would do. Looking changes nothing: scanners of mailboxes open every link."""
    services, tx = current.services(), current.tx()
    link = services.alerts.find(tx, current.now(), token) if is_secret("alert", token) else None
    user = None if link is None else services.users.find(tx, link["user_id"])
    if link is None or user is None:
        return error_pages.show(404, _OVER)
    return render("lock_down/link.html", about=_about(link["alert"]), at=link["created_at"], username=user.username)


@pages.post("/not-me/<token>")
def use_link(token: str) -> Response:
    services, tx = current.services(), current.tx()
    try:
        link = services.alerts.use(tx, current.now(), token)
    except LinkOver:
        return error_pages.show(404, _OVER)
    user = services.users.find(tx, link["user_id"])
    if user is not None:
        services.lock_down.lock_down(tx, current.origin(), user)
    return see_other(_DONE)


@pages.get(_DONE)
def show_done() -> Response:
    return render("lock_down/done.html", has_form=False)


@pages.get("/account/lock-down")
@signed_in_only("lock-down")
def ask() -> Response:
    """No fresh sign-in is asked for: whoever is in a hurry here is the owner, and a thief would shut out himself."""
    return render("lock_down/ask.html", user=here().user)


@pages.post("/account/lock-down")
@signed_in_only("lock-down")
def lock_down() -> Response:
    current.services().lock_down.lock_down(current.tx(), current.origin(), here().user)
    response = see_other(_DONE)
    cookies.delete_cookie(response, "session")
    return response


def _about(alert: str) -> str:
    """What the letter with this link was about. A kind without words of its own is told of as any change."""
    sentences = {
        Alert.PASSWORD_CHANGED: _("Your password was changed"),
        Alert.PASSWORD_RESET: _("Your password was reset"),
        Alert.USERNAME_CHANGED: _("Your user name was changed"),
        Alert.PASSKEY_ADDED: _("A passkey was added to your account"),
        Alert.PASSKEY_REMOVED: _("A passkey was removed from your account"),
        Alert.PASSKEY_SUSPECTED: _("One of your passkeys may have been copied"),
        Alert.SECOND_FACTOR_LOST: _("Your second step is gone"),
        Alert.NEW_DEVICE: _("New sign-in to your account"),
        Alert.SECOND_FACTOR_ON: _("Two-step sign-in was turned on"),
        Alert.SECOND_FACTOR_OFF: _("Two-step sign-in was turned off"),
        Alert.RECOVERY_CODE_USED: _("A recovery code was used"),
        Alert.WRONG_CODES: _("Wrong codes behind your right password"),
        Alert.API_KEY_MADE: _("An API key was made"),
        Alert.OFFLINE_APP: _("An app keeps access to your account"),
        Alert.TOKEN_REPLAYED: _("An app's access was ended for safety"),
        Alert.ACCOUNT_CLOSED: _("Your account is closed"),
        Alert.ERASED_SOON: _("Your closed account is erased tomorrow"),
        Alert.MADE_ADMINISTRATOR: _("You are an administrator now"),
    }
    return str(
        {kind.value: said for kind, said in sentences.items()}.get(alert, _("Something changed in your account"))
    )
