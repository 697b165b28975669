"""Every setting: name, default, meaning, and which values are allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from database.connection import ConfigurationError
from database.connection import environment as environment_and_file
from provider.deliveries.mail_addresses import Sender
from provider.deliveries.mail_server import Way
from provider.deliveries.mail_settings import MailSettings
from provider.key_settings import KeySettings
from provider.protocol.issuer import LOOPBACK_HOSTS, checked_issuer
from provider.protocol.text import is_name, one_line
from provider.setting_words import explained, shown

_HOST = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


class SettingsError(Exception):
    """The settings cannot be used. The text says what to change."""


class Settings(KeySettings, MailSettings):
    """What ``load_settings`` reads, where each name has the prefix ``MCP_``."""

    model_config = ConfigDict(frozen=True)

    issuer: str = Field(
        "http://localhost:8000/oauth",
        description="The issuer identifier, byte for byte as it appears in tokens and metadata. A path is recommended.",
    )
    home: Path = Field(Path("instance"), description="Folder of the SQLite database and the key files.")
    behind_tls_proxy: bool = Field(
        False, description="A proxy in front of this server speaks TLS. Needed to listen beyond loopback."
    )
    trusted_proxy_count: int = Field(
        0, ge=0, le=8, description="How many proxies append to X-Forwarded-For. 0 ignores that header."
    )
    access_token_seconds: int = Field(600, ge=30, le=900, description="Life of an access token.")
    id_token_seconds: int = Field(600, ge=30, le=3600, description="Life of an ID token.")
    code_seconds: int = Field(60, ge=10, le=60, description="Life of an authorization code.")
    authorization_request_seconds: int = Field(
        1800, ge=60, le=7200, description="How long a person may take from the application's request to the answer."
    )
    refresh_token_idle_seconds: int = Field(
        14 * 86400, ge=600, description="A refresh token that is not used for this long dies."
    )
    refresh_token_seconds: int = Field(
        30 * 86400, ge=600, description="A family of refresh tokens dies after this long, used or not."
    )
    refresh_grace_seconds: int = Field(
        30, ge=0, le=60, description="How long the previous refresh token still works while its successor is unused."
    )
    session_idle_seconds: int = Field(3600, ge=60, description="A session without activity ends after this long.")
    session_seconds: int = Field(86400, ge=300, description="A session ends after this long in any case.")
    recent_login_seconds: int = Field(
        900, ge=60, description="How long after signing in the account's sensitive actions need no new sign-in."
    )
    setup_link_seconds: int = Field(3600, ge=60, description="Life of the one-time link to the first account.")
    second_factor_wait_days: int = Field(
        7,
        ge=0,
        le=60,
        description="How long somebody who has lost the second factor waits until it goes. 0: it never does.",
    )
    argon2_memory_kib: int = Field(19456, ge=19456, description="Memory of one password hash, in KiB.")
    argon2_time_cost: int = Field(2, ge=1, description="Passes of one password hash.")
    argon2_parallelism: int = Field(1, ge=1, le=8, description="Lanes of one password hash.")
    argon2_concurrency: int = Field(4, ge=1, le=64, description="Password hashes computed at once in one process.")
    password_min_length: int = Field(
        15,
        ge=8,
        le=64,
        description="Shortest password where it is the only factor; 8 once a second factor is required.",
    )
    require_second_factor: bool = Field(False, description="Every user must set up a second factor at sign-in.")
    second_factor_grace_days: int = Field(
        0,
        ge=0,
        le=90,
        description="How long people who must set up a second factor may go on without, from the first sign-in that asks.",
    )
    sign_up: Literal["off", "invitation", "open"] = Field(
        "invitation",
        description="Who may make an account besides the first: nobody but by operators, those whom they invite, anybody. "
        "`open` needs MCP_SMTP_URL unless the issuer is on loopback.",
    )
    dynamic_registration: Literal["open", "token", "off"] = Field(
        "open",
        description="Who may register applications: anybody (to sign people in), holders of a registration token, nobody.",
    )
    registration_unused_days: int = Field(
        30,
        ge=1,
        le=366,
        description="An application that registered itself and was never used is deleted after these days.",
    )
    metadata_documents: Literal["open", "listed", "off"] = Field(
        "open", description="Which client-id metadata documents are accepted: all, those of listed hosts, none."
    )
    metadata_document_hosts: str = Field(
        "",
        description="Hosts (`name` or `name:port`) of accepted metadata documents, space-separated, for "
        "MCP_METADATA_DOCUMENTS=listed.",
    )
    client_assertion_seconds: int = Field(
        300, ge=60, le=3600, description="How far in the future a client's signed assertion may expire."
    )
    pushed_request_seconds: int = Field(90, ge=10, le=600, description="Life of a pushed authorization request.")
    outbound_allowed_hosts: str = Field(
        "",
        description="Hosts (`name` or `name:port`), space-separated, that may be asked although they are not on the public "
        "internet or not on port 443: for keys, documents and logout notices of applications that somebody here vouches "
        "for, and for clouds that people connect without a secret.",
    )
    outbound_ca_file: Path | None = Field(
        None, description="PEM file of authorities whose certificates outbound requests accept besides the system's."
    )
    audit_days: int = Field(
        400, ge=0, le=36500, description="Records of the audit are deleted after these days. 0 keeps them for good."
    )
    rate_limits: bool = Field(True, description="Throttle guesses. Can be off only for an issuer on loopback.")
    signing_key_publish_seconds: int = Field(
        7200,
        ge=0,
        description="How long a new signing key is published before it signs. Below 35, some servers may not show it yet.",
    )
    signing_algorithms: str = Field(
        "RS256 ES256 EdDSA", description="Algorithms that have a key, space-separated. RS256 cannot be left out."
    )
    clock_skew_seconds: int = Field(30, ge=0, le=60, description="Tolerated difference of clocks.")
    default_locale: Literal["en", "ko"] = Field("en", description="Language where the browser states none.")
    service_name: str = Field("MCP Core", max_length=64, description="The name that pages show.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe log line shown.")
    log_format: Literal["text", "json"] = Field("text", description="Form of log lines.")

    @field_validator("issuer")
    @classmethod
    def _issuer_is_an_identifier(cls, value: str) -> str:
        return checked_issuer(value)

    @field_validator("home", mode="before")
    @classmethod
    def _home_is_named(cls, value: object) -> object:
        if value == "":
            raise ValueError("must name a folder")  # nothing at all would be the working directory
        return value

    @field_validator("outbound_ca_file")
    @classmethod
    def _file_is_there(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("must name a PEM file that is there")
        return value

    @field_validator("metadata_document_hosts", "outbound_allowed_hosts")
    @classmethod
    def _hosts_are_no_addresses(cls, value: str) -> str:
        for host in value.split():
            if not _HOST.fullmatch(host):
                raise ValueError(
                    f"must have hosts of the form name or name:port, with blanks between them, and {shown(host)} is none"
                )
        return value

    @field_validator("service_name")
    @classmethod
    def _service_name_can_be_read(cls, value: str) -> str:
        name = one_line(value)
        if not is_name(name, 64):
            raise ValueError("must be one line of 1 to 64 characters that can be seen")
        return name

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if "RS256" not in self.signing_algorithms.split():
            raise ValueError("MCP_SIGNING_ALGORITHMS must contain RS256: OpenID Connect requires it")
        unknown = set(self.signing_algorithms.split()) - {"RS256", "ES256", "EdDSA"}
        if unknown:
            raise ValueError(f"MCP_SIGNING_ALGORITHMS has unknown values: {' '.join(sorted(unknown))}")
        if not self.rate_limits and not self.is_loopback:
            raise ValueError("MCP_RATE_LIMITS can be off only for an issuer on loopback")
        if self.sign_up == "open" and self.mail_way == "nowhere":
            raise ValueError(
                "MCP_SIGN_UP=open needs a mail server (MCP_SMTP_URL) beyond loopback: an address is confirmed by a letter"
            )
        if self.refresh_token_idle_seconds > self.refresh_token_seconds:
            raise ValueError("MCP_REFRESH_TOKEN_IDLE_SECONDS must not exceed MCP_REFRESH_TOKEN_SECONDS")
        return self

    @property
    def origin(self) -> str:
        """Scheme and authority of the issuer: where pages live and links point to."""
        parts = urlsplit(self.issuer)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def issuer_path(self) -> str:
        return urlsplit(self.issuer).path

    @property
    def is_https(self) -> bool:
        return self.issuer.startswith("https://")

    @property
    def is_loopback(self) -> bool:
        return urlsplit(self.issuer).hostname in LOOPBACK_HOSTS

    @property
    def outbound_open_hosts(self) -> frozenset[str]:
        """What may be asked for strangers too: their documents are wanted from there, and the host is trusted."""
        if self.metadata_documents != "listed":
            return frozenset()
        wanted = frozenset(self.metadata_document_hosts.lower().split())
        return wanted & frozenset(self.outbound_allowed_hosts.lower().split())

    @property
    def mail_sender(self) -> Sender:
        """Whom letters come from. Raises ``BadAddress`` where nobody is named, which is so without a server alone."""
        return Sender.parse(self.mail_from, self.service_name)

    @property
    def mail_way(self) -> Way:
        """Without a mail server letters can be read on a page, by whoever sits at this machine."""
        return "server" if self.smtp_url is not None else "mailbox" if self.is_loopback else "nowhere"

    @property
    def algorithms(self) -> tuple[str, ...]:
        return tuple(self.signing_algorithms.split())

    def second_factor_required(self, *, is_admin: bool) -> bool:
        """Whether a user must set up a second factor first: everybody by setting, administrators beyond loopback."""
        return self.require_second_factor or (is_admin and not self.is_loopback)

    def second_factor_at_once(self, *, is_admin: bool) -> bool:
        """Whether nothing opens without a second factor, so that a short password will do."""
        return self.second_factor_required(is_admin=is_admin) and self.second_factor_grace_days == 0

    def cookie_name(self, name: str) -> str:
        """``__Host-`` cookies need TLS; an issuer on plain loopback goes without the prefix.

        A port of the issuer's own is part of the name: cookies know no ports (RFC 6265 §8.5), and servers on two ports of
        one host would take each other's away.
        """
        port = urlsplit(self.issuer).port
        return f"{'__Host-' if self.is_https else ''}mcp_{name}{f'_{port}' if port else ''}"


def load_settings(environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """The settings from ``environment``, by default that of the process over ``.env``.

    Raises ``SettingsError`` with one line for each thing to change.
    """
    if environment is None:
        try:
            environment = environment_and_file()
        except ConfigurationError as error:
            raise SettingsError(str(error)) from None
    names = {f"MCP_{name.upper()}" for name in Settings.model_fields}
    problems, given = [], {}
    for name, value in environment.items():
        if name.upper() in names:  # their case is not told apart
            given[name[4:].lower()] = value
        elif name.upper().startswith("MCP_"):
            close = difflib.get_close_matches(name[4:].upper(), [known[4:] for known in names], n=1)
            problems.append(f"{name} is not a setting." + (f" Did you mean MCP_{close[0]}?" if close else ""))
    if problems:
        raise SettingsError("\n".join(problems))
    try:
        return Settings(**{**given, **overrides})
    except ValidationError as error:
        raise SettingsError(
            "\n".join(explained(problem, Settings.model_fields) for problem in error.errors())
        ) from None
