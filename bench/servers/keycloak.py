"""Keycloak in production mode on its own H2 file, warmed up. Its zip comes from Maven, and wants Java 21 or later."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.cache import install, unpacked
from bench.processes import run_to_its_end
from bench.servers.measured import NAME_OF_PERSON, PASSWORD, REDIRECT, Ask, Client, Measured, NotHere

VERSION = "26.7.0"
LEAST_JAVA = 21
REALM = "bench"
CLIENTS = 200  # importing one takes it long
SECRET = "a-secret-of-the-benchmark-and-of-nothing-else"
IMPORT_SECONDS = 900
_WITHOUT = "Keycloak could not be had by Maven"


def java_home() -> Path:
    """Of a Java that is new enough. Raises ``NotHere``."""
    for home in _java_homes():
        program = home / "bin" / "java"
        if program.is_file():
            said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
            found = re.search(r'version "(\d+)', said)
            if found and int(found[1]) >= LEAST_JAVA:
                return home
    raise NotHere(f"Keycloak needs Java {LEAST_JAVA} or later, which is not here; JAVA_HOME can name one.")


def _java_homes() -> Iterator[Path]:
    if "JAVA_HOME" in os.environ:
        yield Path(os.environ["JAVA_HOME"])
    found = shutil.which("java")
    if found:
        yield Path(found).resolve().parents[1]
    yield from sorted(Path("/usr/lib/jvm").glob("*"))


def distribution(java: Path) -> Path:
    """Keycloak's folder, its program put together for a single machine. Raises ``NotHere``."""
    with unpacked(f"keycloak-{VERSION}") as (folder, is_complete):
        home = folder / f"keycloak-{VERSION}"
        if not is_complete:
            if shutil.which("mvn") is None:
                raise NotHere(f"{_WITHOUT}: mvn is not here.")
            artifact = f"-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
            install(["mvn", "-q", "-B", "dependency:copy", artifact, f"-DoutputDirectory={folder}"], folder, _WITHOUT)
            archive = folder / f"keycloak-quarkus-dist-{VERSION}.zip"
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(folder)
            archive.unlink()
            options = ("--cache=local", "--health-enabled=false", "--metrics-enabled=false")
            install(["sh", home / "bin" / "kc.sh", "build", *options], folder, _WITHOUT, JAVA_HOME=str(java))
    return home


def realm() -> dict[str, Any]:
    """One of each algorithm for machines, an application, and somebody who can sign in."""
    machine: dict[str, Any] = {"protocol": "openid-connect", "secret": SECRET, "publicClient": False}
    machine |= {"standardFlowEnabled": False, "serviceAccountsEnabled": True}
    by_algorithm = {"RS256": ("machine-RS256",), "ES256": ("machine-ES256", *(f"machine{n}" for n in range(CLIENTS)))}
    machines = [
        {
            **machine,
            "clientId": name,
            "attributes": {"access.token.signed.response.alg": algorithm},
            "protocolMappers": [_audience(name)],
        }
        for algorithm, names in by_algorithm.items()
        for name in names
    ]
    signed = {"access.token.signed.response.alg": "ES256", "id.token.signed.response.alg": "RS256"}
    app: dict[str, Any] = {"clientId": "app", "protocol": "openid-connect", "secret": SECRET, "publicClient": False}
    app |= {"redirectUris": [REDIRECT], "standardFlowEnabled": True, "attributes": signed}
    person: dict[str, Any] = {
        "username": NAME_OF_PERSON,
        "email": f"{NAME_OF_PERSON}@example.com",
        "firstName": "A",
        "lastName": "B",
    }
    person |= {"enabled": True, "emailVerified": True, "realmRoles": ["offline_access"]}
    credentials = [{"type": "password", "value": PASSWORD}]
    keys = {
        "rsa-generated": {"algorithm": ["RS256"]},
        "ecdsa-generated": {"ecdsaEllipticCurveKey": ["P-256"]},
        "hmac-generated": {"algorithm": ["HS512"]},
        "aes-generated": {},
    }
    providers = [
        {"name": kind, "providerId": kind, "config": {"priority": ["100"], **config}} for kind, config in keys.items()
    ]
    return {
        "realm": REALM,
        "enabled": True,
        "sslRequired": "none",
        "accessTokenLifespan": 600,
        "revokeRefreshToken": True,
        "refreshTokenMaxReuse": 0,
        "clients": [*machines, app],
        "users": [{**person, "credentials": credentials}],
        "components": {"org.keycloak.keys.KeyProvider": providers},
    }


def _audience(client: str) -> dict[str, Any]:
    """The client itself is in ``aud`` of its tokens, without which it learns nothing of them by introspection."""
    config = {"included.client.audience": client, "access.token.claim": "true", "introspection.token.claim": "true"}
    return {
        "name": "audience",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": config,
    }


class Keycloak(Measured):
    key = "keycloak"
    name = "Keycloak, H2"
    stores = "users and offline sessions; no record of an access token"
    warm_up_seconds = 20.0
    least_seconds = 4.0
    app = Client("app", SECRET)
    has_chains_in_a_session = False
    offline_prompt = None

    def __init__(self, folder: Path, cores: Sequence[int]) -> None:
        super().__init__(folder, cores)
        self._java: Path

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}/realms/{REALM}"

    @property
    def version(self) -> str:
        return VERSION

    def furnish(self) -> None:
        self._java = java_home()
        copied = self.folder / "keycloak"
        shutil.copytree(distribution(self._java), copied, copy_function=_linked)
        (self.folder / "realm.json").write_text(json.dumps(realm()), encoding="utf-8")
        command = ["sh", copied / "bin" / "kc.sh", "import", "--optimized", "--file", self.folder / "realm.json"]
        environment = {**os.environ, **self.environment()}
        try:
            done = run_to_its_end(command, IMPORT_SECONDS, folder=self.folder, environment=environment)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"Keycloak imported no realm within {IMPORT_SECONDS // 60} minutes") from None
        if done.returncode:
            raise RuntimeError(f"Keycloak imported no realm: {done.stdout[-3000:]}")

    def command(self) -> list[str]:
        options = ["--http-enabled=true", "--http-host=127.0.0.1", f"--http-port={self.port}"]
        options += [f"--hostname=http://127.0.0.1:{self.port}", "--log-level=warn", "--http-management-port=0"]
        return ["sh", str(self.folder / "keycloak" / "bin" / "kc.sh"), "start", "--optimized", *options]

    def environment(self) -> dict[str, str]:
        return {"JAVA_HOME": str(self._java)}

    def machine(self, algorithm: str) -> Ask:
        client = self.machines(algorithm)[0]
        return Ask(client, {"grant_type": "client_credentials"}, algorithm, ("iss", "sub", "aud", "exp", "iat"))

    def machines(self, algorithm: str) -> Sequence[Client]:
        further = range(CLIENTS if algorithm == "ES256" else 0)
        return [Client(f"machine-{algorithm}", SECRET), *(Client(f"machine{number}", SECRET) for number in further)]


def _linked(source: str, target: str) -> None:
    """A second name for the same file where that can be, since nothing of it is changed; otherwise a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
