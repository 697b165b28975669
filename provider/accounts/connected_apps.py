"""Connected apps, as their user sees them: one entry for all that is taken back together, and when each last got a token."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import aliased

from database.models import Client as ClientRow
from database.models import Consent as ConsentRow
from database.models import GrantRecord, IssuedToken, RefreshToken
from database.reading import Listed, row_of
from database.transaction import Transaction
from provider.accounts.consents import Consent, Consents, parse_consent

_CONSENTS = ConsentRow.__table__
_CLIENTS = ClientRow.__table__
_GRANTS = GrantRecord.__table__
_REFRESH_TOKENS = RefreshToken.__table__
_ISSUED = IssuedToken.__table__
_SAME_APPLICATION = ("user_id", "client_id", "resource", "redirect_uri_hash")


class ConnectedApps:
    def __init__(self, consents: Consents) -> None:
        self._consents = consents

    def living(self, user_id: str, search: str = "") -> Listed[Consent]:
        """For a page of a list: the newest decision about each application, the one changed last first.

        ``search`` finds applications by their own name, or by the address that is their id.
        """
        newer = aliased(ConsentRow)
        is_newer = or_(
            newer.updated_at > ConsentRow.updated_at,
            and_(newer.updated_at == ConsentRow.updated_at, newer.id > ConsentRow.id),
        )
        same: list[ColumnElement[Any]] = [
            getattr(newer, name) == getattr(ConsentRow, name) for name in _SAME_APPLICATION
        ]
        statement = select(ConsentRow).where(
            ConsentRow.user_id == user_id,
            ConsentRow.withdrawn_at.is_(None),
            ~exists().where(*same, newer.withdrawn_at.is_(None), is_newer),
        )
        if search:
            found = or_(
                _CLIENTS.c.name.icontains(search, autoescape=True),
                _CLIENTS.c.client_id.icontains(search, autoescape=True),
            )
            statement = statement.where(ConsentRow.client_id.in_(select(_CLIENTS.c.id).where(found)))
        newest_first = statement.order_by(ConsentRow.updated_at.desc(), ConsentRow.id.desc())
        return Listed(newest_first, lambda entity: parse_consent(row_of(entity)))

    def whole(self, tx: Transaction, user_id: str, shown: Iterable[Consent]) -> list[Consent]:
        """What is allowed by all decisions that go together with those that are shown, since the first of them."""
        known = {consent.id: consent for consent in self._consents.list(tx, user_id)}
        return [known.get(consent.id, consent) for consent in shown]

    def last_used(
        self, tx: Transaction, user_id: str, shown: Collection[Consent]
    ) -> dict[tuple[str, str], datetime.datetime]:
        """When each application last got a token of this user, by ``client_row_id`` and ``resource``.

        As far as it is known: what came of a grant is deleted a while after it is over.
        """
        of_these = (_GRANTS.c.user_id == user_id) & _GRANTS.c.client_id.in_({it.client_row_id for it in shown})
        newest: dict[tuple[str, str], datetime.datetime] = {}
        for table, moment in (
            (None, _GRANTS.c.created_at),
            (_REFRESH_TOKENS, _REFRESH_TOKENS.c.created_at),
            (_ISSUED, _ISSUED.c.issued_at),
        ):
            statement = select(_GRANTS.c.client_id, _GRANTS.c.resource, func.max(moment).label("at")).where(of_these)
            if table is not None:
                statement = statement.join(table, table.c.grant_id == _GRANTS.c.id)
            for row in tx.execute(statement.group_by(_GRANTS.c.client_id, _GRANTS.c.resource)):
                application = (row.client_id, row.resource)
                newest[application] = max(row.at, newest.get(application, row.at))
        return newest
