"""What a page answers when there is no room for the request: kept once it is made, so that it costs next to nothing."""

from __future__ import annotations

from flask import Flask
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from provider.protocol.messages import ProtocolResponse
from provider.web import current, error_pages
from provider.web.locale import LANGUAGES

RETRY_SECONDS = 2


class BusyAnswers:
    """The page for 429 and for 503 in each language, rendered at its first use."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._made: dict[tuple[str, int], ProtocolResponse] = {}

    def __call__(self, accept_language: str, status: int) -> ProtocolResponse:
        wanted = parse_accept_header(accept_language, LanguageAccept).best_match(LANGUAGES)
        with self._app.app_context():
            language = wanted or current.settings().default_locale
        made = self._made.get((language, status))
        if made is None:
            made = self._made[language, status] = self._render(language, status)
        return ProtocolResponse(made.status, list(made.headers), made.body)

    def _render(self, language: str, status: int) -> ProtocolResponse:
        with self._app.test_request_context("/account", headers={"Accept-Language": language}):
            self._app.preprocess_request()
            response = self._app.process_response(error_pages.show(status, "busy"))
            response.headers["Retry-After"] = str(RETRY_SECONDS)
            response.headers.remove("Set-Cookie")
            return ProtocolResponse(status, list(response.headers), response.get_data())
