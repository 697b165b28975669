"""Amazon Web Services.

Key ids: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids.
Roles and what they are called: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from provider.vault.checks import https_url, matching, number, pasted, word
from provider.vault.fields import CloudField
from provider.vault.providers.cloud import SUBJECT, CloudProvider, Mode

# The European Sovereign Cloud begins with four letters, eusc-de-east-1; those of governments have two words.
_REGION = CloudField(
    "region",
    matching(r"[a-z]{2}(sc)?(-[a-z]{2,12}){1,3}-[0-9]{1,2}"),
    "region",
    is_required=False,
    example="eu-central-1",
)
_ROLE = re.compile(
    r"arn:aws[a-z-]{0,16}:iam::(?P<account>[0-9]{12}):role(?P<path>/([!-.0-~]+/)*)[A-Za-z0-9+=,.@_-]{1,64}"
)
_MOST_OF_PATH = 512


def _access_key_id(text: str) -> str:
    """``AKIA`` and 16 letters and digits. ``ASIA`` is a key of a session, which ends within hours."""
    value = pasted(text)
    if re.fullmatch(r"ASIA[A-Z0-9]{16}", value):
        raise ValueError("temporary_key")
    return matching(r"AKIA[A-Z0-9]{16}")(value)


def _role_arn(text: str) -> str:
    value = pasted(text)
    found = _ROLE.fullmatch(value)
    if found is None or len(found["path"]) > _MOST_OF_PATH:
        raise ValueError("form")
    return value


def _derive(mode: Mode, values: Mapping[str, str]) -> dict[str, str]:
    role = _ROLE.fullmatch(values["role_arn"]) if mode == "keyless" else None
    return {} if role is None else {"account_id": role["account"]}


_ACCOUNT_ID = CloudField("account_id", matching(r"[0-9]{12}"), "account_id", is_required=False, example="123456789012")

AWS = CloudProvider(
    "aws",
    "Amazon Web Services",
    secret=(
        CloudField("access_key_id", _access_key_id, "access_key", example="AKIA…", aims_secrets=True),
        CloudField("secret_access_key", matching(r"[A-Za-z0-9/+=]{40}"), "secret_key", is_secret=True),
        _REGION,
        _ACCOUNT_ID,
    ),
    keyless=(
        CloudField("role_arn", _role_arn, example="arn:aws:iam::123456789012:role/mcp-core"),
        _REGION,
        CloudField("audience", word(255), is_required=False, default="sts.amazonaws.com", is_advanced=True),
        CloudField("session_seconds", number(900, 43_200), is_required=False, default="3600", is_advanced=True),
        CloudField(
            "endpoint", https_url, is_required=False, is_advanced=True, example="https://sts.eu-central-1.amazonaws.com"
        ),
        SUBJECT,
    ),
    derived={"keyless": (_ACCOUNT_ID,)},
    derive=_derive,
)
