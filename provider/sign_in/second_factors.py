"""Whether somebody has a second factor, of whatever kind. The one place that says so."""

from __future__ import annotations

from database.transaction import Transaction
from provider.accounts.users import User


def has_second_factor(tx: Transaction, user: User) -> bool:  # noqa: ARG001 - other kinds are rows
    return user.two_factor_enabled
