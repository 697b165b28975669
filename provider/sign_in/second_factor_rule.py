"""Who has to have a second factor, and from when: at once, or after a period of grace that begins with a sign-in."""

from __future__ import annotations

import datetime

from database.transaction import Transaction
from provider.accounts.users import User, Users
from provider.sign_in.second_factors import has_second_factor


class SecondFactorRule:
    def __init__(self, users: Users, *, for_everybody: bool, for_administrators: bool, grace_days: int) -> None:
        self._users = users
        self._for_everybody = for_everybody
        self._for_administrators = for_administrators
        self._grace = datetime.timedelta(days=grace_days)

    def applies_to(self, user: User) -> bool:
        return self._for_everybody or (user.is_admin and self._for_administrators)

    def is_missed(self, tx: Transaction, user: User) -> bool:
        """Whether ``user`` should have a second factor and has none, in the time of grace as well."""
        return self.applies_to(user) and not has_second_factor(tx, user)

    def must_enrol(self, tx: Transaction, user: User, now: datetime.datetime) -> bool:
        """Whether ``user`` may do nothing before a second factor is set up."""
        if not self.is_missed(tx, user):
            return False
        due = self.due(user)
        return not self._grace or (due is not None and due <= now)

    def due(self, user: User) -> datetime.datetime | None:
        """When grace ends for somebody whom the rule applies to, None where they have not signed in since it does."""
        asked_at = user.second_factor_asked_at
        return None if asked_at is None else asked_at + self._grace

    def note_sign_in(self, tx: Transaction, user: User, now: datetime.datetime) -> None:
        """Grace begins with the first sign-in for which the rule applies, and never again."""
        if self.is_missed(tx, user):
            self._users.ask_for_second_factor(tx, user.id, now)
