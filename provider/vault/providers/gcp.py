"""Google Cloud.

Service account keys: https://cloud.google.com/iam/docs/keys-create-delete; workload identity federation and the names of
its parts: https://cloud.google.com/iam/docs/workload-identity-federation-with-other-providers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provider.vault.checks import https_url, json_object, json_text, matching, pasted, words
from provider.vault.fields import CloudField
from provider.vault.private_keys import rsa_private_key
from provider.vault.providers.cloud import SUBJECT, CloudProvider, Mode

# Where Google's SDKs exchange what they have signed with the key. They ask whatever address the file says, so a file from
# somebody else can have a person's programs speak to a server of theirs.
TOKEN_URIS = (
    "https://oauth2.googleapis.com/token",
    "https://accounts.google.com/o/oauth2/token",
    "https://www.googleapis.com/oauth2/v4/token",
)
_UNIVERSE = "googleapis.com"
# The domain in front is that of projects of old organisations.
_PROJECT = r"([a-z0-9.-]{1,200}:)?[a-z][a-z0-9-]{4,28}[a-z0-9]"
_E_MAIL = r"[a-z0-9][a-z0-9.-]{0,120}@([a-z0-9-]+\.){1,6}gserviceaccount\.com"
_project_id = matching(_PROJECT)
_e_mail = matching(_E_MAIL)
_provider_name = matching(
    r"//iam\.googleapis\.com/projects/[0-9]{1,20}/locations/global"
    r"/workloadIdentityPools/[a-z0-9-]{4,32}/providers/[a-z0-9-]{4,32}"
)


def _provider(text: str) -> str:
    """The provider's full resource name, also with the ``https:`` of the console's default audience."""
    return _provider_name(pasted(text).removeprefix("https:"))


def _service_account_json(text: str) -> str:
    """The key file of a service account, whose private key is one and whose addresses are Google's."""
    said = json_object(text)
    wanted = ("private_key", "private_key_id", "client_email", "project_id")
    if said.get("type") != "service_account" or not all(_is_text(said, name) for name in wanted):
        raise ValueError("not_a_service_account")
    try:
        _e_mail(said["client_email"])
        _project_id(said["project_id"])
    except ValueError:
        raise ValueError("not_a_service_account") from None
    if said.get("token_uri") not in TOKEN_URIS or said.get("universe_domain", _UNIVERSE) != _UNIVERSE:
        raise ValueError("token_uri")
    rsa_private_key(said["private_key"])
    return json_text(said)


def _is_text(said: Mapping[str, Any], name: str) -> bool:
    return isinstance(said.get(name), str) and bool(said[name].strip())


def _derive(mode: Mode, values: Mapping[str, str]) -> dict[str, str]:
    if mode == "keyless":
        return {}
    return {"project_id": _project_id(json_object(values["service_account_json"])["project_id"])}


_PROJECT_ID = CloudField("project_id", _project_id, "project_id", is_required=False, example="my-project-123456")

GCP = CloudProvider(
    "gcp",
    "Google Cloud",
    secret=(
        CloudField("service_account_json", _service_account_json, "config_json", is_secret=True, is_multiline=True),
    ),
    keyless=(
        CloudField(
            "provider",
            _provider,
            example="//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/mcp-core/providers/mcp-core",
        ),
        CloudField(
            "service_account", _e_mail, is_required=False, example="name@my-project-123456.iam.gserviceaccount.com"
        ),
        _PROJECT_ID,
        CloudField(
            "scope",
            words(1024),
            is_required=False,
            default="https://www.googleapis.com/auth/cloud-platform",
            is_advanced=True,
        ),
        CloudField("endpoint", https_url, is_required=False, is_advanced=True, example="https://sts.googleapis.com"),
        SUBJECT,
    ),
    derived={"secret": (_PROJECT_ID,)},
    derive=_derive,
)
