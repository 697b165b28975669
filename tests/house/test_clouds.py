"""The clouds of the seed document: each has fields, the tables know no other, and ``docs/clouds.md`` has every field."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import CheckConstraint

from database.models import CloudAccount, User
from database.models.users import CLOUD_PROVIDERS
from provider.vault.cloud_accounts import MAX_ACCOUNTS
from provider.vault.providers import PROVIDERS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/clouds.md").read_text("utf-8")


def known_to(model: Any, name: str) -> set[str]:
    """The values that a CHECK of the model's table allows."""
    (check,) = (
        it
        for it in model.__table__.constraints
        if isinstance(it, CheckConstraint) and str(it.name).endswith(f"_{name}")
    )
    return set(re.findall(r"'(\w+)'", str(check.sqltext)))


def test_every_cloud_has_fields_and_no_other_can_be_stored() -> None:
    document = set(re.findall(r"`cloud_provider='(\w+)'`", (ROOT / "database/README.md").read_text("utf-8")))
    document |= {"alibaba", "oracle", "ibm", "other"}
    assert (
        set(PROVIDERS)
        == set(CLOUD_PROVIDERS)
        == document
        == known_to(CloudAccount, "provider")
        == known_to(User, "cloud_provider")
    )
    assert all(cloud.secret and cloud.title and cloud.name == name for name, cloud in PROVIDERS.items())


def rows_of(heading: str, mode: str) -> list[list[str]]:
    """Name, column and marks of each field in the page's table for one cloud and mode."""
    part = PAGE.partition(f"\n### {heading}\n")[2].partition("\n### ")[0]
    table = part.partition("With a secret:" if mode == "secret" else "Without one:")[2].strip().partition("\n\n")[0]
    return [[cell.strip().strip("`") for cell in line.split("|")[1:4]] for line in table.splitlines()[2:]]


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_page_has_every_field(name: str) -> None:
    cloud = PROVIDERS[name]
    for mode in ("secret", "keyless"):
        typed = cloud.fields(mode)
        expected = []
        for field in cloud.kept_fields(mode) if typed else ():
            marks = ["secret" if field.is_secret else "sealed" if field.is_sealed else ""]
            if field not in tuple(typed):
                marks = ["follows"]
            elif not field.is_required:
                marks.append(f"default `{field.default}`" if field.default else "optional")
            expected.append([field.name, field.column or "options", ", ".join(filter(None, marks)).strip("`")])
        assert rows_of(f"{cloud.title} (`{name}`)", mode) == expected


def test_the_page_says_how_many() -> None:
    assert f"has up to {MAX_ACCOUNTS} accounts" in PAGE
