"""Whether somebody has a second factor at all, of whatever kind."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from database.models import Passkey as PasskeyRow
from database.prepared import Prepared
from database.transaction import Transaction
from provider.accounts.users import User

_PASSKEYS = PasskeyRow.__table__
_ANY = Prepared(select(_PASSKEYS.c.id).where(_PASSKEYS.c.user_id == bindparam("user_id")).limit(1))


def has_passkey(tx: Transaction, user: User) -> bool:
    return tx.first(_ANY, {"user_id": user.id}) is not None


def has_second_factor(tx: Transaction, user: User) -> bool:
    """Whether the password alone is not enough: codes from an app are on, or there is a passkey."""
    return user.two_factor_enabled or has_passkey(tx, user)
