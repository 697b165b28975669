"""Whose pseudonyms a client gets (OpenID Connect Core §8.1)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from provider.protocol.client import ClientDetails
from provider.protocol.subjects import pairwise_sector, sector_of

OWN = "app_4fK"
PAIRWISE = ClientDetails(subject_type="pairwise")


@dataclass(frozen=True)
class PairwiseClient:
    redirect_uris: tuple[str, ...]
    details: ClientDetails = PAIRWISE
    client_id: str = OWN


@pytest.mark.parametrize(
    "redirect_uris, sector",
    [
        (("https://app.example/a",), "app.example"),
        (("https://app.example/a", "https://APP.example:8443/b"), "app.example"),
        (("https://app.example/a", "https://app2.example/a"), OWN),
        (("https://app.example/a", "http://localhost/a"), OWN),
        ((), OWN),
        # What anybody can register is nobody's sector.
        (("http://localhost/a",), OWN),
        (("http://127.0.0.1:7777/a",), OWN),
        (("bank.example:/a",), OWN),
        (("com.evil.app://bank.example/a",), OWN),
        (("com.evil.app://bank.example/a", "https://bank.example/a"), OWN),
    ],
)
def test_the_sector_is_the_host_of_all_redirect_uris_or_the_client_alone(
    redirect_uris: tuple[str, ...], sector: str
) -> None:
    assert pairwise_sector(PairwiseClient(redirect_uris)) == sector


def test_the_host_of_the_sectors_document_counts_before_them() -> None:
    details = ClientDetails(subject_type="pairwise", sector_identifier_uri="https://Sector.example:8443/uris.json")
    assert pairwise_sector(PairwiseClient(("https://a.example/", "https://b.example/"), details)) == "sector.example"


def test_a_client_with_public_subjects_has_no_sector() -> None:
    assert pairwise_sector(PairwiseClient(("https://app.example/a",), ClientDetails())) is None


def test_one_scheme_is_no_second_host_but_two_are() -> None:
    assert sector_of(ClientDetails(), ("com.example.app:/a", "com.example.app:/b")) == "com.example.app:"
    assert sector_of(ClientDetails(), ("com.example.app:/a", "com.example.other:/a")) is None
