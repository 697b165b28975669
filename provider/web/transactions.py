"""One transaction around each page: committed below status 500, rolled back otherwise."""

from __future__ import annotations

import logging
from collections.abc import Callable

from flask import Flask, g
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from database.faults import DATABASE_ERRORS
from database.patience import Patience
from database.transaction import Transaction
from provider.doors.transactions import DATABASE_TRIES, may_be_repeated, pause_before_retry

log = logging.getLogger("mcp_core.web")
_LOOKED_UP = ("signed_in", "waiting")


def surround(
    app: Flask, begin: Callable[[Patience], Transaction], dispatch: Callable[[], ResponseReturnValue]
) -> ResponseReturnValue:
    """Runs a view to its commit.

    A deadlock, a lost connection or a commit that the server refused repeats the view, since nothing outside has seen it
    yet. A commit of which nobody knows whether it happened is never repeated.
    """
    patience = Patience()
    for attempt in range(1, DATABASE_TRIES + 1):
        g.tx = begin(patience)
        try:
            return _ended(g.tx, app, dispatch)
        except DATABASE_ERRORS as error:
            g.tx.abandon()
            if not may_be_repeated(error, attempt, patience):
                raise
            log.info("a page is tried again after %s [%s]", type(error).__name__, g.origin.request_id)
            for name in _LOOKED_UP:
                g.pop(name, None)
            pause_before_retry(attempt)
        except BaseException:
            g.tx.abandon()
            raise
    raise AssertionError("the last attempt returns or raises")


def _ended(tx: Transaction, app: Flask, dispatch: Callable[[], ResponseReturnValue]) -> ResponseReturnValue:
    try:
        response = app.make_response(dispatch())
    except HTTPException as refusal:
        _end(tx, refusal.code or 500)
        raise
    _end(tx, response.status_code)
    return response


def _end(tx: Transaction, status: int) -> None:
    if status < 500:
        tx.commit()
    else:
        tx.rollback()
