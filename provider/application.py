"""``create_app``: settings, services, endpoints through every door, pages, error handlers."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from flask import Flask
from sqlalchemy import Engine

from database import DatabaseConnection, Transaction
from database.engines import hasty_engine
from provider import endpoints, pages, web
from provider.doors.asynchronous import AsynchronousDoor
from provider.doors.bare import BareDoor
from provider.doors.doorway import Doorway
from provider.doors.flask import mount_in_flask
from provider.doors.gathering import Gathering
from provider.doors.lanes import DEFAULT_THREADS, machine_and_page_lanes
from provider.doors.pulse import Pulse
from provider.oauth_server import OAuthServer
from provider.program_files import templates_folder
from provider.security.crypto import Keyring
from provider.security.turns import FETCH_THREADS
from provider.services import Services
from provider.settings import Settings, load_settings
from provider.start.couriers import couriers
from provider.start.key_files import load_keyring
from provider.upkeep.reset_answers import ResetAnswers
from provider.upkeep.ring_watch import RingWatch
from provider.upkeep.sweeper import Sweeper

THREADS_OF_OTHERS = 4  # what gunicorn has in the documented command; strangers may hold three of them


def utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def create_app(
    settings: Settings | None = None,
    engine: Engine | None = None,
    keyring: Keyring | None = None,
    *,
    clock: Callable[[], datetime.datetime] = utc_now,
    delivers: bool = False,
    threads: int | None = None,
) -> Flask:
    """The whole provider as one WSGI application.

    Without arguments everything comes from the environment. ``clock`` gives the time of a request, an aware UTC
    ``datetime``. ``delivers`` starts what a server does unasked: it feels the pulse of the database, empties the outboxes
    and sweeps. ``threads`` is how many machine calls the asynchronous door has answered at once; None for another server,
    which lends us a few threads for everything. The database must have been migrated.
    """
    settings = settings or load_settings()
    if engine is None:
        DatabaseConnection.initialize()
        engine = DatabaseConnection.get_engine()
    fetch_threads = FETCH_THREADS if threads else THREADS_OF_OTHERS
    services = Services(settings, engine, keyring or load_keyring(settings), fetch_threads=fetch_threads)
    with Transaction(engine) as tx:
        services.signing_keys.ensure(tx, clock())
    app = Flask(__name__, template_folder=str(templates_folder()), static_folder="static", static_url_path="/static")
    app.config["MAX_CONTENT_LENGTH"] = 65_536
    app.config["MAX_FORM_PARTS"] = 100
    app.extensions["mcp_core"] = services
    doorway = Doorway(engine, trusted_proxy_count=settings.trusted_proxy_count, is_https=settings.is_https, clock=clock)
    pulse = Pulse(engine, clock, services.signing_keys.jwks) if delivers else None
    server = OAuthServer(services, pulse)
    web.install(app, services, server, doorway)
    for blueprint in pages.ALL:
        app.register_blueprint(blueprint)
    mounted = [endpoint for mount in endpoints.ALL for endpoint in mount(server)]
    for endpoint in (item for item in mounted if item.shows_pages or not item.bare):
        mount_in_flask(app, doorway, endpoint, web.render_answer)
    machines, people = machine_and_page_lanes(threads or DEFAULT_THREADS)
    app.extensions["mcp_core_door"] = AsynchronousDoor(
        doorway,
        mounted,
        BareDoor(doorway, (item for item in mounted if item.shows_pages), app.wsgi_app),
        gathering=Gathering(hasty_engine(engine)),
        machines=machines,
        pages=people,
        busy=web.BusyAnswers(app),
        files=web.files_of(app),
    )
    app.wsgi_app = BareDoor(doorway, mounted, app.wsgi_app)  # type: ignore[method-assign]
    if pulse is not None:
        pulse.start()
        for courier in couriers(services, clock):
            courier.start()
        ResetAnswers(engine, clock, services.forgotten_passwords).start()
        Sweeper(services, clock).start()
        if services.keyring.masters.renewal is not None:
            RingWatch(services.keyring.masters.renewal).start()
    return app


def create_door(threads: int = DEFAULT_THREADS) -> AsynchronousDoor:
    """The whole provider of the environment as one ASGI application, with the threads of a server."""
    return asynchronous_door_of(create_app(delivers=True, threads=threads))


def asynchronous_door_of(app: Flask) -> AsynchronousDoor:
    """The same application as ASGI."""
    door: AsynchronousDoor = app.extensions["mcp_core_door"]
    return door


def services_of(app: Flask) -> Services:
    services: Services = app.extensions["mcp_core"]
    return services
