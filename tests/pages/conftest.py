"""A site for each test, on TLS as in production; ``site_factory`` makes one with other settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provider.security.crypto import Keyring
from tests.pages.site import Account, Site, Visitor

SiteFactory = Callable[..., Site]


@pytest.fixture
def site_factory(tmp_path: Path, migrated_sqlite_file: Path, keyring: Keyring) -> Iterator[SiteFactory]:
    made: list[Site] = []

    def make(**settings: Any) -> Site:
        made.append(Site(tmp_path / f"site-{len(made)}", migrated_sqlite_file, keyring, **settings))
        return made[-1]

    yield make
    for site in made:
        site.close()


@pytest.fixture
def site(site_factory: SiteFactory) -> Site:
    return site_factory()


@pytest.fixture
def visitor(site: Site) -> Visitor:
    return Visitor(site)


@pytest.fixture
def ana(site: Site) -> Account:
    """A person with a password only."""
    return site.account("ana")


@pytest.fixture
def bora(site: Site) -> Account:
    """A person with two-step sign-in."""
    return site.account("bora", second_factor=True)
