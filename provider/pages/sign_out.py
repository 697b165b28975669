"""Signing out of this server, on this device."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, request
from werkzeug.wrappers import Response

from provider.authorization.logout_answers import LogoutAnswers
from provider.web import cookies, current
from provider.web.rendering import render, see_other, send

pages = Blueprint("sign_out", __name__)
# What an application that asked for the sign-out adds, with the proof that it was checked: ``LogoutAnswers.ask``.
_TARGET = ("post_logout_redirect_uri", "state", "proof")


@pages.get("/sign-out")
def confirm() -> Response:
    known = current.signed_in()
    if known is None:
        return see_other("/login")
    given = {name: request.args.get(name, "") for name in _TARGET}
    fields = given if _target(known.session.id, given) else {}
    return render("sign_out/confirm.html", user=known.user, fields=fields, leads_away=bool(fields))


@pages.post("/sign-out")
def sign_out() -> Response:
    """Ends the session and clears what this origin stored. Then on to the application that asked, if one did.

    ``Clear-Site-Data: "cookies"`` would take the cookies of every application under the same registrable domain with it;
    our own cookies are therefore removed one by one.
    """
    known = current.signed_in()
    answers = LogoutAnswers(current.services())
    session_id = target = None
    if known is not None:
        session_id = known.session.id
        sessions = current.services().sessions
        sessions.end(current.tx(), current.origin(), session_id, user_id=known.user.id, reason="sign_out")
        target = _target(session_id, request.form)
    response = send(answers.signed_out(current.tx(), current.now(), session_id, target))
    for name in ("session", "step", "browser"):
        cookies.delete_cookie(response, name)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


def _target(session_id: str, fields: Mapping[str, str]) -> str | None:
    uri, state, proof = (fields.get(name, "") for name in _TARGET)
    return LogoutAnswers(current.services()).confirmed_target(session_id, uri, state, proof)
