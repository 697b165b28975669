"""The first use of what works once (codes, refresh tokens): by one conditional UPDATE whose row count decides."""

from __future__ import annotations

from sqlalchemy import bindparam, case, update
from sqlalchemy.sql import Update

from database.models.base import Base
from database.models.columns import UTCDateTime
from database.prepared import Prepared


def first_use(model: type[Base], name: str) -> Prepared:
    """Sets ``used_at`` to ``now`` where the column ``name`` is ``claimed_hash`` and it has not been used.

    Of the same row several times in one batch the count misses all but one, whichever form the batch takes.
    """
    table = model.__table__
    key = table.c[name]
    once = update(model).where(key == bindparam("claimed_hash"), table.c.used_at.is_(None))

    def many(number: int) -> Update:
        claimed = [bindparam(f"claimed_hash_{run}", type_=key.type) for run in range(number)]
        moments = [bindparam(f"now_{run}", type_=UTCDateTime) for run in range(number)]
        of_each = case(*((key == one, moment) for one, moment in zip(claimed, moments, strict=True)))
        return update(model).where(key.in_(claimed), table.c.used_at.is_(None)).values(used_at=of_each)

    return Prepared(once.values(used_at=bindparam("now")), many=many)
