"""Another e-mail address: confirmed at the new one, told to the old one, which can bring itself back for a week."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select

from database.models import EmailChange, EmailVerificationToken
from database.transaction import Transaction
from provider.accounts.letters import write_to
from provider.accounts.login_names import canonical_email, written_email
from provider.accounts.mailed_links import LinkOver, MailedLinks
from provider.accounts.renaming import Renaming
from provider.accounts.users import User, Users
from provider.audit import AuditEvent, AuditRecorder
from provider.deliveries.mail import Mail
from provider.protocol.messages import Origin
from provider.security.rate_limit import Limit, RateLimiter
from provider.sign_in.new_passwords import NewPasswords
from provider.sign_in.session_ends import SessionEnds
from provider.sign_in.wait_ends import end_waits
from provider.tokens.grant_records import GrantRecords

CONFIRM_SECONDS = 6 * 3600
UNDO_SECONDS = 7 * 86400
PER_ACCOUNT = Limit("addresses to be confirmed per account", 3, 6 * 3600)
PER_ADDRESS = Limit("letters to an address to be confirmed", 3, 6 * 3600)
_PENDING = EmailVerificationToken.__table__
_GIVEN_UP = EmailChange.__table__


class SameAddress(Exception):
    """It is the user's address already."""


class TooManyLetters(Exception):
    """Three addresses were tried in six hours. ``until`` is when the next one can be."""

    def __init__(self, until: datetime.datetime) -> None:
        super().__init__(until.isoformat())
        self.until = until


@dataclass(frozen=True, slots=True)
class AddressChange:
    """A change that a link is about: of this user's address, to ``email``."""

    user: User
    email: str


