"""The panic button: whoever is in somebody's account is out, and only a new password leads in again (decision 30)."""

from __future__ import annotations

import datetime
from dataclasses import asdict

from sqlalchemy import false, update

from database.models import User as UserRow
from database.transaction import Transaction
from provider.accounts.alerts import Alert, Alerts
from provider.accounts.consents import Consents
from provider.accounts.users import User, Users
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.sign_in.closing import Closing
from provider.sign_in.new_passwords import NewPasswords
from provider.sign_in.passkeys import Passkeys
from provider.sign_in.user_ends import Ended, UserEnds

_USERS = UserRow.__table__
REASON = "locked_down"
# A thief adds a passkey to come back by; a person has theirs for longer.
NEW_PASSKEYS = datetime.timedelta(days=1)


class LockDown:
    def __init__(
        self,
        users: Users,
        ends: UserEnds,
        consents: Consents,
        closing: Closing,
        passkeys: Passkeys,
        new_passwords: NewPasswords,
        alerts: Alerts,
        audit: AuditRecorder,
    ) -> None:
        self._users = users
        self._ends = ends
        self._consents = consents
        self._closing = closing
        self._passkeys = passkeys
        self._new_passwords = new_passwords
        self._alerts = alerts
        self._audit = audit

    def lock_down(self, tx: Transaction, origin: Origin, user: User, *, actor: str | None = None) -> Ended:
        """Ends sessions, grants with their tokens, consents and API keys, voids the password, and says so by letter.

        May be asked for again, and by several at once: what has ended stays so, and there is one letter. An account that a
        thief has closed comes back, since nobody could get in to save it. One that an operator has disabled stays so.
        """
        is_first = self._forbid_password(tx, origin, user.id)
        self._closing.reopen(tx, origin, user.id, actor=actor)
        ended = self._ends.end_all(tx, origin, user.id, reason=REASON, actor=actor)
        for consent in self._consents.list(tx, user.id):
            self._consents.withdraw(tx, origin, user.id, consent.id)
        self._passkeys.remove_added_since(tx, origin, user.id, origin.now - NEW_PASSKEYS)
        self._alerts.forget_links(tx, origin.now, user.id)
        if is_first or ended != Ended():
            self._audit.record(
                tx,
                AuditEvent.USER_LOCKED_DOWN,
                origin,
                user_id=user.id,
                actor=actor,
                resource_type="users",
                resource_id=user.id,
                **asdict(ended),
            )
            self._new_passwords.require(tx, origin, self._users.get(tx, user.id), actor=actor)
            self._alerts.tell(tx, origin, user, Alert.LOCKED_DOWN, page=self._alerts.page("/forgot"))
        return ended

    def _forbid_password(self, tx: Transaction, origin: Origin, user_id: str) -> bool:
        """Nothing opens any more before a new password is chosen. False where that was so before.

        Before everything else, so that several who ask at once take turns at this row. Browsers that are known or
        remembered hang on the time of the change. The old password stays known, so that nobody chooses it again.
        """
        mine = update(UserRow).where(_USERS.c.id == user_id)
        tx.execute(mine.values(password_changed_at=origin.now, updated_at=origin.now))
        forbidden = mine.where(_USERS.c.password_reset_required == false()).values(password_reset_required=True)
        return tx.execute(forbidden).rowcount == 1
