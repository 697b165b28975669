"""The one door to other servers: metadata, keys, signed requests, notices of the end of a session, questions to clouds.

A name is resolved once, every address it has must be public, and the connection goes to the address that was checked
(CIMD draft-02 §6.5, RFC 8725 §3.10). Slow and failing servers hold up those who ask them, and nobody else.
"""

from __future__ import annotations

import contextlib
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from provider.security import places
from provider.security.backoff import Backoff
from provider.security.exchange import Exchange, FetchFailed, Unavailable
from provider.security.person_turns import PersonTurns
from provider.security.targets import Resolver, Target, Targets, resolve
from provider.security.turns import FETCH_THREADS, PATIENCE_SECONDS, Requester, Standing, Turns, shares_of

JSON_TYPES = ("application/json",)
HTTP_OK, TOO_MANY_REQUESTS, SERVER_ERROR = 200, 429, 500
# A notice that is not sent counts as one that failed, so this is no longer than the first wait between two attempts.
LONGEST_PAUSE_OF_NOTICES = 5.0
# What one person's questions to one host pause at most: somebody waits on a page for the answer.
LONGEST_PAUSE_OF_QUESTIONS = 15.0
_MAX_AGE = re.compile(r"max-age=([0-9]{1,9})")
Fetch = Callable[[Target, Standing, float, Collection[str], int], "Fetched"]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A successful answer. ``max_age_seconds`` is what its ``Cache-Control`` allows, None when it says nothing."""

    body: bytes
    content_type: str
    max_age_seconds: int | None

    def json(self) -> Any:
        """Raises ``FetchFailed``."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise FetchFailed("the answer is not JSON") from None


@dataclass(frozen=True, slots=True)
class Answered:
    """Whatever a server answered to a question, read completely. Its text is a stranger's."""

    status: int
    body: bytes


class Turn:
    """One requester's time with another server. Whatever is fetched in it is over at one ``deadline``."""

    def __init__(
        self, document: str, standing: Standing, targets: Targets, pauses: Backoff, fetch: Fetch, deadline: float
    ) -> None:
        self._document = document
        self._standing = standing
        self._targets = targets
        self._pauses = pauses
        self._fetch = fetch
        self._deadline = deadline

    def get(self, url: str, content_types: Collection[str], *, max_bytes: int) -> Fetched:
        """The body at ``url``: status 200 and one of ``content_types``. Raises ``FetchFailed``, ``Unavailable``."""
        target = self._targets.parse(url, self._standing)
        document, *hosts = _names(url, target, self._standing, content_types)
        self._pauses.begin(document, *hosts)
        try:
            fetched = self._fetch(target, self._standing, self._deadline, content_types, max_bytes)
        except FetchFailed as error:
            self._pauses.failed(document)
            (self._pauses.failed if isinstance(error, Unavailable) else self._pauses.succeeded)(*hosts)
            raise
        self._pauses.succeeded(document, *hosts)
        return fetched

    def get_json(self, url: str, *, max_bytes: int) -> Any:
        """The JSON value at ``url``. Raises ``FetchFailed``, ``Unavailable``."""
        return self.get(url, JSON_TYPES, max_bytes=max_bytes).json()

    def reject(self) -> None:
        """The document that the turn is for is of no use, or what it names: it is not asked for again at once."""
        self._pauses.failed(self._document)


def _names(url: str, target: Target, standing: Standing, content_types: Collection[str]) -> list[str]:
    """What pauses when ``url`` fails: a document as what it is wanted for, and new ones with their host as well.

    So nobody can make a known one pause by asking for others of its host, or for it as something else.
    """
    document = f"{standing.value} {' '.join(content_types)} {url}"
    return [document, target.authority] if standing is Standing.NEW else [document]


