"""The list of sealed columns: complete, and used by those who seal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from database.models import metadata
from provider.security.sealed_columns import ALL, DATA_EXPORT, SIGNING_KEY, SealedColumn

NAMED_BY_THE_SEED = {
    f"users.{name}" for name in ("two_factor_secret", "cloud_access_key", "cloud_secret_key", "cloud_config_json")
}
PROVIDER = Path(__file__).resolve().parents[2] / "provider"


def test_every_sealed_column_is_in_the_list() -> None:
    """By their names, so that a new one is not forgotten: rotation would leave it under the old key."""
    named = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if column.name.endswith("_encrypted") or f"{table.name}.{column.name}" in NAMED_BY_THE_SEED
    }
    assert len(named) > len(NAMED_BY_THE_SEED)
    assert named == {str(column) for column in ALL}
    assert len(ALL) == len(set(map(str, ALL)))


@pytest.mark.parametrize("sealed", ALL, ids=str)
def test_every_column_of_the_list_is_there_with_what_it_is_bound_to(sealed: SealedColumn) -> None:
    assert [column.name for column in sealed.table.primary_key.columns] == [sealed.key]
    row = {column.name: f"of {column.name}" for column in sealed.table.columns}
    bound = {name: f"of {column}" for name, column in sealed.bound.items()}
    assert sealed.context_of(row) == {
        "table": sealed.table.name,
        "column": sealed.column.name,
        "id": f"of {sealed.key}",
        **bound,
    }


def test_nobody_seals_to_half_a_place() -> None:
    assert SIGNING_KEY.context("k") == {"table": "signing_keys", "column": "private_key_encrypted", "id": "k"}
    assert DATA_EXPORT.context("1", owner="u")["owner"] == "u"
    with pytest.raises(TypeError, match="owner"):
        DATA_EXPORT.context("1")
    with pytest.raises(TypeError, match="its row alone"):
        SIGNING_KEY.context("1", owner="u")


def test_nobody_spells_a_place_by_hand() -> None:
    for path in PROVIDER.rglob("*.py"):
        if path.name != "sealed_columns.py":
            assert not re.search(r'"table": "', path.read_text("utf-8")), path
