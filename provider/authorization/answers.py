"""What an authorization request gets in the end: a code or an error, by redirect or by form, or a page of ours.

The one place that sends people to applications. Every answer carries ``iss`` (RFC 9207) and the ``state`` it came with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provider.protocol.app_identity import identity_of
from provider.protocol.client import Client
from provider.protocol.errors import OAuthError
from provider.protocol.messages import ProtocolResponse
from provider.protocol.redirect_uris import add_to_query, redirect_host, web_origin

ERROR_PAGE = "errors/authorization"
OVER_PAGE = "errors/over"
FORM_PAGE = "form_post/answer"
FORM_POST = "form_post"


@dataclass(frozen=True, slots=True)
class ReturnAddress:
    """Where an answer goes, once it is certain that the redirect URI is the client's. ``mode`` is the response mode."""

    redirect_uri: str
    state: str | None = None
    mode: str = "query"


class AuthorizationAnswers:
    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    def send_back(self, to: ReturnAddress, answer: Mapping[str, str]) -> ProtocolResponse:
        """Sends the person to the application with the answer, by a redirect or a form that posts itself."""
        fields = self._fields(to, answer)
        if to.mode == FORM_POST:
            return ProtocolResponse.show(
                FORM_PAGE, action=to.redirect_uri, fields=fields, host_name=redirect_host(to.redirect_uri)
            )
        return ProtocolResponse.redirect(add_to_query(to.redirect_uri, fields))

    def refuse(self, client: Client, to: ReturnAddress, error: OAuthError) -> ProtocolResponse:
        """An error for the application. One that nobody vouched for gets nobody sent to it who has not acted on our page."""
        if client.is_vouched:
            return self.send_back(to, error.body())
        fields = self._fields(to, error.body())
        back: dict[str, Any] = {"back_url": add_to_query(to.redirect_uri, fields)}
        if to.mode == FORM_POST:
            back = {"back_action": to.redirect_uri, "back_fields": fields}
        return ProtocolResponse.show(
            ERROR_PAGE,
            400,
            error=error.error,
            description=error.description,
            known_app=identity_of(client, [to.redirect_uri]),
            back_host=redirect_host(to.redirect_uri),
            **back,
        )

    def over(self, client: Client | None = None, redirect_uri: str = "", *, is_used: bool = False) -> ProtocolResponse:
        """Our page for a request that leads nowhere any more: it is used, too old, or not of this browser.

        With its ``client``, which is to be usable, a link leads to where the person can start again. Nobody is sent there.
        """
        if client is None:
            return ProtocolResponse.show(OVER_PAGE, 400)
        start = self._start(client, redirect_uri)
        return ProtocolResponse.show(
            OVER_PAGE,
            400,
            is_used=is_used,
            known_app=identity_of(client, [redirect_uri]),
            start_url=start,
            start_host=redirect_host(start) if start else None,
        )

    def _start(self, client: Client, redirect_uri: str) -> str | None:
        """Where an application lets a person begin (OpenID Connect Core §4), as far as it is its own for sure.

        What it says of itself counts where somebody vouches for it; the host of its redirect URI is its own in any case.
        """
        details = client.details
        if client.is_vouched and details.initiate_login_uri is not None:
            return add_to_query(details.initiate_login_uri, {"iss": self._issuer})
        if client.is_vouched and details.client_uri is not None:
            return details.client_uri
        return web_origin(redirect_uri)

    def _fields(self, to: ReturnAddress, answer: Mapping[str, str]) -> dict[str, str]:
        state = {} if to.state is None else {"state": to.state}
        return {**answer, **state, "iss": self._issuer}
