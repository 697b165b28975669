"""When a client was last used, to the minute: most requests write nothing."""

from __future__ import annotations

import datetime
from functools import partial

from sqlalchemy import bindparam, update

from database.models import Client as ClientRow
from database.prepared import Prepared
from database.transaction import Transaction
from provider.protocol.client import Client

TOUCH_SECONDS = 60
REMEMBERED = 1024
_TABLE = ClientRow.__table__
_TOUCH = Prepared(
    update(ClientRow)
    .where(
        _TABLE.c.id == bindparam("row_id"),
        _TABLE.c.last_used_at.is_(None) | (_TABLE.c.last_used_at < bindparam("before")),
    )
    .values(last_used_at=bindparam("now"), last_used_address=bindparam("address"))
)


class LastUses:
    def __init__(self) -> None:
        self._touched: dict[str, datetime.datetime] = {}

    def note(self, tx: Transaction, client: Client, now: datetime.datetime, source: str = "") -> None:
        """``source`` is kept of API keys alone: their owners see from which address."""
        before = now - datetime.timedelta(seconds=TOUCH_SECONDS)
        if self._touched.get(client.id, client.last_used_at or before) > before:
            return
        address = source if client.is_api_key and source else None
        tx.note(_TOUCH, {"row_id": client.id, "before": before, "now": now, "address": address})
        tx.on_commit(partial(self._remember, client.id, now))

    def _remember(self, client_row_id: str, now: datetime.datetime) -> None:
        if len(self._touched) > REMEMBERED:
            self._touched.clear()
        self._touched[client_row_id] = now
