"""What is set about keys: in place of the key files, and the secrets service. ``Settings`` is all of this and more."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from provider.protocol.issuer import LOOPBACK_HOSTS

_TRANSIT_PATH = re.compile(r"/v1/[A-Za-z0-9_/.-]{1,128}/keys/[A-Za-z0-9_.-]{1,128}")

_NAMESPACE = re.compile(r"[A-Za-z0-9_/.-]{1,256}")


class KeySettings(BaseModel):
    hashing_key: SecretStr | None = Field(
        None, description="Base64 of 32 bytes, in place of $MCP_HOME/keys/hashing.key. Never change it."
    )
    encryption_keys: SecretStr | None = Field(
        None,
        description="`id:base64` pairs of 32 bytes, comma-separated, in place of keys/encryption.keys. First writes.",
    )
    transit_url: str = Field(
        "",
        description="A key of a secrets service (Transit engine of Vault or OpenBao) that wraps ours, by its address there: "
        "`https://host:8200/v1/transit/keys/NAME`. Needs `mcp-core[transit]`.",
    )
    transit_token_file: Path | None = Field(
        None, description="File with the token for MCP_TRANSIT_URL. Read anew each time it is needed."
    )

    transit_namespace: str = Field(
        "", description="Namespace of the key at MCP_TRANSIT_URL, where the service has several tenants."
    )

    @field_validator("transit_namespace")
    @classmethod
    def _transit_namespace_is_a_path(cls, value: str) -> str:
        if value and not _NAMESPACE.fullmatch(value):
            raise ValueError("must be a path of letters, digits and _ . / -")
        return value

    @field_validator("transit_url")
    @classmethod
    def _transit_key_is_addressed(cls, value: str) -> str:
        if not value:
            return value
        try:
            parts = urlsplit(value)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if host is None or parts.username is not None or not _TRANSIT_PATH.fullmatch(value[value.find("/v1/") :]):
            raise ValueError("must be the address of a key: https://host:8200/v1/transit/keys/NAME")
        if parts.scheme != "https" and (parts.scheme != "http" or host not in LOOPBACK_HOSTS):
            raise ValueError("must begin with https:// beyond this machine: a token and keys go there")
        return value

    @model_validator(mode="after")
    def _transit_is_whole(self) -> Self:
        if bool(self.transit_url) is not (self.transit_token_file is not None):
            raise ValueError("MCP_TRANSIT_TOKEN_FILE and MCP_TRANSIT_URL are needed together")
        return self
