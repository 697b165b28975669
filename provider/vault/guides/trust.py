"""What is set up in a cloud so that it trusts tokens of ours, as texts to paste. Each is written by its own syntax's rules.

Both the audience and the subject are always conditions: a trust without them would let everybody in who has an account
here.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from provider.vault.providers.cloud import CloudProvider

NAME = "mcp-core"
_UNKNOWN = {
    "gcp": "//iam.googleapis.com/projects/PROJECT_NUMBER/locations/global/workloadIdentityPools/mcp-core/providers/mcp-core",
    "oracle": "DOMAIN_URL",
}


class Kind(StrEnum):
    POLICY = "policy"  # JSON, kept as ``trust.json`` where the commands read it
    COMMANDS = "commands"  # POSIX sh
    TERRAFORM = "terraform"


@dataclass(frozen=True, slots=True)
class TrustText:
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Trust:
    """What a cloud is to trust. ``said`` are the fields of the account in clear, as far as they are known yet."""

    issuer: str
    audience: str
    subject: str
    label: str
    said: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the trust is called in the cloud: a label has small letters, digits and hyphens alone."""
        return f"{NAME}-{self.label}"


Guide = Callable[[Trust], Sequence[TrustText]]


class IssuerProblem(StrEnum):
    """Why no cloud can read the keys of this issuer."""

    PLAIN_HTTP = "plain_http"
    LOOPBACK = "loopback"
    PRIVATE = "private"
    PORT = "port"  # AWS and others take no issuer with one


def issuer_problem(issuer: str) -> IssuerProblem | None:
    """What keeps clouds from reading the keys of ``issuer``, as far as its address tells. The gravest comes first."""
    parts = urlsplit(issuer)
    host = parts.hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return IssuerProblem.LOOPBACK
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        is_private = "." not in host or host.endswith((".local", ".internal", ".lan", ".home.arpa"))
    else:
        if address.is_loopback:
            return IssuerProblem.LOOPBACK
        is_private = not address.is_global
    if is_private:
        return IssuerProblem.PRIVATE
    if parts.scheme != "https":
        return IssuerProblem.PLAIN_HTTP
    return IssuerProblem.PORT if parts.port not in (None, 443) else None


def audience_of(cloud: CloudProvider, said: Mapping[str, str]) -> str:
    """Who our token is for: as the account says, else as is usual, else what stands for it until it is known."""
    usual = {it.name: it.default for it in cloud.keyless}.get("audience")
    own = {"gcp": "provider", "oracle": "domain_url"}.get(cloud.name, "audience")
    return said.get("audience") or usual or said.get(own) or _UNKNOWN.get(cloud.name, "AUDIENCE")


def json_text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def hcl(text: str) -> str:
    """A string of Terraform."""
    return in_terraform(json.dumps(text, ensure_ascii=False))


def in_terraform(document: str) -> str:
    """JSON as an expression of Terraform: ``${`` and ``%{`` would begin another one within its strings."""
    return document.replace("${", "$${").replace("%{", "%%{")


def block(head: str, **values: str) -> str:
    """A block of Terraform. Each value is an expression already; the equal signs stand below each other."""
    width = max(map(len, values))
    lines = [f"  {name.ljust(width)} = {value}" for name, value in values.items()]
    return "\n".join([f"{head} {{", *lines, "}"])


def command(*parts: str) -> str:
    """A command of POSIX sh on several lines. Each part is quoted already."""
    return " \\\n  ".join(parts)
