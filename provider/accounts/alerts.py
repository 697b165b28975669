"""What a person is told by mail because it could have been somebody else."""

from __future__ import annotations

from enum import StrEnum

from database.transaction import Transaction
from provider.accounts.users import User
from provider.deliveries.mail import Mail
from provider.protocol.messages import Origin


class Alert(StrEnum):
    """Kinds of notices. Each has its own letter, ``templates/mail/alert_<value>.txt``."""

    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - the name of a notice
    PASSKEY_ADDED = "passkey_added"
    PASSKEY_REMOVED = "passkey_removed"
    PASSKEY_SUSPECTED = "passkey_suspected"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - the same
    USERNAME_CHANGED = "username_changed"
    SECOND_FACTOR_LOST = "second_factor_lost"
    RECOVERY_CODE_USED = "recovery_code_used"


class Alerts:
    def __init__(self, mail: Mail) -> None:
        self._mail = mail

    def tell(
        self, tx: Transaction, origin: Origin, user: User, alert: Alert, *, to: str | None = None, **values: str
    ) -> None:
        """Writes the person a letter about what happened just now. ``to`` is another address than that of the account.

        ``values`` are what the letter says besides when and where; no secret is among them.
        """
        where = {"at": origin.now.isoformat(), "network": origin.source, "browser": origin.user_agent}
        self._mail.post(
            tx,
            origin,
            to=to or user.email,
            letter=f"alert_{alert}",
            language=user.locale,
            values={"username": user.username, **where, **values},
            user_id=user.id,
        )
