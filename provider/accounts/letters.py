"""Letters to people who have an account: in their language, with their user name."""

from __future__ import annotations

from collections.abc import Mapping

from database.transaction import Transaction
from provider.accounts.users import User
from provider.deliveries.mail import Mail
from provider.protocol.messages import Origin


def write_to(
    mail: Mail,
    tx: Transaction,
    origin: Origin,
    user: User,
    letter: str,
    values: Mapping[str, str],
    *,
    to: str | None = None,
    language: str | None = None,
) -> None:
    """Posts a letter that goes with the user. ``values`` fill its template, beside the user name.

    ``to`` is another address than that of the account; ``language`` is for somebody who has chosen none.
    """
    mail.post(
        tx,
        origin,
        to=to or user.email,
        letter=letter,
        language=user.locale or language,
        values={"username": user.username, **values},
        user_id=user.id,
    )