class Outbound:
    """HTTPS to the public internet, and to what operators trust: ``allowed_hosts`` and ``open_hosts`` of ``Targets``.

    Follows no redirect, asks no proxy, sends no credentials and no cookies. ``timeout_seconds`` bounds everything from the
    name's resolution to the last byte; ``max_bytes`` the body. ``ca_file`` adds authorities to those of the system.
    ``threads`` of those that answer requests may wait for other servers, and those that find no turn for
    ``patience_seconds``, for vouched clients three times as long; ``clock`` measures the pauses after failures.
    """

    def __init__(
        self,
        *,
        allowed_hosts: Collection[str] = (),
        open_hosts: Collection[str] = (),
        ca_file: Path | None = None,
        timeout_seconds: float = 5,
        resolver: Resolver = resolve,
        threads: int = FETCH_THREADS,
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._targets = Targets(allowed_hosts, open_hosts, resolver)
        self._ca_file = ca_file
        self._timeout = timeout_seconds
        self._turns = Turns(shares_of(threads, patience_seconds))
        self._pauses = Backoff(clock=clock)
        self._pauses_of_notices = Backoff(longest_seconds=LONGEST_PAUSE_OF_NOTICES, clock=clock)
        self._person_turns = PersonTurns(max(2, threads // 4), patience_seconds)
        self._pauses_of_questions = Backoff(longest_seconds=LONGEST_PAUSE_OF_QUESTIONS, clock=clock)
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def turn(
        self, url: str, requester: Requester, content_types: Collection[str], *, is_patient: bool = True
    ) -> Iterator[Turn]:
        """To fetch ``url``, and what its document names. Raises ``FetchFailed``; ``TooBusy`` also while ``url`` pauses.

        Who waits for one document waits for its host's one turn, and can see before asking whether it is there by then.
        Who is not ``is_patient`` has something that will do, and does not wait.
        """
        target = self._targets.parse(url, requester.standing)
        with places.lent(), self._turns.take(requester, target.authority, is_patient=is_patient):
            document, *hosts = _names(url, target, requester.standing, content_types)
            self._pauses.check(document, *hosts)
            deadline = time.monotonic() + self._timeout
            yield Turn(document, requester.standing, self._targets, self._pauses, self._get, deadline)

    def get(self, url: str, requester: Requester, content_types: Collection[str], *, max_bytes: int) -> Fetched:
        """The body at ``url``: status 200 and one of ``content_types``. Raises ``FetchFailed``, ``Unavailable``."""
        with self.turn(url, requester, content_types) as turn:
            return turn.get(url, content_types, max_bytes=max_bytes)

    def get_json(self, url: str, requester: Requester, *, max_bytes: int) -> Any:
        """The JSON value at ``url``. Raises ``FetchFailed``, ``Unavailable``."""
        with self.turn(url, requester, JSON_TYPES) as turn:
            return turn.get_json(url, max_bytes=max_bytes)

    def post_form(self, url: str, fields: Mapping[str, str], standing: Standing, *, is_here: bool = False) -> int:
        """Sends a form and returns the status of the answer, whose body is not read. Raises ``FetchFailed``, ``TooBusy``.

        Needs no turn: who sends notices has threads of its own. ``is_here``: an operator registered an http address of this
        machine, and nothing but such a one will do.
        """
        target = self._targets.parse_here(url) if is_here else self._targets.parse(url, standing)
        # A stranger can register as many applications on one slow host as he likes.
        names = [url] if standing is Standing.VOUCHED else [url, f"{standing.value} {target.authority}"]
        self._pauses_of_notices.begin(*names)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            deadline = time.monotonic() + self._timeout
            with self._exchange("POST", target, standing, deadline, headers, urlencode(fields).encode()) as exchange:
                status = exchange.response.status
        except FetchFailed:
            self._pauses_of_notices.failed(*names)
            raise
        self._pauses_of_notices.succeeded(*names)
        return status

    def ask(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        person: str,
        deadline: float,
        max_bytes: int,
    ) -> Answered:
        """Posts ``body`` for a person who has signed in, and returns the answer whatever its status is; a redirect is one.

        A host that gives no answer pauses for this person alone. ``deadline`` is a value of ``time.monotonic``. Raises
        ``FetchFailed``, ``Unavailable``, ``TooBusy``.
        """
        target = self._targets.parse(url, Standing.VOUCHED)
        name = f"{person} {target.authority}"
        with places.lent(), self._person_turns.take(person, target.authority):
            self._pauses_of_questions.begin(name)
            try:
                with self._exchange("POST", target, Standing.VOUCHED, deadline, headers, body) as exchange:
                    if exchange.response.headers.get("Content-Encoding", "identity") != "identity":
                        raise FetchFailed("the answer is compressed")
                    answered = Answered(exchange.response.status, exchange.read(max_bytes))
            except FetchFailed:
                self._pauses_of_questions.failed(name)
                raise
            self._pauses_of_questions.succeeded(name)
            return answered

    def _get(
        self, target: Target, standing: Standing, deadline: float, content_types: Collection[str], max_bytes: int
    ) -> Fetched:
        accept = {"Accept": ", ".join(content_types)}
        with self._exchange("GET", target, standing, deadline, accept) as exchange:
            response = exchange.response
            if response.status == TOO_MANY_REQUESTS or response.status >= SERVER_ERROR:
                raise Unavailable(f"status {response.status}")
            if response.status != HTTP_OK:
                raise FetchFailed(f"status {response.status}")
            content_type = response.headers.get_content_type()
            if content_type not in content_types:
                raise FetchFailed("the answer has another content type")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise FetchFailed("the answer is compressed")
            found = _MAX_AGE.search(response.headers.get("Cache-Control", ""))
            is_kept = "no-store" not in response.headers.get("Cache-Control", "")
            age = 0 if not is_kept else int(found[1]) if found else None
            return Fetched(exchange.read(max_bytes), content_type, age)

    def _exchange(
        self,
        method: str,
        target: Target,
        standing: Standing,
        deadline: float,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> Exchange:
        addresses = self._targets.addresses(target, standing, deadline)
        context = None if target.is_here else self._tls()
        exchange = Exchange(addresses, target.host, target.port, context, deadline)
        return exchange.begin(method, target.path, body, headers)

    def _tls(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                context = ssl.create_default_context()
                context.minimum_version = ssl.TLSVersion.TLSv1_2
                if self._ca_file is not None:
                    context.load_verify_locations(cafile=str(self._ca_file))
                self._context = context
            return self._context
