"""By what people are to know an application: its own words count only where somebody vouches for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from provider.protocol.client import Client
from provider.protocol.redirect_uris import goes_to_a_device, redirect_host


@dataclass(frozen=True, slots=True)
class AppIdentity:
    """``name`` is what the application says of itself. ``host`` is what proves itself of one that nobody vouches for: the
    host of its id or of where answers go, None where those stay on the person's device."""

    name: str
    is_vouched: bool
    is_on_device: bool
    host: str | None


def client_host(client: Client) -> str | None:
    """The host of a client's id that is a URL."""
    return urlsplit(client.client_id).netloc or None


def identity_of(client: Client, redirect_uris: Iterable[str]) -> AppIdentity:
    """``redirect_uris`` are those that it is about: the one of a request, or all."""
    uris = tuple(redirect_uris)
    is_on_device = any(map(goes_to_a_device, uris))
    hosts = ", ".join(dict.fromkeys(map(redirect_host, uris)))
    return AppIdentity(
        name=client.name,
        is_vouched=client.is_vouched,
        is_on_device=is_on_device,
        host=None if is_on_device else client_host(client) or hosts or None,
    )
