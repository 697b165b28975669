"""Error pages: a plain sentence, something to do, a reference. Never a trace, and never a question to the database."""

from __future__ import annotations

import logging
import math

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from database.faults import DATABASE_ERRORS, is_database_fault
from provider.sign_in.hashing import PATIENCE_SECONDS, HashingBusy
from provider.web import addresses, current
from provider.web.forms import CookiesMissing, ForgedForm
from provider.web.rendering import render

log = logging.getLogger("mcp_core.web")
_WITH_OWN_TEXT = (400, 403, 404, 405, 413, 429, 503)
_ENDS = ("confirm-link", "invitation", "no-sign-up")
_TO_OPEN_AGAIN = ("forged", "cookies", 413, 429, 500, 503)


def install(app: Flask) -> None:
    app.register_error_handler(HTTPException, _refused)
    for kind in DATABASE_ERRORS:
        app.register_error_handler(kind, _database_failed)
    app.register_error_handler(HashingBusy, _busy)
    app.register_error_handler(Exception, _failed)


def show(status: int, kind: str = "") -> Response:
    """The page for ``status``. ``kind`` picks a text of its own: ``forged``, ``cookies``, ``busy``, ``setup-link``,
    ``letter-link``, ``confirm-link``, ``invitation``, ``no-sign-up``.

    Whoever was on the way to something gets the same page again, with all that says where to.
    """
    shown = kind or (status if status in _WITH_OWN_TEXT else (400 if status < 500 else 500))
    opens_again = shown not in _ENDS and (shown in _TO_OPEN_AGAIN or addresses.leads_on())
    return render(
        "errors/error.html",
        status=status,
        has_form=False,
        leads_away="request" in request.args,
        shown=shown,
        onward=addresses.this_page() if opens_again else addresses.ACCOUNT,
        reference=current.origin().request_id,
    )


def _refused(error: HTTPException) -> Response:
    if isinstance(error.response, Response):  # an answer that a view aborted with
        return error.response
    status = error.code or 500
    kind = "cookies" if isinstance(error, CookiesMissing) else "forged" if isinstance(error, ForgedForm) else ""
    response = show(status, kind)
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


def _database_failed(error: Exception) -> Response:
    if not is_database_fault(error):
        return _failed(error)
    log.error("the database does not answer: %s [%s]", type(error).__name__, current.origin().request_id)
    response = show(503)
    response.headers["Retry-After"] = "5"
    return response


def _busy(_error: HashingBusy) -> Response:
    response = show(503)
    response.headers["Retry-After"] = str(math.ceil(PATIENCE_SECONDS))
    return response


def _failed(error: Exception) -> Response:
    log.error("a page failed [%s]", current.origin().request_id, exc_info=error)
    return show(500)
