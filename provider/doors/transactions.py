"""One transaction around each call of an endpoint: committed below status 500, repeated when the database hiccups."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable

from sqlalchemy import Engine

from database.faults import DATABASE_ERRORS, is_database_fault, is_passing_fault
from database.patience import LOCK_WAIT_SECONDS, Patience
from database.transaction import Transaction
from provider.protocol.errors import OAuthError
from provider.protocol.messages import ProtocolResponse

log = logging.getLogger("mcp_core.doors")

DATABASE_TRIES = 3


def run_in_transaction(
    engine: Engine, call: Callable[[Transaction], ProtocolResponse], request_id: str
) -> ProtocolResponse:
    """Runs ``call`` to its commit, repeating it on a passing database fault and answering 503 or 500 otherwise."""
    patience = Patience()
    for attempt in range(1, DATABASE_TRIES + 1):
        tx = Transaction(engine, patience)
        try:
            return _ended(tx, call(tx))
        except DATABASE_ERRORS as error:
            tx.abandon()
            if not is_database_fault(error):
                log.exception("a statement failed [%s]", request_id)
                break
            if not may_be_repeated(error, attempt, patience):
                log.error("the database does not answer: %s [%s]", type(error).__name__, request_id)
                return unavailable()
            pause_before_retry(attempt)
        except Exception:
            tx.abandon()
            log.exception("an endpoint failed [%s]", request_id)
            break
    return ProtocolResponse.json({"error": "server_error", "error_description": f"Reference {request_id}"}, 500)


def _ended(tx: Transaction, response: ProtocolResponse) -> ProtocolResponse:
    if response.status < 500:
        tx.commit()
    else:
        tx.rollback()
    return response


def may_be_repeated(error: Exception, attempt: int, patience: Patience) -> bool:
    """Whether a call that ended with this fault may be tried again: it passes, and there is time to wait for a lock again.

    Never when a COMMIT may have happened (``CommitUnknown``).
    """
    return is_passing_fault(error) and attempt < DATABASE_TRIES and patience.left >= LOCK_WAIT_SECONDS


def pause_before_retry(attempt: int) -> None:
    """A short wait that differs from one caller to the next, so that two in each other's way part."""
    time.sleep(attempt * (10 + secrets.randbelow(40)) / 1000)


def unavailable() -> ProtocolResponse:
    error = OAuthError.temporarily_unavailable()
    return ProtocolResponse.json(error.body(), error.status, error.headers)
