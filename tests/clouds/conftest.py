"""A provider that is running, a person there with an account in each cloud, and clouds that read its keys over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from database.transaction import Transaction
from provider.security.crypto import Keyring
from provider.vault.account import CloudAccount
from provider.vault.cloud_tokens import Asker
from provider.vault.door import GuardedDoor
from provider.vault.exchanges import EXCHANGES
from provider.vault.exchanges.exchange import CloudCredentials
from tests.clouds.access_tokens import Entra, Google, OracleDomain
from tests.clouds.other_services import Cluster, OAuthEndpoint, OpenAI, OpenRouter
from tests.clouds.printed import Told
from tests.clouds.role_keys import AlibabaSts, AwsSts
from tests.clouds.strict_cloud import StrictCloud
from tests.clouds.trust import Trust
from tests.database_servers import make_certificates
from tests.pages.site import Site
from tests.vault.samples import keyless_fields

ROBOT = "robot@house-of-ana-1.iam.gserviceaccount.com"
# By what is connected: which cloud it is, who stands in its place, and what is said beside the samples.
KINDS: Mapping[str, tuple[str, type[StrictCloud], Mapping[str, str]]] = {
    "aws": ("aws", AwsSts, {}),
    "azure": ("azure", Entra, {}),
    "gcp": ("gcp", Google, {}),
    "gcp-robot": ("gcp", Google, {"service_account": ROBOT}),
    "alibaba": ("alibaba", AlibabaSts, {}),
    "oracle": ("oracle", OracleDomain, {}),
    "token-exchange": ("other", OAuthEndpoint, {"protocol": "token-exchange"}),
    "jwt-bearer": ("other", OAuthEndpoint, {"protocol": "jwt-bearer"}),
    "openai": (
        "other",
        OpenAI,
        {"preset": "openai", "audience": "", "parameters": "identity_provider_id=wip_1 service_account_id=svc_1"},
    ),
    "openrouter": (
        "other",
        OpenRouter,
        {"preset": "openrouter", "audience": "", "parameters": "federation_policy_id=fp_1"},
    ),
    "kubernetes": ("other", Cluster, {"preset": "kubernetes", "audience": "cluster-1"}),
}


class World:
    """``clouds`` and ``accounts`` by the names of ``KINDS``, which are labels as well."""

    def __init__(self, folder: Path, migrated: Path, keyring: Keyring) -> None:
        make_certificates(folder)
        self.clouds = {
            name: kind(
                Trust(clock=lambda: self.site.now, authority=folder / "ca.pem"), {**keyless_fields(cloud), **more}
            )
            for name, (cloud, kind, more) in KINDS.items()
        }
        authorities = folder / "clouds.pem"
        authorities.write_text("".join(it.server.authority.read_text() for it in self.clouds.values()))
        hosts = " ".join(it.server.host for it in self.clouds.values())
        ways: dict[str, Any] = {"outbound_allowed_hosts": hosts, "outbound_ca_file": authorities}
        self.site = Site(folder / "home", migrated, keyring, **ways)
        with Transaction(self.site.engine) as tx:
            self.site.services.signing_keys.ensure(tx, self.site.now)
        secured = (str(folder / "server.pem"), str(folder / "server.key"))
        self._server = make_server("127.0.0.1", 0, self.site.app, threaded=True, ssl_context=secured)
        threading.Thread(target=self._server.serve_forever, daemon=True, args=(0.05,)).start()
        self.ana = self.site.account("ana")
        self.accounts = {name: self._connect(name, cloud.said, cloud.url) for name, cloud in self.clouds.items()}

    def _connect(self, name: str, said: Mapping[str, str], url: str) -> CloudAccount:
        provider = KINDS[name][0]
        with Transaction(self.site.engine) as tx:
            return self.site.services.cloud_accounts.connect(
                tx,
                self.site.by,
                self.ana.user.id,
                label=name,
                provider=provider,
                mode="keyless",
                said={**said, "endpoint": f"{url}/"},
            )

    def set_up(self, name: str, told: Told, **faults: Any) -> StrictCloud:
        """The cloud as somebody set it up who was told this, with ``faults`` in its ``trust``."""
        cloud = self.clouds[name]
        ours = {"server": f"https://localhost:{self._server.server_port}", **told._asdict()}
        usual = {"is_reached": True, "has_other_keys": False, "seconds_ahead": 0}
        for attribute, value in {**ours, **usual, **faults}.items():
            setattr(cloud.trust, attribute, value)
        cloud.given.clear()
        return cloud

    def exchange(self, name: str) -> CloudCredentials:
        """Asks the cloud with a new token. Raises ``ExchangeRefused``."""
        services, account = self.site.services, self.accounts[name]
        with Transaction(self.site.engine) as tx:
            session = services.sessions.start(tx, self.site.by, self.ana.user.id, ("pwd",))
            found = services.sessions.find(tx, self.site.now, session)
            assert found is not None
            options = {**services.cloud_accounts.opened(account), "label": account.label}
            asker = Asker(self.ana.user.id, session_id=found[0].id)
            token = services.cloud_tokens.mint(tx, self.site.by, account, asker, options)
        door = GuardedDoor(services.cloud_credentials._outbound, self.ana.user.id)
        return EXCHANGES[account.provider].exchange(options, token, door, self.site.now)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        for cloud in self.clouds.values():
            cloud.close()
        self.site.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite_file: Path, keyring: Keyring) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("clouds"), migrated_sqlite_file, keyring)
    yield made
    made.close()
