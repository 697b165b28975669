"""Signing out of this server, on this device."""

from __future__ import annotations

from flask import Blueprint
from werkzeug.wrappers import Response

from provider.web import cookies, current
from provider.web.rendering import render, see_other

pages = Blueprint("sign_out", __name__)


@pages.get("/sign-out")
def confirm() -> Response:
    known = current.signed_in()
    if known is None:
        return see_other("/login")
    return render("sign_out/confirm.html", user=known.user)


@pages.post("/sign-out")
def sign_out() -> Response:
    """Ends the session and clears what this origin stored.

    ``Clear-Site-Data: "cookies"`` would take the cookies of every application under the same registrable domain with it;
    our own cookies are therefore removed one by one.
    """
    known = current.signed_in()
    if known is not None:
        sessions = current.services().sessions
        sessions.end(current.tx(), current.origin(), known.session.id, user_id=known.user.id, reason="sign_out")
    response = see_other("/login?notice=signed-out")
    for name in ("session", "step", "browser"):
        cookies.delete_cookie(response, name)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response
