"""One transaction around each page: committed below status 500, rolled back otherwise."""

from __future__ import annotations

import logging
from collections.abc import Callable

from flask import Flask, g
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from database.faults import DATABASE_ERRORS, is_passing_fault
from database.transaction import Transaction
from provider.doors.transactions import DATABASE_TRIES, abandon, pause_before_retry

log = logging.getLogger("mcp_core.web")
_LOOKED_UP = ("signed_in", "waiting")


def surround(
    app: Flask, begin: Callable[[], Transaction], dispatch: Callable[[], ResponseReturnValue]
) -> ResponseReturnValue:
    """Runs a view to its commit.

    A deadlock or a lost connection repeats the view, since nothing outside has seen it yet. A fault of the commit itself
    is never repeated: the work may have been done.
    """
    for attempt in range(1, DATABASE_TRIES + 1):
        g.tx = begin()
        try:
            response = app.make_response(dispatch())
        except HTTPException as refusal:
            _end(g.tx, refusal.code or 500)
            raise
        except DATABASE_ERRORS as error:
            abandon(g.tx)
            if attempt == DATABASE_TRIES or not is_passing_fault(error):
                raise
            log.info("a page is tried again after %s [%s]", type(error).__name__, g.origin.request_id)
            for name in _LOOKED_UP:
                g.pop(name, None)
            pause_before_retry(attempt)
        except BaseException:
            abandon(g.tx)
            raise
        else:
            _end(g.tx, response.status_code)
            return response
    raise AssertionError("the last attempt returns or raises")


def _end(tx: Transaction, status: int) -> None:
    if status < 500:
        tx.commit()
    else:
        tx.rollback()
