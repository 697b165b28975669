"""What programs are told to get credentials of one cloud account: lines to paste, with its own values in them."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

from flask_babel import gettext as _

from provider.vault.account import CloudAccount
from provider.vault.exchanges.gcp import IAM, STS
from provider.vault.exchanges.oauth import JWT

_COMMAND = "mcp-core-cloud credentials"


@dataclass(frozen=True, slots=True)
class Snippet:
    """``title`` says where the text goes."""

    title: str
    text: str


def snippets(account: CloudAccount, origin: str) -> list[Snippet]:
    """Those of the account's own cloud first, then one for every shell, then the API at ``origin``."""
    return [*_of_cloud(account), _for_a_shell(account), _of_api(account, origin)]


def _of_cloud(account: CloudAccount) -> list[Snippet]:
    said = account.shown()
    if account.provider == "aws":
        lines = [f"[profile {account.label}]", f"credential_process = {_COMMAND} {account.label} --format aws"]
        region = [f"region = {said['region']}"] if "region" in said else []
        return [Snippet(_("For everything of AWS, in ~/.aws/config"), "\n".join([*lines, *region]))]
    if account.provider == "gcp" and account.mode == "keyless":
        named = _(
            "For everything of Google Cloud, in the file that GOOGLE_APPLICATION_CREDENTIALS names, with "
            "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1 beside it in the environment"
        )
        return [Snippet(named, json.dumps(_google(account.label, said), indent=2))]
    if account.provider == "azure" and account.mode == "keyless":
        file = "$HOME/.azure/assertion"
        lines = [
            'mkdir -p "$HOME/.azure"',
            f"export AZURE_TENANT_ID={shlex.quote(said['tenant_id'])}",
            "export AZURE_CLIENT_ID=CLIENT_ID",
            f"export AZURE_FEDERATED_TOKEN_FILE={file}",
            f"{_COMMAND} {account.label} --format azure --output {file}",
        ]
        named = _(
            "For the libraries of Azure: write the app registration's client ID for CLIENT_ID, and repeat the last line "
            "every four minutes"
        )
        return [Snippet(named, "\n".join(lines))]
    return []


def _google(label: str, said: dict[str, str]) -> dict[str, object]:
    executable = {"command": f"{_COMMAND} {label} --format gcp", "timeout_millis": 30_000}
    own = said.get("endpoint", "").rstrip("/")
    account = said.get("service_account")
    impersonated = f"{own or IAM}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
    return {
        "type": "external_account",
        "audience": said["provider"],
        "subject_token_type": JWT,
        "token_url": f"{own or STS}/v1/token",
        **({"service_account_impersonation_url": impersonated} if account else {}),
        "credential_source": {"executable": executable},
    }


def _for_a_shell(account: CloudAccount) -> Snippet:
    return Snippet(
        _("For any other program, as variables of a shell"), f'eval "$({_COMMAND} {account.label} --format env)"'
    )


def _of_api(account: CloudAccount, origin: str) -> Snippet:
    said = json.dumps({"purpose": "nightly backup"})
    lines = [
        'curl -H "Authorization: Bearer $TOKEN"',
        "-H 'Content-Type: application/json'",
        f"-d {shlex.quote(said)}",
        shlex.quote(f"{origin}/api/cloud-accounts/{account.id}/credentials"),
    ]
    return Snippet(_("By the API, with a token that has the scope cloud:credentials"), " \\\n  ".join(lines))
