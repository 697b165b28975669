"""Alibaba Cloud.

Roles, identity providers and how long a session may be: https://www.alibabacloud.com/help/ram/developer-reference/api-sts-2015-04-01-assumerolewithoidc.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from provider.vault.checks import https_url, matching, number, pasted, word
from provider.vault.fields import CloudField
from provider.vault.providers.cloud import SUBJECT, CloudProvider, Mode

_ACCOUNT = r"[0-9]{5,20}"
_ROLE = re.compile(rf"acs:ram::(?P<account>{_ACCOUNT}):role/[A-Za-z0-9._-]{{1,64}}")


def _access_key_id(text: str) -> str:
    """``LTAI`` and 8 to 26 letters and digits. ``STS.`` begins the key of a session, which ends within hours."""
    value = pasted(text)
    if value.startswith("STS."):
        raise ValueError("temporary_key")
    return matching(r"LTAI[A-Za-z0-9]{8,26}")(value)


def _derive(mode: Mode, values: Mapping[str, str]) -> dict[str, str]:
    role = _ROLE.fullmatch(values["role_arn"]) if mode == "keyless" else None
    return {} if role is None else {"account_id": role["account"]}


_REGION = CloudField(
    "region",
    matching(r"[a-z]{2}(-[a-z]{2,16}){1,2}(-[0-9]{1,2})?"),
    "region",
    is_required=False,
    example="cn-hangzhou",
)
_ACCOUNT_ID = CloudField("account_id", matching(_ACCOUNT), "account_id", is_required=False, example="1234567890123456")

ALIBABA = CloudProvider(
    "alibaba",
    "Alibaba Cloud",
    secret=(
        CloudField("access_key_id", _access_key_id, "access_key", example="LTAI…", aims_secrets=True),
        CloudField("access_key_secret", matching(r"[A-Za-z0-9]{30}"), "secret_key", is_secret=True),
        _REGION,
        _ACCOUNT_ID,
    ),
    keyless=(
        CloudField("role_arn", matching(_ROLE.pattern), example="acs:ram::1234567890123456:role/mcp-core"),
        CloudField(
            "oidc_provider_arn",
            matching(rf"acs:ram::{_ACCOUNT}:oidc-provider/[A-Za-z0-9._-]{{1,128}}"),
            example="acs:ram::1234567890123456:oidc-provider/mcp-core",
        ),
        _REGION,
        CloudField("audience", word(255), is_required=False, default="sts.aliyuncs.com", is_advanced=True),
        CloudField("session_seconds", number(900, 43_200), is_required=False, default="3600", is_advanced=True),
        CloudField(
            "endpoint", https_url, is_required=False, is_advanced=True, example="https://sts.cn-hangzhou.aliyuncs.com"
        ),
        SUBJECT,
    ),
    derived={"keyless": (_ACCOUNT_ID,)},
    derive=_derive,
)
