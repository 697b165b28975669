"""What is done for a name that somebody has and for one that nobody has: the same statements, of the same kinds, in the
same order, with the same ends of transactions. So the time of an answer can tell neither.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Engine, event

from database.transaction import Transaction
from provider.sign_in.attempts import PASSWORD_PER_ACCOUNT
from provider.sign_in.consecutive_failures import MOST, Way
from provider.sign_in.failures_of_nobody import FailuresOfNobody
from tests.pages.conftest import SiteFactory
from tests.pages.site import PASSWORD, Site, Visitor, close

OPEN = {"sign_up": "open", "trusted_proxy_count": 1}
NOBODYS = ["nobody", "nobody@example.com", "-nobody-", "n@b@dy"]


@contextlib.contextmanager
def work_of(engine: Engine) -> Iterator[list[str]]:
    """The kinds of statements of the block and the ends of transactions, in their order."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement.split(maxsplit=1)[0])

    def note_commit(_connection: Any) -> None:
        seen.append("COMMIT")

    event.listen(engine, "before_cursor_execute", note)
    event.listen(engine, "commit", note_commit)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)
        event.remove(engine, "commit", note_commit)


def people(site: Site) -> list[str]:
    """Names that somebody has, of every kind of account that a guess can meet."""
    site.account("ana")
    site.account("bora", second_factor=True)
    disabled, closed = site.account("cara"), site.account("dana")
    with Transaction(site.engine) as tx:
        site.services.user_ends.set_active(tx, site.by, disabled.user.id, False)
        assert site.services.users.mark_closed(tx, site.now, closed.user.id)
        site.services.users.create(tx, site.by, username="fritz", email="fritz@example.com", password_hash=None)
        site.services.sign_ups.create(
            tx, site.by, username="unconfirmed", email="u@example.com", password_hash=None, locale="en"
        )
    return ["ana", "bora@example.com", "cara", "dana@example.com", "fritz", "unconfirmed"]


class Guesser:
    """Each answer comes to another address, so that the network's limits stay out of it."""

    def __init__(self, site: Site) -> None:
        self.site, self.numbers, self.visitor = site, itertools.count(1), Visitor(site)
        self.work("/login", {"username": "warm", "password": "up"})  # the hourly look at the hashes that are stored
        self.work("/forgot", {"username": "warm"})

    def work(self, path: str, fields: dict[str, str]) -> list[str]:
        number = next(self.numbers)
        headers = {
            "Origin": self.visitor.origin,
            "Sec-Fetch-Site": "same-origin",
            "X-Forwarded-For": f"198.18.{number // 256}.{number % 256}",
            "X-Forwarded-Proto": "https",
        }
        token = self.visitor.token()
        with work_of(self.site.engine) as seen:
            page = self.visitor.post(path, fields, token=token, headers=headers)
        assert page.status in (303, 400), page.text
        return seen


def alike(works: dict[str, list[str]]) -> list[str]:
    """What was done for each name. Fails where one differs."""
    first, *_ = works.values()
    assert first, "nothing reached the database"
    assert works == dict.fromkeys(works, first)
    return first


def test_a_wrong_password_is_the_same_work_for_every_name(site_factory: SiteFactory) -> None:
    site = site_factory(**OPEN)
    names = [*people(site), *NOBODYS]
    guesser = Guesser(site)
    for _time in range(3):  # the first guess begins counters, later ones find them
        works = {name: guesser.work("/login", {"username": name, "password": "wrong"}) for name in names}
        done = alike(works)
    assert [done.count(kind) for kind in ("COMMIT", "INSERT", "UPDATE")] == [2, 5, 1], done


def test_a_name_at_which_a_hundred_guesses_were_made_is_the_same_work(site_factory: SiteFactory) -> None:
    site = site_factory(**OPEN)
    ana = site.account("ana")
    close(site, ana, Way.PASSWORD)
    nobodys = FailuresOfNobody(site.services.keyring)
    with Transaction(site.engine) as tx:
        numbers = [nobodys.count(tx, site.now, "nobody") for _ in range(MOST + 2)]
    assert numbers == [*range(1, MOST + 1), None, None]
    guesser = Guesser(site)
    for _time in range(3):  # at the first it is recorded, and not again for a while
        alike({name: guesser.work("/login", {"username": name, "password": PASSWORD}) for name in ("ana", "nobody")})


def test_guesses_that_are_not_looked_at_are_the_same_work(site_factory: SiteFactory) -> None:
    """The fiftieth of a day and those after it."""
    site = site_factory(**OPEN)
    ana = site.account("ana")
    with Transaction(site.engine) as tx:
        for account in (ana.user.id, "no account|nobody"):
            site.services.rate_limits.hit(tx, PASSWORD_PER_ACCOUNT, account, site.now, weight=49)
    guesser = Guesser(site)
    lengths = []
    for _time in range(3):
        works = {name: guesser.work("/login", {"username": name, "password": "no"}) for name in ("ana", "nobody")}
        lengths.append(len(alike(works)))
    assert len(set(lengths)) == 3, "the last that is looked at, the first that is not and is recorded, the next"


def test_a_forgotten_password_is_the_same_work_for_every_name(site_factory: SiteFactory) -> None:
    site = site_factory(**OPEN)
    names = [*people(site), *NOBODYS]
    guesser = Guesser(site)
    for _time in range(7):  # five are kept, then none
        alike({name: guesser.work("/forgot", {"username": name}) for name in names})


def test_signing_up_is_the_same_work_for_every_address(site_factory: SiteFactory) -> None:
    site = site_factory(**OPEN)
    people(site)
    guesser, numbers = Guesser(site), itertools.count()
    addresses = ["ana@example.com", "bora@example.com", "nobody@example.com"]
    for _time in range(4):  # three letters go to an address, then none
        works = {}
        for address in addresses:
            fields = {"username": f"zoe{next(numbers)}x", "email": address, "password": PASSWORD}
            works[address] = guesser.work("/signup", fields)
            assert guesser.visitor.page.status == 303, guesser.visitor.page.text
            guesser.visitor = Visitor(site)
        alike(works)
