"""``mcp-core cloud``."""

from __future__ import annotations

import datetime

from database.transaction import Transaction
from provider.audit import AuditRecorder
from provider.protocol.messages import Origin
from provider.sealed_values import SealedValues
from provider.security.crypto import Keyring
from provider.security.replay import ReplayGuard
from provider.vault.cloud_accounts import CloudAccounts
from tests.cli.conftest import Terminal
from tests.vault.samples import AWS_KEY_ID, AWS_SECRET, fields_of

FIELDS = {
    "id", "label", "provider", "mode", "is_primary", "fields", "secret_age_days", "secrets_changed_at", "last_used_at",
    "tested_at", "created_at", "updated_at",
}  # fmt: skip
AGO = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=100, hours=1)


class AnyAudience:
    """The terminal makes no tokens."""

    def fault_of_audience(self, *_account: object) -> None:
        return None


def connect(terminal: Terminal, keyring: Keyring, user_id: str, label: str, provider: str, mode: str) -> None:
    """As the page does it, a hundred days ago. The keys are not those of the terminal, which never opens anything."""
    engine = terminal.engine()
    with Transaction(engine) as tx:
        audit = AuditRecorder()
        CloudAccounts(SealedValues(keyring, audit, ReplayGuard(keyring)), audit, AnyAudience()).connect(
            *(tx, Origin("192.0.2.10", "pytest", "request-1", AGO), user_id),
            label=label,
            provider=provider,
            mode="keyless" if mode == "keyless" else "secret",
            said=fields_of(provider, mode),
        )
    engine.dispose()


def test_accounts_are_listed_without_secrets(terminal: Terminal, keyring: Keyring) -> None:
    ana = terminal.user("ana")
    assert terminal.ok("cloud", "list", "ana") == "ana has no cloud account.\n"
    assert terminal.json("cloud", "list", "ana") == []
    connect(terminal, keyring, ana["id"], "work", "aws", "secret")
    connect(terminal, keyring, ana["id"], "home", "azure", "keyless")
    shown = terminal.ok("cloud", "list", "ana@example.org")
    assert [line.split()[:5] for line in shown.splitlines()[1:]] == [
        ["home", "azure", "keyless", "no", "-"],
        ["work", "aws", "secret", "yes", "100"],
    ]
    home, work = terminal.json("cloud", "list", ana["id"])
    assert set(home) == set(work) == FIELDS
    assert work["fields"] == {"region": "eu-central-1", "account_id": "123456789012"}
    assert (work["secret_age_days"], home["secret_age_days"], home["secrets_changed_at"]) == (100, None, None)
    printed = shown + str(home) + str(work)
    assert not any(secret in printed for secret in (AWS_KEY_ID, AWS_SECRET, fields_of("azure", "keyless")["client_id"]))


def test_an_account_is_taken_away(terminal: Terminal, keyring: Keyring) -> None:
    ana = terminal.user("ana")
    connect(terminal, keyring, ana["id"], "work", "ibm", "secret")
    assert "There is no user bora." in terminal.refused("cloud", "remove", "bora", "work")
    said = terminal.refused("cloud", "remove", "ana", "wrok")
    assert said == 'ana has no cloud account "wrok". Did you mean work? See: mcp-core cloud list ana'
    terminal.ok("user", "disable", "ana")
    assert terminal.ok("cloud", "remove", "ana", "work") == 'Removed the cloud account "work" of ana.\n'
    assert terminal.rows("SELECT * FROM cloud_accounts") == []
    assert terminal.rows("SELECT cloud_provider, cloud_secret_key FROM users") == [
        {"cloud_provider": None, "cloud_secret_key": None}
    ]
    (record,) = terminal.audit("cloud.removed")
    assert record["actor"].startswith("cli:")
    assert record["user_id"] == ana["id"]
