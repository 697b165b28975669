"""The provider under test: our server behind TLS, with a person, applications and a registration token.

    python -m tests.conformance.provider_under_test FOLDER

Everything is made by ``mcp-core`` in FOLDER; ``FOLDER/provider.json`` says what ``run`` has to know. SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import datetime
import io
import json
import os
import shutil
import signal
import string
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from joserfc import jwk
from PIL import Image

from database.connection import create_engine_for
from database.transaction import Transaction
from provider.accounts.pictures import made_anew
from provider.accounts.profiles import Profiles
from provider.accounts.users import Users
from provider.audit import AuditRecorder
from provider.protocol.messages import Origin
from tests.database_servers import make_certificates
from tests.endpoints.provider import FULL_PROFILE
from tests.serving import Server

HERE = Path(__file__).parent
USERNAME = "conny"
PASSWORD = "seven purple lanterns over quiet water"
# It sends no challenge, not always a nonce, and warns of what an ID token says that UserInfo would say.
_AS_THE_SUITE_HAS_IT = ("--no-pkce", "--claims-in-id-token", "off")
# By configuration: the applications that have to be there before, and how they prove themselves.
_CLIENTS = {
    "static": {
        "client": "client_secret_basic",
        "client2": "client_secret_basic",
        "post_client": "client_secret_post",
    },
    "static-keys": {"client": "private_key_jwt", "client2": "private_key_jwt"},
}


def main() -> None:
    arguments = _arguments()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "ca.pem").exists():
        make_certificates(folder)
    server = _server(folder, arguments)
    front: subprocess.Popen[bytes] | None = None
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        server.start()
        front = _front(folder, arguments, server.port)
        made = folder / "provider.json"
        if not made.exists():
            made.write_text(json.dumps(_made(server, arguments.suite), indent=2))
            made.chmod(0o600)
        print(f"{server.issuer} is up; {made} says what was made", flush=True)
        while not stopped.wait(1):
            if server.has_ended or front.poll() is not None:
                sys.exit(f"ended: see {server.log} and {folder / 'nginx.log'}")
    finally:
        if front is not None:
            front.terminate()
            front.wait(20)
        server.stop()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Start the provider under test and TLS in front of it and of the suite."
    )
    parser.add_argument("folder", type=Path, help="for its database, keys, certificates and logs; is made")
    parser.add_argument(
        "--port", type=int, default=9443, help="of the provider; the issuer is https://localhost:PORT/oauth"
    )
    parser.add_argument("--backend", type=int, default=9080, help="where the provider itself listens")
    parser.add_argument(
        "--suite", default="https://localhost:8443", help="the suite's base_url; TLS is put in front of it"
    )
    parser.add_argument("--suite-backend", default="http://127.0.0.1:8080", help="where the suite itself listens")
    parser.add_argument(
        "--setting", action="append", default=[], metavar="NAME=VALUE", help="of the provider; repeatable"
    )
    return parser.parse_args()


def _server(folder: Path, arguments: argparse.Namespace) -> Server:
    """Default settings, but for what the suite needs: its TLS is trusted, its address may be asked, nothing is throttled.

    Its module on new keys stops at a key type that it does not know, "OKP", so there are no EdDSA keys.
    """
    settings = {
        "MCP_BEHIND_TLS_PROXY": "true",
        "MCP_TRUSTED_PROXY_COUNT": "1",
        "MCP_RATE_LIMITS": "false",
        "MCP_OUTBOUND_CA_FILE": str(folder / "ca.pem"),
        "MCP_OUTBOUND_ALLOWED_HOSTS": arguments.suite.removeprefix("https://"),
        "MCP_SIGNING_ALGORITHMS": "RS256 ES256",
        **dict(setting.split("=", 1) for setting in arguments.setting),
    }
    server = Server(folder, settings=settings, port=arguments.backend)
    server.issuer = f"https://localhost:{arguments.port}/oauth"
    return server


def _front(folder: Path, arguments: argparse.Namespace, backend: int) -> subprocess.Popen[bytes]:
    nginx = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    if nginx is None:
        sys.exit("nginx is missing: apt-get install nginx-light")
    (folder / "temporary").mkdir(exist_ok=True)
    filled = string.Template((HERE / "nginx.conf").read_text()).substitute(
        folder=folder,
        provider_port=arguments.port,
        provider_backend=backend,
        suite_port=arguments.suite.rpartition(":")[2],
        suite_backend=arguments.suite_backend,
    )
    (folder / "nginx.conf").write_text(filled)
    return subprocess.Popen([nginx, "-c", str(folder / "nginx.conf"), "-e", str(folder / "nginx.log")])


def _made(server: Server, suite: str) -> dict[str, Any]:
    """Makes what the plans need, and tells what it is."""
    server.user(USERNAME, PASSWORD, "--verified")
    _say_everything(server)
    token = server.mcp_core_json(
        "registration-token", "create", "--name", "OpenID conformance suite", *_AS_THE_SUITE_HAS_IT
    )
    plans = json.loads((HERE / "plans.json").read_text())
    clients = {
        key: _clients(server, _CLIENTS[plan["configuration"]], f"{suite}/test/a/{alias(key)}/callback")
        for key, plan in plans.items()
        if plan["configuration"] in _CLIENTS
    }
    return {
        "issuer": server.issuer,
        "suite": suite,
        "username": USERNAME,
        "password": PASSWORD,
        "registration_token": token["token"],
        "clients": clients,
        "environment": {name: value for name, value in server.environment.items() if name.startswith("MCP_")},
    }


def _say_everything(server: Server) -> None:
    """Has the person say all that the scopes ``profile``, ``phone`` and ``address`` can tell."""
    now = datetime.datetime.now(datetime.UTC)
    origin = Origin("127.0.0.1", "conformance", "conformance", now)
    picture = io.BytesIO()
    Image.new("RGB", (300, 300), "teal").save(picture, "PNG")
    profiles, users = Profiles(AuditRecorder(), server.issuer.removesuffix("/oauth")), Users(AuditRecorder())
    engine = create_engine_for(f"sqlite:///{server.home}/instance/mcp-core.db")
    with Transaction(engine) as tx:
        user = users.find_by_login(tx, USERNAME)
        assert user is not None
        assert profiles.save(tx, origin, user, "Conny Example", FULL_PROFILE)
        users.set_locale(tx, now, user.id, "en")
        users.set_time_zone(tx, now, user.id, "Europe/Berlin")
        profiles.set_picture(tx, origin, user.id, made_anew(picture.getvalue()))
    engine.dispose()


def alias(plan: str) -> str:
    """What the suite's addresses are called in this plan."""
    return f"mcp-core-{plan}"


def _clients(server: Server, wanted: dict[str, str], redirect_uri: str) -> dict[str, Any]:
    """Ids, and secrets or private keys, under the names that the configurations use."""
    found: dict[str, Any] = {}
    for role, method in wanted.items():
        arguments = ["client", "create", "--name", f"Conformance {role}", "--redirect-uri", redirect_uri]
        arguments += ["--auth-method", method, *_AS_THE_SUITE_HAS_IT]
        if method == "private_key_jwt":
            key = jwk.RSAKey.generate_key(2048, {"kid": role, "use": "sig", "alg": "RS256"}, private=True)
            published = server.home / "jwks.json"
            published.write_text(json.dumps({"jwks": {"keys": [key.as_dict(private=False)]}}))
            made = server.mcp_core_json(*arguments, "--metadata", str(published))
            found[f"{role}_jwks"] = {"keys": [key.as_dict(private=True)]}
        else:
            made = server.mcp_core_json(*arguments)
            found[f"{role}_secret"] = made["client_secret"]
        found[f"{role}_id"] = made["client_id"]
    return found


if __name__ == "__main__":
    main()
