"""Forgotten passwords: what is asked for is answered later, so that the page does the same for every name."""

from __future__ import annotations

import datetime

from sqlalchemy import delete, insert, select

from database.models import ResetRequest
from database.models.columns import new_id
from database.transaction import Transaction
from provider.accounts.login_names import login_forms
from provider.accounts.mailed_links import MailedLinks
from provider.accounts.users import User, Users
from provider.audit import AuditEvent, AuditRecorder, printable
from provider.protocol.messages import Origin
from provider.sealed_values import SealedValues
from provider.security.crypto import DecryptionFailed
from provider.security.rate_limit import Limit, RateLimiter
from provider.security.sealed_columns import RESET_NAME
from provider.sign_in.new_passwords import LETTERS_PER_ACCOUNT, EndedByPassword, How, NewPasswords

LINK_SECONDS = 1800
# Of an address that asks for more, and of a name that is asked about more often, nothing is kept. The page says the same.
PER_SOURCE = Limit("forgotten passwords per source", 20, 3600)
PER_NAME = Limit("forgotten passwords per name", 5, 3600)
# What nobody has answered by then is asked for again by whoever still waits.
KEPT = datetime.timedelta(hours=1)
_TABLE = ResetRequest.__table__


class ForgottenPasswords:
    """Nobody looks up an account while somebody waits for the page: known and unknown names leave the same row behind."""

    def __init__(
        self,
        users: Users,
        new_passwords: NewPasswords,
        links: MailedLinks,
        rate_limits: RateLimiter,
        audit: AuditRecorder,
        sealed: SealedValues,
    ) -> None:
        self._users = users
        self._new_passwords = new_passwords
        self._links = links
        self._rate_limits = rate_limits
        self._audit = audit
        self._sealed = sealed

    def ask(self, tx: Transaction, origin: Origin, login_name: str, language: str) -> None:
        """Keeps a request for a link to a new password. Too many of them are dropped without a word."""
        name = next(iter(login_forms(login_name)), login_name[:255])
        if self._rate_limits.hit_source(tx, PER_SOURCE, origin.networks, origin.now) is not None:
            return
        if self._rate_limits.hit(tx, PER_NAME, name, origin.now) is not None:
            return
        request_id = new_id(origin.now)
        row = {
            "id": request_id,
            "login_name_encrypted": self._sealed.seal(RESET_NAME, request_id, login_name[:255].encode()),
            "language": language,
            "ip_address": printable(origin.source, 45),
            "user_agent": printable(origin.user_agent, 512, ascii_only=False),
            "request_id": printable(origin.request_id, 32),
            "created_at": origin.now,
        }
        tx.execute(insert(ResetRequest), row)

    def waiting(self, tx: Transaction, limit: int) -> list[str]:
        """The ids of requests that nobody has answered, the oldest first."""
        statement = select(_TABLE.c.id).order_by(_TABLE.c.created_at, _TABLE.c.id).limit(limit)
        return list(tx.execute(statement).scalars())

    def answer(self, tx: Transaction, now: datetime.datetime, request_id: str) -> bool:
        """Answers one request: by a letter to its user, or not at all. True for one caller only.

        Disabled users get none, nor does an address that waits to be confirmed, and nobody more than five letters a day. A
        request that does not open gets none, and is on record.
        """
        row = tx.execute(select(_TABLE).where(_TABLE.c.id == request_id)).mappings().first()
        if row is None or tx.execute(delete(ResetRequest).where(_TABLE.c.id == request_id)).rowcount != 1:
            return False
        origin = Origin(row["ip_address"] or "", row["user_agent"] or "", row["request_id"] or "", now)
        try:
            name = self._sealed.open(tx, origin, RESET_NAME, request_id, row["login_name_encrypted"]).decode()
        except DecryptionFailed:
            return True
        user = self._users.find_by_login(tx, name)
        if user is None or not user.is_active or user.is_unconfirmed or now - row["created_at"] > KEPT:
            return True
        if self._links.issued_just_now(tx, now, user.id):
            return True  # asked for twice in a row: a second link would end the first
        if self._rate_limits.hit(tx, LETTERS_PER_ACCOUNT, user.id, now) is not None:
            return True
        letter = "password_required" if user.password_reset_required else "password_reset"
        self._new_passwords.send_link(tx, origin, user, letter=letter, language=row["language"])
        self._audit.record(
            tx,
            AuditEvent.PASSWORD_RESET_ASKED,
            origin,
            user_id=user.id,
            resource_type="users",
            resource_id=user.id,
        )
        return True

    def find(self, tx: Transaction, now: datetime.datetime, token: str) -> User | None:
        """The user who can choose a new password by this link now. Uses nothing up."""
        row = self._links.find(tx, now, token)
        user = None if row is None else self._users.find(tx, row["user_id"])
        return user if user is not None and user.is_active else None

    def finish(self, tx: Transaction, origin: Origin, token: str, user: User, password_hash: str) -> EndedByPassword:
        """Uses the link up and makes what ``NewPasswords.prepare`` has hashed the password of ``user``.

        Signs nobody in, and is never called before the second factor was checked where there is one. Raises ``LinkOver``,
        ``PasswordIsAnother``.
        """
        self._links.use(tx, origin.now, token)
        return self._new_passwords.change(tx, origin, user, password_hash, how=How.RESET)

    def purge(self, tx: Transaction, now: datetime.datetime, limit: int = 1000) -> int:
        """Deletes requests that nobody has answered in time."""
        over = select(_TABLE.c.id).where(_TABLE.c.created_at <= now - KEPT).limit(limit)
        ids = tx.execute(over).scalars().all()
        if ids:
            tx.execute(delete(ResetRequest).where(_TABLE.c.id.in_(ids)))
        return len(ids)
