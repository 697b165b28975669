"""Lets a FastAPI view return rows as they come, as the schema document's example does.

FastAPI's encoder knows lists and dictionaries. SQLAlchemy 1's rows could be turned into a dictionary, those of
SQLAlchemy 2 can't, so ``return result.fetchall()`` would fail with a ``ValueError``. FastAPI keeps a table of encoders
by type: rows are added to it, as objects of their columns, once a session is asked for in a process with FastAPI.
"""

from __future__ import annotations

import sys
from typing import Any

from sqlalchemy import Row


def let_fastapi_encode_rows() -> None:
    """Does nothing where FastAPI is not loaded, or where rows have an encoder already. Never imports FastAPI."""
    encoders = getattr(sys.modules.get("fastapi.encoders"), "ENCODERS_BY_TYPE", None)
    if encoders is not None and Row not in encoders:
        encoders[Row] = _as_object


def _as_object(row: Row[Any]) -> Any:
    return sys.modules["fastapi.encoders"].jsonable_encoder(dict(row._mapping))  # noqa: SLF001 - public, says SQLAlchemy
