"""Puts everything that pages share into the Flask application."""

from __future__ import annotations

from flask import Flask, g, request
from flask.typing import ResponseReturnValue
from flask_babel import Babel

from database.transaction import Transaction
from provider.doors.doorway import Doorway
from provider.doors.request_ids import new_request_id
from provider.program_name import command_on_a_page
from provider.protocol.messages import USER_AGENT_BYTES, Origin
from provider.protocol.sizes import cut
from provider.services import Services
from provider.web import (
    addresses,
    cookies,
    current,
    error_pages,
    forms,
    headers,
    listing,
    locale,
    rendering,
    theme,
    times,
    transactions,
)
from provider.web.second_factor_state import second_factor_state

_AT_THE_ROOT = {
    "/favicon.ico": "favicon.ico",
    "/robots.txt": "robots.txt",
    "/apple-touch-icon.png": "apple-touch-icon.png",
    "/apple-touch-icon-precomposed.png": "apple-touch-icon.png",
}


def install(app: Flask, services: Services, server: object, doorway: Doorway) -> None:
    """Transaction, origin, forged-form check, language, headers, template names and error pages."""
    app.extensions["mcp_core"] = services
    app.extensions["mcp_core_server"] = server
    Babel(app, locale_selector=locale.choose_locale, default_locale=services.settings.default_locale)
    locale.install(app)

    def begin() -> None:
        g.origin = Origin(
            source=doorway.source_of(request.remote_addr or "", request.headers.get("X-Forwarded-For", "")),
            user_agent=cut(request.headers.get("User-Agent", ""), USER_AGENT_BYTES),
            request_id=new_request_id(),
            now=doorway.clock(),
        )

    app.url_map.merge_slashes = False  # a wrong path is not found, it is never redirected with its body
    app.before_request(begin)
    app.before_request(forms.allow_file)
    app.before_request(forms.refuse_forged_form)
    app.after_request(headers.protect)
    app.after_request(cookies.set_browser_cookie)
    app.after_request(locale.remember_choice)
    app.after_request(theme.remember_choice)
    app.after_request(cookies.forget_notice)
    error_pages.install(app)
    listing.install(app)
    _lay_files_at_the_root(app)
    _name_for_templates(app)

    dispatch = app.dispatch_request

    def dispatch_in_transaction() -> ResponseReturnValue:
        return transactions.surround(app, lambda patience: Transaction(services.engine, patience), dispatch)

    app.dispatch_request = dispatch_in_transaction  # type: ignore[method-assign]


def _lay_files_at_the_root(app: Flask) -> None:
    """What browsers and crawlers fetch unasked. The same files as under ``/static``, so that no page answers for them."""
    app.url_map.redirect_defaults = False  # each address answers by itself
    for path, name in _AT_THE_ROOT.items():
        app.add_url_rule(path, endpoint="static", defaults={"filename": name})


def _name_for_templates(app: Flask) -> None:
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(
        command=command_on_a_page,
        csrf_token=forms.csrf_token,
        static_url=rendering.static_url,
        settings=current.settings,
        known_user=current.known_user,
        sends_cookies=current.sends_cookies,
        second_factor_state=second_factor_state,
        language=locale.language,
        theme=theme.theme,
        leads_on=addresses.leads_on,
        languages=locale.LANGUAGES,
        strong=rendering.strong,
        code=rendering.code,
        host=rendering.host,
        isolated=rendering.isolated,
        said=rendering.said,
        app=rendering.app,
    )
    app.jinja_env.filters.update(
        clock_time=times.clock_time,
        day=times.day,
        day_and_time=times.day_and_time,
        ago=times.ago,
    )
