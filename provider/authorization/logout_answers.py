"""What a browser gets when its session is over, or before: a question, a redirect, or a page that tells applications.

The logout endpoint and the sign-out page both use it. Front-channel logout (OpenID Connect Front-Channel Logout 1.0)
happens here: the page that says goodbye loads an address of each application in a frame, and then leads on.
"""

from __future__ import annotations

import datetime
from urllib.parse import urlsplit

from database.transaction import Transaction
from provider.protocol.headers import cookie_line
from provider.protocol.messages import ProtocolResponse
from provider.protocol.redirect_uris import add_to_query, redirect_host
from provider.security.crypto import constant_time_equal
from provider.services import Services

SIGNED_OUT_PAGE = "sign_out/done"
SIGN_OUT_PATH = "/sign-out"
LOGIN_PATH = "/login"
SIGNED_OUT_NOTICE = "signed-out"
# Frames of ours and of applications that answer slowly are left behind then.
FRAME_SECONDS = 3


class LogoutAnswers:
    def __init__(self, services: Services) -> None:
        self._services = services

    def ask(self, session_id: str, uri: str | None = None, state: str | None = None) -> ProtocolResponse:
        """Sends the person to the page that asks first.

        ``uri`` is where the application may have them sent afterwards; it travels with a proof that holds for this
        session alone, so that the page leads nowhere that was not checked.
        """
        if uri is None:
            return ProtocolResponse.redirect(SIGN_OUT_PATH)
        fields = {"post_logout_redirect_uri": uri, **({"state": state} if state else {})}
        proof = {"proof": self._proof(session_id, uri, state or "")}
        return ProtocolResponse.redirect(add_to_query(SIGN_OUT_PATH, fields | proof))

    def confirmed_target(self, session_id: str, uri: str, state: str, proof: str) -> str | None:
        """Where ``ask`` promised to lead, None when it didn't."""
        if not uri or not constant_time_equal(proof, self._proof(session_id, uri, state)):
            return None
        return add_to_query(uri, {"state": state} if state else {})

    def signed_out(
        self, tx: Transaction, now: datetime.datetime, session_id: str | None, target: str | None
    ) -> ProtocolResponse:
        """Leads to ``target`` or to our sign-in page: at once, or after the session's applications were loaded in frames."""
        to = target or LOGIN_PATH
        frames = [] if session_id is None else self._frames(tx, now, session_id)
        if not frames:
            return self._saying_so(ProtocolResponse.redirect(to), target)
        answer = ProtocolResponse.show(
            SIGNED_OUT_PAGE,
            frames=frames,
            frame_origins=[_origin(frame) for frame in frames],
            to=to,
            to_host=redirect_host(target) if target else None,
            seconds=FRAME_SECONDS,
        )
        return self._saying_so(answer, target)

    def _saying_so(self, answer: ProtocolResponse, target: str | None) -> ProtocolResponse:
        """Our own page at the end says that the person is signed out."""
        if target is None:
            name = self._services.settings.cookie_name("notice")
            line = cookie_line(name, SIGNED_OUT_NOTICE, is_secure=self._services.settings.is_https, seconds=60)
            answer.headers.append(("Set-Cookie", line))
        return answer

    def _frames(self, tx: Transaction, now: datetime.datetime, session_id: str) -> list[str]:
        """The addresses to load, each with ``iss`` and ``sid`` (OpenID Connect Front-Channel Logout §2)."""
        services, frames = self._services, []
        for party in services.logout_notices.parties(tx, now, session_id):
            uri = party.details.frontchannel_logout_uri
            if uri is not None:
                sid = services.subjects.session_of(party, session_id)
                frames.append(add_to_query(uri, {"iss": services.settings.issuer, "sid": sid}))
        return list(dict.fromkeys(frames))

    def _proof(self, session_id: str, uri: str, state: str) -> str:
        return self._services.keyring.keyed_hash("logout target", f"{session_id}\n{state}\n{uri}")


def _origin(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"
