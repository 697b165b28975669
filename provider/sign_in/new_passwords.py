"""The one place where a password becomes another: changed by its owner, reset by a mailed link, or demanded anew."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import select, true, update

from database.models import EmailChange
from database.models import User as UserRow
from database.transaction import Transaction
from provider.accounts.alerts import Alert, Alerts
from provider.accounts.letters import write_to
from provider.accounts.mailed_links import MailedLinks
from provider.accounts.users import User, Users
from provider.audit import AuditEvent, AuditRecorder
from provider.deliveries.mail import Mail
from provider.protocol.messages import Origin
from provider.security.rate_limit import Limit, RateLimiter
from provider.sign_in.attempts import Attempts
from provider.sign_in.consecutive_failures import Way
from provider.sign_in.half_done import end_half_done
from provider.sign_in.passwords import MIN_WITH_SECOND_FACTOR, Passwords, WeakPassword
from provider.sign_in.session_ends import SessionEnds
from provider.sign_in.wait_ends import end_waits
from provider.tokens.grant_records import GrantRecords

# Links in the letters about one account, whoever asks for them.
LETTERS_PER_ACCOUNT = Limit("letters about a password", 5, 86400)
_TABLE = UserRow.__table__
_GIVEN_UP = EmailChange.__table__


class PasswordIsAnother(Exception):
    """The password was changed, or the user disabled, since the caller looked. Nothing was done."""


class How(StrEnum):
    """What led to a new password."""

    CHANGED = "changed"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class EndedByPassword:
    """How much a new password has ended."""

    sessions: int
    grants: int


class NewPasswords:
    """What a password may be, and all that ends when it becomes another one (``docs/decisions/0026``).

    ``second_factor_required`` says whether an administrator, or another user, must have a second factor; ``site`` is the
    origin that links lead to.
    """

    def __init__(
        self,
        users: Users,
        passwords: Passwords,
        session_ends: SessionEnds,
        grants: GrantRecords,
        attempts: Attempts,
        reset_links: MailedLinks,
        mail: Mail,
        alerts: Alerts,
        rate_limits: RateLimiter,
        audit: AuditRecorder,
        *,
        min_length: int,
        second_factor_required: Callable[[bool], bool],
        site: str,
    ) -> None:
        self._users = users
        self._passwords = passwords
        self._session_ends = session_ends
        self._grants = grants
        self._attempts = attempts
        self._reset_links = reset_links
        self._mail = mail
        self._alerts = alerts
        self._rate_limits = rate_limits
        self._audit = audit
        self._min_length = min_length
        self._second_factor_required = second_factor_required
        self._site = site

    def shortest(self, user: User) -> int:
        """How many characters a password of this user has at least."""
        return MIN_WITH_SECOND_FACTOR if self._second_factor_required(user.is_admin) else self._min_length

    def judge(self, tx: Transaction, user: User, password: str) -> None:
        """Raises ``WeakPassword`` for what cannot be a password of ``user``. Ends the transaction: it takes a while."""
        tx.commit()
        self._passwords.check_strength(
            password,
            username=user.username,
            email=user.email,
            second_factor_required=self._second_factor_required(user.is_admin),
        )

    def prepare(self, tx: Transaction, user: User, password: str) -> str:
        """The hash of a new password for ``user``. Judges and hashes outside of a transaction.

        Raises ``WeakPassword``, also with the reason ``same`` for the one that a user has to give up, and ``HashingBusy``.
        So it is for somebody who has proved more than a mailbox: they could try passwords here.
        """
        self.judge(tx, user, password)
        if user.password_reset_required and self._passwords.verify(user.password_hash, password):
            raise WeakPassword("same")
        return self._passwords.hash(password)

    def change(
        self,
        tx: Transaction,
        origin: Origin,
        user: User,
        password_hash: str,
        *,
        how: How,
        kept_session: str | None = None,
        ends_apps: bool = False,
    ) -> EndedByPassword:
        """Makes what ``prepare`` has hashed the password of ``user``, as they were read before.

        Ends the other sessions, sign-ins that are half done, links that lead to another password or address, and devices
        that are known or remembered, which hang on ``password_changed_at``. A reset ends every grant as well, with its
        refresh tokens; a change does so where ``ends_apps``. Raises ``PasswordIsAnother``.
        """
        # Counters before the user, as everywhere: no two wait for each other.
        self._attempts.unlock(tx, origin, user.id, (Way.PASSWORD,), actor=None)
        statement = update(UserRow).where(_TABLE.c.id == user.id, _TABLE.c.is_active == true())
        if user.password_hash is None:
            statement = statement.where(_TABLE.c.password_hash.is_(None))
        else:
            statement = statement.where(_TABLE.c.password_hash == user.password_hash)
        values = {
            "password_hash": password_hash,
            "password_changed_at": origin.now,
            "password_reset_required": False,
            "updated_at": origin.now,
        }
        if tx.execute(statement.values(values)).rowcount != 1:
            raise PasswordIsAnother
        end_half_done(tx, origin.now, user.id)
        end_waits(tx, origin, self._audit, user.id, reason="password_changed")
        all_grants = how is How.RESET or ends_apps
        grants = self._grants.revoke_for_user(tx, origin, user.id, "password_changed") if all_grants else 0
        sessions = self._session_ends.end_all(tx, origin, user.id, except_id=kept_session, reason="password_changed")
        ended = EndedByPassword(sessions, grants)
        self._record(tx, origin, AuditEvent.PASSWORD_CHANGED, user.id, how=how.value, **asdict(ended))
        self._alerts.tell(tx, origin, user, Alert.PASSWORD_RESET if how is How.RESET else Alert.PASSWORD_CHANGED)
        return ended

    def require(self, tx: Transaction, origin: Origin, user: User, *, actor: str | None = None) -> str:
        """Has ``user`` choose another password before anything else. Returns the address of the page where.

        The link to it goes to the oldest address that is known to be theirs. Ends no session: who calls this knows what else
        has to end. Raises nothing where mail cannot be sent; the caller can hand the link over.
        """
        statement = update(UserRow).where(_TABLE.c.id == user.id)
        tx.execute(statement.values(password_reset_required=True, updated_at=origin.now))
        self._record(tx, origin, AuditEvent.PASSWORD_REQUIRED, user.id, actor=actor)
        return self.send_link(tx, origin, user, letter="password_required")

    def remind(self, tx: Transaction, origin: Origin, user: User) -> bool:
        """Sends the link once more, to somebody who knew the password that is not taken any more. False after too many."""
        if self._rate_limits.hit(tx, LETTERS_PER_ACCOUNT, user.id, origin.now) is not None:
            return False
        self.send_link(tx, origin, user, letter="password_required")
        return True

    def send_link(
        self, tx: Transaction, origin: Origin, user: User, *, letter: str, language: str | None = None
    ) -> str:
        """Mails a link to a new password and returns it. Those from before stop working.

        ``language`` is that of the page where it was asked for, for somebody who has chosen none.
        """
        self._reset_links.void(tx, origin.now, user.id)
        link = f"{self._site}/reset/{self._reset_links.issue(tx, origin, user.id)}"
        to = self.oldest_address(tx, origin.now, user) if letter == "password_required" else None
        write_to(self._mail, tx, origin, user, letter, {"link": link}, to=to, language=language)
        return link

    def oldest_address(self, tx: Transaction, now: datetime.datetime, user: User) -> str:
        """The address that somebody who took over the account cannot have put there lately.

        It is the first of those that were given up and can be brought back still, or the present one.
        """
        which = (_GIVEN_UP.c.user_id == user.id, _GIVEN_UP.c.used_at.is_(None), _GIVEN_UP.c.expires_at > now)
        statement = select(_GIVEN_UP.c.old_email).where(*which).order_by(_GIVEN_UP.c.created_at, _GIVEN_UP.c.id)
        oldest: str | None = tx.execute(statement.limit(1)).scalar()
        return oldest or user.email

    def _record(
        self,
        tx: Transaction,
        origin: Origin,
        event: AuditEvent,
        user_id: str,
        actor: str | None = None,
        **details: Any,
    ) -> None:
        self._audit.record(
            tx, event, origin, user_id=user_id, actor=actor, resource_type="users", resource_id=user_id, **details
        )
