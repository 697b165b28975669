"""For somebody who lost phone and recovery codes: what there is to do, and the links that begin and stop the wait."""

from __future__ import annotations

from flask import Blueprint
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.pages import waiting
from provider.pages.mailed_links import link_over
from provider.sign_in.second_factor_waits import TooManyWaits, WaitOver
from provider.sign_in.wait_ends import end_waits
from provider.web import current, forms
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render, see_other

pages = Blueprint("second_factor_wait", __name__)


@pages.get("/login/lost")
def show_lost() -> Response:
    """Between password and second step: the password was right."""
    waiting.find()
    step = current.cookie("step")
    user = current.services().login.find_step(current.tx(), current.now(), step) if step else None
    if user is None:
        return see_other(waiting.passed_on("/login"), notice="step-expired")
    waits = current.services().second_factor_waits
    return render(
        "second_factor_wait/lost.html",
        leads_away=bool(waiting.handle()),
        days=waits.days,
        wait=waits.running(current.tx(), current.now(), user.id),
        user=user,
        onward=waiting.passed_on("/login/code"),
    )


@pages.post("/login/lost")
@forms.or_the_page(show_lost)
def ask() -> Response:
    waiting.find()
    services, tx, step = current.services(), current.tx(), current.cookie("step")
    user = services.login.find_step(tx, current.now(), step) if step else None
    if user is None:
        return see_other(waiting.passed_on("/login"), notice="step-expired")
    try:
        services.second_factor_waits.ask(tx, current.origin(), user)
    except TooManyWaits:
        return see_other(waiting.passed_on("/login/code"), notice="wait-refused")
    return see_other(waiting.passed_on("/login/code"), notice="wait-asked")


@pages.get("/second-factor-wait/<token>")
def show_begin(token: str) -> Response:
    waits = current.services().second_factor_waits
    user = waits.find_asked(current.tx(), current.now(), token)
    return _over() if user is None else render("second_factor_wait/begin.html", user=user, days=waits.days)


@pages.post("/second-factor-wait/<token>")
def begin(token: str) -> Response:
    services, tx, origin = current.services(), current.tx(), current.origin()
    if forms.text("action") == "stop":
        user = services.second_factor_waits.find_asked(tx, origin.now, token)
        if user is None:
            return _over()
        end_waits(tx, origin, services.audit, user.id, reason="owner_objected")
        return see_other("/login", notice="wait-stopped")
    try:
        services.second_factor_waits.begin(tx, origin, token)
    except WaitOver:
        return _over()
    return see_other("/login", notice="wait-begun")


@pages.get("/second-factor-wait/stop/<token>")
def show_stop(token: str) -> Response:
    wait = current.services().second_factor_waits.find_stoppable(current.tx(), current.now(), token)
    return _over() if wait is None else render("second_factor_wait/stop.html", wait=wait)


@pages.post("/second-factor-wait/stop/<token>")
def stop(token: str) -> Response:
    try:
        current.services().second_factor_waits.stop_by_link(current.tx(), current.origin(), token)
    except WaitOver:
        return _over()
    return see_other("/login", notice="wait-stopped")


@pages.post("/account/second-factor/stop-wait")
@signed_in_only("second-factor")
def stop_signed_in() -> Response:
    services, tx, origin = current.services(), current.tx(), current.origin()
    end_waits(tx, origin, services.audit, here().user.id, reason="owner_objected")
    return see_other("/account", notice="wait-stopped")


def _over() -> Response:
    return link_over(
        _("It was used, it was stopped, or its time is over."), onward="/account", words=_("Go to your account")
    )
