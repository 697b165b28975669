"""What programs are told to get credentials of one cloud account: lines to paste, with its own values in them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flask_babel import gettext as _
from markupsafe import Markup, escape

from provider.vault.account import CloudAccount
from provider.vault.exchanges.gcp import IAM, STS
from provider.vault.exchanges.oauth import JWT
from provider.web.rendering import code

_COMMAND = "mcp-core-cloud credentials"
Said = Mapping[str, str]  # the account's fields in clear


@dataclass(frozen=True, slots=True)
class Snippet:
    """``title`` says where the text goes, ``how`` what has to be done besides."""

    title: str
    text: str
    how: str | Markup = ""


def snippets(account: CloudAccount, origin: str) -> list[Snippet]:
    """Those of the account's own cloud first, then one for every shell, then the API at ``origin``."""
    own = _OF_CLOUDS.get(account.provider)
    found = None if own is None else own(account, account.shown())
    return [*([] if found is None else [found]), _for_a_shell(account), _of_api(account, origin)]


def _command(account: CloudAccount, form: str) -> str:
    return f"{_COMMAND} {account.label} --format {form}"


def _of_aws(account: CloudAccount, said: Said) -> Snippet:
    lines = [f"[profile {account.label}]", f"credential_process = {_command(account, 'aws')}"]
    region = [f"region = {said['region']}"] if "region" in said else []
    return Snippet(_("For everything of AWS, in ~/.aws/config"), "\n".join([*lines, *region]))


def _of_azure(account: CloudAccount, said: Said) -> Snippet | None:
    if account.mode != "keyless":
        return None
    file = "$HOME/.azure/assertion"
    lines = [
        'mkdir -p "$HOME/.azure"',
        f"export AZURE_TENANT_ID={shlex.quote(said['tenant_id'])}",
        "export AZURE_CLIENT_ID=CLIENT_ID",
        f"export AZURE_FEDERATED_TOKEN_FILE={file}",
        f"{_command(account, 'azure')} --output {file}",
    ]
    words = _("Write the app registration's client ID for %(name)s, and repeat the last line every four minutes.")
    return Snippet(_("For the libraries of Azure"), "\n".join(lines), escape(words) % {"name": code("CLIENT_ID")})


def _of_gcp(account: CloudAccount, said: Said) -> Snippet | None:
    if account.mode != "keyless":
        return None
    how = escape(_("Save it as the file that %(variable)s names, and set %(allowed)s in the environment too.")) % {
        "variable": code("GOOGLE_APPLICATION_CREDENTIALS"),
        "allowed": code("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1"),
    }
    return Snippet(_("For everything of Google Cloud"), json.dumps(_google(account, said), indent=2), how)


def _of_alibaba(account: CloudAccount, said: Said) -> Snippet:
    external = {"name": account.label, "mode": "External", "process_command": _command(account, "alibaba")}
    region = {"region_id": said["region"]} if "region" in said else {}
    named = _("For everything of Alibaba Cloud, one of the profiles in ~/.aliyun/config.json")
    return Snippet(named, json.dumps({**external, **region}, indent=2))


def _of_oracle(account: CloudAccount, _said: Said) -> Snippet:
    folder = f"$HOME/.oci/{account.label}"
    by_token = " --auth security_token" if account.mode == "keyless" else ""
    lines = [
        f"{_command(account, 'oci')} --output {folder}",
        f"oci --config-file {folder}/config{by_token} os ns get",
    ]
    how = _("Repeat the first line every half hour.")
    return Snippet(_("For OCI's command line and libraries"), "\n".join(lines), how)


def _of_another(account: CloudAccount, said: Said) -> Snippet | None:
    """YAML takes JSON's strings; a name of digits alone is no string without its quotes."""
    if said.get("preset") != "kubernetes":
        return None
    program, *arguments = _command(account, "kubernetes").split()
    lines = (
        f"- name: {json.dumps(account.label)}",
        "  user:",
        "    exec:",
        "      apiVersion: client.authentication.k8s.io/v1",
        "      interactiveMode: Never",
        f"      command: {program}",
        f"      args: {json.dumps(arguments)}",
    )
    return Snippet(_("For kubectl, one of the users in ~/.kube/config"), "\n".join(lines))


_OF_CLOUDS: Mapping[str, Callable[[CloudAccount, Said], Snippet | None]] = {
    "aws": _of_aws,
    "azure": _of_azure,
    "gcp": _of_gcp,
    "alibaba": _of_alibaba,
    "oracle": _of_oracle,
    "other": _of_another,
}


def _google(account: CloudAccount, said: Said) -> dict[str, object]:
    executable = {"command": _command(account, "gcp"), "timeout_millis": 30_000}
    own = said.get("endpoint", "").rstrip("/")
    robot = said.get("service_account")
    impersonated = f"{own or IAM}/v1/projects/-/serviceAccounts/{robot}:generateAccessToken"
    return {
        "type": "external_account",
        "audience": said["provider"],
        "subject_token_type": JWT,
        "token_url": f"{own or STS}/v1/token",
        **({"service_account_impersonation_url": impersonated} if robot else {}),
        "credential_source": {"executable": executable},
    }


def _for_a_shell(account: CloudAccount) -> Snippet:
    return Snippet(_("For any other program, as variables of a shell"), f'eval "$({_command(account, "env")})"')


def _of_api(account: CloudAccount, origin: str) -> Snippet:
    said = json.dumps({"purpose": "nightly backup"})
    lines = [
        'curl -H "Authorization: Bearer $TOKEN"',
        "-H 'Content-Type: application/json'",
        f"-d {shlex.quote(said)}",
        shlex.quote(f"{origin}/api/cloud-accounts/{account.id}/credentials"),
    ]
    return Snippet(_("By the API, with a token that has the scope cloud:credentials"), " \\\n  ".join(lines))
