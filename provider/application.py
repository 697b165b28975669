"""``create_app``: settings, services, endpoints through both doors, pages, error handlers."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from flask import Flask
from sqlalchemy import Engine

from database import DatabaseConnection, Transaction
from provider import endpoints, pages, web
from provider.doors.bare import BareDoor
from provider.doors.doorway import Doorway
from provider.doors.flask import mount_in_flask
from provider.key_files import load_keyring
from provider.logout_delivery import LogoutDelivery
from provider.oauth_server import OAuthServer
from provider.security.crypto import Keyring
from provider.services import Services, build_services
from provider.settings import Settings, load_settings


def utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def create_app(
    settings: Settings | None = None,
    engine: Engine | None = None,
    keyring: Keyring | None = None,
    *,
    clock: Callable[[], datetime.datetime] = utc_now,
    bare_door: bool = True,
    delivers: bool = False,
) -> Flask:
    """The whole provider as one WSGI application.

    Without arguments everything comes from the environment. ``clock`` gives the time of a request, an aware UTC
    ``datetime``. ``bare_door`` off sends the machine endpoints through Flask as well, with the same answers.
    ``delivers`` starts the thread that sends logout notices: for a server. The database must have been migrated.
    """
    settings = settings or load_settings()
    if engine is None:
        DatabaseConnection.initialize()
        engine = DatabaseConnection.get_engine()
    services = build_services(settings, engine, keyring or load_keyring(settings))
    with Transaction(engine) as tx:
        services.signing_keys.ensure(tx, clock())
    app = Flask(__name__, template_folder="../templates", static_folder="static", static_url_path="/static")
    app.config["MAX_CONTENT_LENGTH"] = 65_536
    app.config["MAX_FORM_PARTS"] = 100
    app.extensions["mcp_core"] = services
    doorway = Doorway(engine, trusted_proxy_count=settings.trusted_proxy_count, is_https=settings.is_https, clock=clock)
    server = OAuthServer(services)
    web.install(app, services, server, doorway)
    for blueprint in pages.ALL:
        app.register_blueprint(blueprint)
    mounted = [endpoint for mount in endpoints.ALL for endpoint in mount(server)]
    for endpoint in mounted:
        mount_in_flask(app, doorway, endpoint, web.render_answer)
    if bare_door:
        app.wsgi_app = BareDoor(doorway, mounted, app.wsgi_app)  # type: ignore[method-assign]
    if delivers:
        LogoutDelivery(services, clock).start()
    return app


def services_of(app: Flask) -> Services:
    services: Services = app.extensions["mcp_core"]
    return services
