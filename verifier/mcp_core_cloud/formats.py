"""Credentials as each SDK asks for them."""

from __future__ import annotations

import datetime
import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from mcp_core_cloud.errors import CloudError

JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
ID_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - a type
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
# The names that each cloud's own programs read; what has none is CLOUD_ and the field's name.
VARIABLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "aws": {
        "access_key_id": ("AWS_ACCESS_KEY_ID",),
        "secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
        "session_token": ("AWS_SESSION_TOKEN",),
        "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    },
    "azure": {
        "tenant_id": ("AZURE_TENANT_ID",),
        "client_id": ("AZURE_CLIENT_ID",),
        "client_secret": ("AZURE_CLIENT_SECRET",),
        "subscription_id": ("AZURE_SUBSCRIPTION_ID",),
    },
    "gcp": {
        "access_token": ("CLOUDSDK_AUTH_ACCESS_TOKEN", "GOOGLE_OAUTH_ACCESS_TOKEN"),
        "service_account_json": ("GOOGLE_CREDENTIALS",),
        "project_id": ("GOOGLE_CLOUD_PROJECT",),
    },
    "alibaba": {
        "access_key_id": ("ALIBABA_CLOUD_ACCESS_KEY_ID",),
        "access_key_secret": ("ALIBABA_CLOUD_ACCESS_KEY_SECRET",),
        "security_token": ("ALIBABA_CLOUD_SECURITY_TOKEN",),
        "region": ("ALIBABA_CLOUD_REGION_ID",),
    },
    "oracle": {
        "tenancy_ocid": ("OCI_CLI_TENANCY",),
        "user_ocid": ("OCI_CLI_USER",),
        "fingerprint": ("OCI_CLI_FINGERPRINT",),
        "private_key": ("OCI_CLI_KEY_CONTENT",),
        "region": ("OCI_CLI_REGION",),
    },
    "ibm": {"api_key": ("IBMCLOUD_API_KEY", "IC_API_KEY"), "region": ("IBMCLOUD_REGION",)},
}
VARIABLES = {**VARIABLES, "other": VARIABLES["aws"]}


def whole(answer: Mapping[str, Any]) -> str:
    return json.dumps(answer, indent=2) + "\n"


def token_alone(answer: Mapping[str, Any]) -> str:
    """Our token for the cloud, with nothing behind it: some SDKs send what a file has, blanks and all."""
    return str(answer["assertion"])


def for_aws(answer: Mapping[str, Any]) -> str:
    """What ``credential_process`` prints (AWS SDKs and Tools Reference Guide, process credential provider)."""
    given = answer["credentials"]
    key, secret = given.get("access_key_id"), given.get("secret_access_key")
    if not key or not secret:
        raise CloudError("This account has no credentials of the form that AWS SDKs use. Try --format json.", "format")
    said = {"Version": 1, "AccessKeyId": key, "SecretAccessKey": secret}
    if given.get("session_token"):
        said["SessionToken"] = given["session_token"]
    if answer["expires_at"] is not None:
        said["Expiration"] = answer["expires_at"]
    return json.dumps(said) + "\n"


def for_alibaba(answer: Mapping[str, Any]) -> str:
    """What a profile of the mode ``External`` runs (Alibaba Cloud CLI, "Configure credentials": External)."""
    given = answer["credentials"]
    key, secret = given.get("access_key_id"), given.get("access_key_secret")
    if not key or not secret:
        raise CloudError("This account has no credentials of the form that Alibaba's SDKs use.", "format")
    said = {"mode": "AK", "access_key_id": key, "access_key_secret": secret}
    if given.get("security_token"):
        said |= {"mode": "StsToken", "sts_token": given["security_token"]}
    if answer["expires_at"] is not None:
        said["expiration"] = answer["expires_at"]
    return json.dumps(said) + "\n"


def for_kubectl(answer: Mapping[str, Any]) -> str:
    """What a plugin for credentials prints (Kubernetes, "Authenticating: client-go credential plugins")."""
    status = {"token": answer["assertion"], "expirationTimestamp": answer["expires_at"]}
    said = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    return json.dumps(said) + "\n"


def for_google(answer: Mapping[str, Any], token_type: str) -> str:
    """What an executable source prints (AIP-4117)."""
    ends = datetime.datetime.fromisoformat(answer["expires_at"])
    said = {
        "version": 1,
        "success": True,
        "token_type": token_type if token_type == ID_TOKEN_TYPE else JWT_TYPE,
        "id_token": answer["assertion"],
        "expiration_time": int(ends.timestamp()),
    }
    return json.dumps(said) + "\n"


def failed_for_google(error: CloudError) -> str:
    return json.dumps({"version": 1, "success": False, "code": error.code, "message": str(error)}) + "\n"


def for_shell(answer: Mapping[str, Any]) -> str:
    """Lines for ``eval`` of a POSIX shell."""
    names = VARIABLES.get(answer["account"]["provider"], {})
    pairs = [
        (variable, value)
        for field, value in answer["credentials"].items()
        for variable in names.get(field, (f"CLOUD_{field.upper()}",))
    ]
    if not all(_VARIABLE.fullmatch(variable) for variable, _value in pairs):
        raise CloudError("The server named a credential that no shell takes.", "format")
    return "".join(f"export {variable}={shlex.quote(value)}\n" for variable, value in pairs)
