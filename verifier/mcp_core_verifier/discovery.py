"""Where the provider's endpoints are: its metadata (RFC 8414 §3, OpenID Connect Discovery §4)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from mcp_core_verifier.http import FetchFailed, Http, checked_url


def metadata_urls(issuer: str) -> list[str]:
    """Where to ask, in order: between host and path, then behind the path."""
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    return [
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{issuer.rstrip('/')}/.well-known/openid-configuration",
    ]


class Discovery:
    """Finds endpoints, and remembers them until ``forget``. What is ``given`` is not looked up."""

    def __init__(self, http: Http, issuer: str, given: dict[str, str | None]) -> None:
        self._http = http
        self._issuer = issuer
        self._given = {name: url for name, url in given.items() if url is not None}
        self._document: dict[str, Any] | None = None

    async def endpoint(self, name: str) -> str:
        """The URL of ``jwks_uri`` or ``introspection_endpoint``. Raises ``FetchFailed``.

        It must be on the issuer's own origin: keys and our secret are not for others.
        """
        if name in self._given:
            return self._given[name]
        if self._document is None:
            self._document = await self._discover()
        url = self._document.get(name)
        if not isinstance(url, str) or urlsplit(url)[:2] != urlsplit(self._issuer)[:2]:
            self._document = None
            raise FetchFailed(f"the metadata of {self._issuer} names no usable {name}")
        try:
            return checked_url(url, allow_http=True)  # as safe as the issuer itself
        except ValueError as error:
            raise FetchFailed(str(error)) from None

    def forget(self) -> None:
        self._document = None

    async def _discover(self) -> dict[str, Any]:
        failure = FetchFailed("nothing was asked")
        for url in metadata_urls(self._issuer):
            try:
                document = await self._http.get_json(url)
            except FetchFailed as error:
                failure = error
                continue
            if document.get("issuer") == self._issuer:
                return document
            failure = FetchFailed(f"{url} is about the issuer {document.get('issuer')!r}, not {self._issuer!r}")
        raise failure