class AddressChanges:
    """``confirm_links`` and ``undo_links`` are of the tables ``email_verification_tokens`` and ``email_changes``."""

    def __init__(
        self,
        users: Users,
        renaming: Renaming,
        new_passwords: NewPasswords,
        session_ends: SessionEnds,
        grants: GrantRecords,
        confirm_links: MailedLinks,
        undo_links: MailedLinks,
        reset_links: MailedLinks,
        mail: Mail,
        rate_limits: RateLimiter,
        audit: AuditRecorder,
        *,
        site: str,
    ) -> None:
        self._users = users
        self._renaming = renaming
        self._new_passwords = new_passwords
        self._session_ends = session_ends
        self._grants = grants
        self._confirm_links = confirm_links
        self._undo_links = undo_links
        self._reset_links = reset_links
        self._mail = mail
        self._rate_limits = rate_limits
        self._audit = audit
        self._site = site

    def ask(self, tx: Transaction, origin: Origin, user: User, email: str) -> str:
        """Mails a link to a new address, which is not the user's before it is used. Returns the address as it is written.

        A link from before stops working; asked for twice within a minute, it is written once. The owner of an address that
        is taken gets a letter that says so, and whoever asked is told nothing. Raises ``InvalidName``, ``SameAddress``,
        ``TooManyLetters``.
        """
        canonical, written = canonical_email(email), written_email(email)
        if written == user.email and user.is_verified:
            raise SameAddress
        if self._confirm_links.issued_just_now(tx, origin.now, user.id, email=written):
            return written
        for limit, key in ((PER_ACCOUNT, user.id), (PER_ADDRESS, canonical)):
            until = self._rate_limits.hit(tx, limit, key, origin.now)
            if until is not None:
                raise TooManyLetters(until)
        self._confirm_links.void(tx, origin.now, user.id)
        token = self._confirm_links.issue(tx, origin, user.id, email=written)
        holder = self._users.find_by_login(tx, email)
        is_taken = holder is not None and holder.id != user.id
        self._mail.post(
            tx,
            origin,
            to=written,
            letter="address_taken" if is_taken else "address_confirm",
            language=holder.locale if is_taken and holder is not None else user.locale,
            values={} if is_taken else {"username": user.username, "link": f"{self._site}/email/{token}"},
        )
        self._record(tx, origin, AuditEvent.EMAIL_CHANGE_ASKED, user.id)
        return written

    def pending(self, tx: Transaction, now: datetime.datetime, user: User) -> str | None:
        """The address that a letter went to and that is not confirmed yet."""
        statement = (
            select(_PENDING.c.email)
            .where(_PENDING.c.user_id == user.id, _PENDING.c.verified_at.is_(None), _PENDING.c.expires_at > now)
            .order_by(_PENDING.c.created_at.desc())
        )
        found: str | None = tx.execute(statement.limit(1)).scalar()
        return found

    def withdraw(self, tx: Transaction, origin: Origin, user_id: str) -> None:
        """The link that was mailed to a new address stops working."""
        self._confirm_links.void(tx, origin.now, user_id)

    def find(self, tx: Transaction, now: datetime.datetime, token: str) -> AddressChange | None:
        """What a confirmation link would change now. Uses nothing up."""
        return self._change_of(tx, self._confirm_links.find(tx, now, token), "email")

    def confirm(self, tx: Transaction, origin: Origin, token: str, *, kept_session: str | None) -> AddressChange:
        """Makes the new address the user's, and tells the old one. Ends other sessions and links to a new password.

        An old address that was never confirmed could be anybody's: it gets no letter and no way back. Raises ``LinkOver``,
        ``NameTaken`` where somebody else has the address by now, ``NameIsAnother``.
        """
        change = self._change_of(tx, self._confirm_links.use(tx, origin.now, token), "email")
        if change is None:
            raise LinkOver
        user = change.user
        self._renaming.readdress(tx, origin, user, change.email)
        self._reset_links.void(tx, origin.now, user.id)
        if user.is_verified and canonical_email(user.email) != canonical_email(change.email):
            undo = self._undo_links.issue(tx, origin, user.id, old_email=user.email)
            said = {"link": f"{self._site}/email/undo/{undo}"}
            write_to(self._mail, tx, origin, user, "address_changed", said)
        ended = self._session_ends.end_all(tx, origin, user.id, except_id=kept_session, reason="address_changed")
        self._record(tx, origin, AuditEvent.EMAIL_CHANGED, user.id, sessions=ended)
        return change

    def find_undo(self, tx: Transaction, now: datetime.datetime, token: str) -> AddressChange | None:
        """The address that a link in the letter to the old one would bring back now."""
        return self._change_of(tx, self._undo_links.find(tx, now, token), "old_email")

    def undo(self, tx: Transaction, origin: Origin, token: str) -> AddressChange:
        """Brings an address back whose owner did not give it up. Whoever changed it may know the password too.

        So everything ends that can be in the wrong hands, sessions and grants, and a new password is demanded by a letter
        to this address. Raises ``LinkOver``, ``NameTaken``, ``NameIsAnother``.
        """
        change = self._change_of(tx, self._undo_links.use(tx, origin.now, token), "old_email")
        if change is None:
            raise LinkOver
        user = change.user
        self._undo_links.void(tx, origin.now, user.id)  # also of changes that came later: theirs is not the owner
        self._confirm_links.void(tx, origin.now, user.id)
        self._renaming.readdress(tx, origin, user, change.email)
        end_waits(tx, origin, self._audit, user.id, reason="address_brought_back")
        self._grants.revoke_for_user(tx, origin, user.id, "address_brought_back")
        self._session_ends.end_all(tx, origin, user.id, reason="address_brought_back")
        restored = self._users.get(tx, user.id)
        self._record(tx, origin, AuditEvent.EMAIL_CHANGE_UNDONE, user.id)
        self._new_passwords.require(tx, origin, restored)
        return AddressChange(restored, change.email)

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes what can't be brought back any more."""
        ids = tx.execute(select(_GIVEN_UP.c.id).where(_GIVEN_UP.c.expires_at <= now).limit(limit)).scalars().all()
        if ids:
            tx.execute(delete(EmailChange).where(_GIVEN_UP.c.id.in_(ids)))
        return len(ids)

    def _change_of(self, tx: Transaction, row: Any, column: str) -> AddressChange | None:
        user = None if row is None else self._users.find(tx, row["user_id"])
        return AddressChange(user, row[column]) if user is not None and user.is_active else None

    def _record(self, tx: Transaction, origin: Origin, event: AuditEvent, user_id: str, **details: Any) -> None:
        self._audit.record(tx, event, origin, user_id=user_id, resource_type="users", resource_id=user_id, **details)
