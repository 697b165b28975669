"""Sends the notices of the outbox (OpenID Connect Back-Channel Logout §2.5): one thread of a server process, idle mostly.

Several processes may do so on one database. A notice is claimed for as long as an attempt may take; one that a process
took with it when it died is sent by whoever comes next. An application may get a notice twice, with another ``jti``.
"""

from __future__ import annotations

import atexit
import datetime
import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy import Engine

from database.faults import DATABASE_ERRORS
from database.transaction import Transaction
from provider.clients.registry import Clients
from provider.clients.standing import requester_of
from provider.deliveries.logout_notices import LogoutNotices, Notice
from provider.protocol.client import OPERATORS, Client
from provider.protocol.redirect_uris import is_loopback
from provider.security.exchange import FetchFailed
from provider.security.outbound import Outbound
from provider.tokens.issuer import TokenIssuer

log = logging.getLogger("mcp_core.logout")
POLL_SECONDS = 5.0
# By whether somebody vouches for the application. Slow ones hold up no more than this many others of their kind, and of
# those that anybody can register, none that somebody vouches for.
SENDERS = {True: 4, False: 2}
STOP_SECONDS = 6.0
_DELIVERED = (200, 204)
_REFUSED = 400


class LogoutDelivery:
    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], datetime.datetime],
        notices: LogoutNotices,
        clients: Clients,
        issuer: TokenIssuer,
        outbound: Outbound,
        *,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._notices = notices
        self._clients = clients
        self._issuer = issuer
        self._outbound = outbound
        self._poll_seconds = poll_seconds
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._senders: dict[bool, dict[str, threading.Thread]] = {True: {}, False: {}}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_cut_off = False

    def start(self) -> None:
        """Sends what is due, from now to ``stop`` or the end of the process."""
        self._notices.listen(self._wake.set)
        self._thread = threading.Thread(target=self._run, name="logout notices", daemon=True)
        self._thread.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Begins nothing more, and waits a moment for what is being sent. What isn't finished stays in the outbox."""
        atexit.unregister(self.stop)
        self._stopping.set()
        self._wake.set()
        deadline = time.monotonic() + STOP_SECONDS
        with self._lock:
            running = [self._thread, *(thread for senders in self._senders.values() for thread in senders.values())]
        for thread in running:
            if thread is not None:
                thread.join(max(0.0, deadline - time.monotonic()))

    def attempt(self, notice: Notice) -> None:
        """Sends one claimed notice once and notes what came of it."""
        try:
            problem, for_good = self._send(notice)
        except FetchFailed as error:
            problem, for_good = str(error), False
        except Exception as error:  # one notice that can't be sent must not keep back the others
            log.exception("a logout notice cannot be sent [%s]", notice.id)
            problem, for_good = type(error).__name__, False
        try:
            with Transaction(self._engine) as tx:
                self._note(tx, notice, problem, for_good=for_good)
        except DATABASE_ERRORS as error:  # the notice is sent again when the claim runs out
            log.error("a logout notice cannot be ticked off: %s [%s]", type(error).__name__, notice.id)
            return
        if problem is not None:
            log.warning("a logout notice failed, attempt %d: %s [%s]", notice.attempts, problem, notice.id)

    def _send(self, notice: Notice) -> tuple[str | None, bool]:
        """What went wrong, None if nothing did, and whether that is final. No transaction is open while it is sent."""
        now = self._clock()
        with Transaction(self._engine) as tx:
            client = self._clients.get_by_row(tx, notice.client_row_id)
            if client is None or not client.is_usable(now):
                return "the client is not in use any more", True
            token = self._issuer.logout_token(tx, client, subject=notice.subject, session_id=notice.session_id, now=now)
        standing = requester_of(client, "").standing
        status = self._outbound.post_form(
            notice.uri, {"logout_token": token}, standing, is_here=_is_here(client, notice.uri)
        )
        if status in _DELIVERED:
            return None, False
        return f"status {status}", status == _REFUSED

    def _note(self, tx: Transaction, notice: Notice, problem: str | None, *, for_good: bool) -> None:
        if problem is None:
            self._notices.delivered(tx, self._clock(), notice)
        else:
            self._notices.failed(tx, self._clock(), notice, problem, for_good=for_good)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            if not sum(self._begin_due(is_vouched) for is_vouched in SENDERS):
                self._wake.wait(self._poll_seconds)

    def _begin_due(self, is_vouched: bool) -> int:
        """Starts a sender for each notice that can be claimed now. Returns how many."""
        with self._lock:
            busy = list(self._senders[is_vouched])
        if len(busy) >= SENDERS[is_vouched]:
            return 0
        try:
            with Transaction(self._engine) as tx:
                notices = self._notices.claim(
                    tx,
                    self._clock(),
                    SENDERS[is_vouched] - len(busy),
                    is_vouched=is_vouched,
                    except_clients=busy,
                )
        except Exception as error:  # whatever it is, it must not end the thread
            if not self._is_cut_off:  # said once, not every few seconds
                log.error("cannot look for logout notices: %s", type(error).__name__)
            self._is_cut_off = True
            return 0
        self._is_cut_off = False
        for notice in notices:
            sender = threading.Thread(
                target=self._attempt_and_go, args=(notice, is_vouched), name="logout notice", daemon=True
            )
            with self._lock:
                self._senders[is_vouched][notice.client_row_id] = sender
            sender.start()
        return len(notices)

    def _attempt_and_go(self, notice: Notice, is_vouched: bool) -> None:
        try:
            self.attempt(notice)
        except Exception:
            log.exception("a logout notice cannot be ticked off [%s]", notice.id)
        finally:
            with self._lock:
                self._senders[is_vouched].pop(notice.client_row_id, None)
            self._wake.set()


def _is_here(client: Client, uri: str) -> bool:
    """Whether an operator registered an address of this machine for it, and has not changed it since."""
    return client.kind == OPERATORS and client.details.backchannel_logout_uri == uri and is_loopback(uri)
