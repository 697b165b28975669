"""Confirming the address of an account that its owner made: the link, who is written which letter, the end of the wait."""

from __future__ import annotations

import datetime

from sqlalchemy import delete, select, update

from database.models import User as UserRow
from database.models import metadata
from database.transaction import Transaction
from provider.accounts.login_names import canonical_email, written_email
from provider.accounts.mailed_links import LinkOver, MailedLinks
from provider.accounts.users import User, Users
from provider.audit import AuditEvent, AuditRecorder
from provider.deliveries.mail import Mail
from provider.protocol.messages import Origin
from provider.security.crypto import Keyring
from provider.security.rate_limit import Limit, RateLimiter

LINK_SECONDS = 86400
# What is over goes to nobody, without a word: strangers are not to fill a mailbox, nor to learn what was sent there.
LETTERS_PER_ADDRESS = Limit("confirmation letters per address", 3, 6 * 3600)
LETTERS_PER_ACCOUNT = Limit("confirmation letters per account", 10, 86400)
_LINKS = metadata.tables["email_verification_tokens"]
_USERS = UserRow.__table__


class Confirmations:
    """``site`` is scheme and authority of our pages, for links in letters."""

    def __init__(
        self, users: Users, mail: Mail, keyring: Keyring, rate_limits: RateLimiter, audit: AuditRecorder, *, site: str
    ) -> None:
        self._users = users
        self._mail = mail
        self._rate_limits = rate_limits
        self._audit = audit
        self._site = site
        self._links = MailedLinks(keyring, _LINKS, "verify", LINK_SECONDS, used="verified_at")

    def ask(self, tx: Transaction, origin: Origin, user: User, *, request: str = "") -> None:
        """Writes to the address of an unconfirmed account, within the limits. ``request`` is where its owner goes on.

        A link to confirm, or, where somebody else has the address, that they have an account: nobody but the mailbox is
        told which. Everything else is done in either case. Asked for twice within a minute, it is written once.
        """
        if self._links.issued_just_now(tx, origin.now, user.id, email=user.email):
            return
        address = canonical_email(user.email)
        for limit, key in ((LETTERS_PER_ACCOUNT, user.id), (LETTERS_PER_ADDRESS, address)):
            if self._rate_limits.hit(tx, limit, key, origin.now) is not None:
                return
        owner_id = self._users.id_by_login(tx, user.email)
        named = self._users.find(tx, owner_id or user.id) or user  # either way one row is read
        self._links.void(tx, origin.now, user.id)
        token = self._links.issue(tx, origin, user.id, email=user.email)
        back = f"?request={request}" if request else ""
        if owner_id is None:
            letter, values = "confirm_address", {"link": f"{self._site}/confirm/{token}{back}"}
        else:
            letter, values = "account_exists", {"link": f"{self._site}/login"}
        self._mail.post(
            tx,
            origin,
            to=user.email,
            letter=letter,
            language=user.locale,
            values={"username": named.username, **values},
        )

    def change_address(self, tx: Transaction, origin: Origin, user: User, email: str, *, request: str = "") -> None:
        """Another address for an unconfirmed account, whose owner has mistyped it. Raises ``InvalidName``."""
        canonical_email(email)
        waits = (_USERS.c.id == user.id, _USERS.c.confirm_by > origin.now)
        written = {"email": written_email(email), "updated_at": origin.now}
        if tx.execute(update(UserRow).where(*waits).values(written)).rowcount != 1:
            return
        self._links.void(tx, origin.now, user.id)
        changed = self._users.find(tx, user.id)
        if changed is not None:
            self.ask(tx, origin, changed, request=request)

    def find(self, tx: Transaction, now: datetime.datetime, token: str) -> User | None:
        """The account that a working link is for. Changes nothing."""
        row = self._links.find(tx, now, token)
        return None if row is None else self._waiting(tx, row["user_id"], row["email"])

    def confirm(self, tx: Transaction, origin: Origin, token: str) -> User:
        """The account whose address is confirmed from now on.

        Raises ``LinkOver``, and ``NameTaken`` where another account was quicker: what was done so far is to be rolled back.
        """
        row = self._links.use(tx, origin.now, token)
        user = self._waiting(tx, row["user_id"], row["email"])
        if user is None or not self._users.verify(tx, origin, user.id):
            raise LinkOver
        confirmed = self._users.find(tx, user.id)
        if confirmed is None:
            raise LinkOver
        return confirmed

    def disown(self, tx: Transaction, origin: Origin, token: str) -> None:
        """Deletes an account that somebody else made with the address of whoever has the link. Raises ``LinkOver``."""
        row = self._links.use(tx, origin.now, token)
        user = self._waiting(tx, row["user_id"], row["email"])
        if user is None:
            raise LinkOver
        tx.execute(delete(UserRow).where(_USERS.c.id == user.id, _USERS.c.confirm_by.is_not(None)))
        self._audit.record(
            tx, AuditEvent.USER_DISOWNED, origin, resource_type="users", resource_id=user.id, username=user.username
        )

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        return self._links.purge(tx, now, limit)

    def purge_unconfirmed(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes accounts whose address nobody has confirmed in time. Their user names are free again."""
        over = select(_USERS.c.id).where(_USERS.c.confirm_by <= now).limit(limit)
        ids = tx.execute(over).scalars().all()
        if not ids:
            return 0
        still = (_USERS.c.id.in_(ids), _USERS.c.confirm_by <= now)
        return tx.execute(delete(UserRow).where(*still)).rowcount

    def _waiting(self, tx: Transaction, user_id: str, email: str) -> User | None:
        """The account if it waits for just this address."""
        user = self._users.find(tx, user_id)
        return user if user is not None and user.is_unconfirmed and user.email == email else None
