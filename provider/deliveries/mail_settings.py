"""What is set about mail: the server, its password and whom letters come from. ``Settings`` is all of this and more."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from provider.deliveries.mail_addresses import BadAddress, Sender
from provider.deliveries.mail_server import BadUrl, MailServer


class MailSettings(BaseModel):
    smtp_url: SecretStr | None = Field(
        None,
        description="The mail server: `smtps://user:password@host:465` (TLS), `smtp://user:password@host:587` (STARTTLS), "
        "or `smtp+plain://localhost:25` on this machine. `%40` is an @ in a user or password.",
    )
    smtp_password_file: Path | None = Field(
        None, description="File whose first line is the password for MCP_SMTP_URL, in place of one in it."
    )
    mail_from: str = Field(
        "",
        description="Whom letters come from: `id@example.org` or `Example <id@example.org>`. Needed with MCP_SMTP_URL.",
    )

    @field_validator("smtp_password_file")
    @classmethod
    def _password_is_there(cls, value: Path | None) -> Path | None:
        if value is not None and not _first_line(value):
            raise ValueError("must name a file with a password in its first line")
        return value

    @field_validator("mail_from")
    @classmethod
    def _sender_is_an_address(cls, value: str) -> str:
        try:
            if value:
                Sender.parse(value, "")
        except BadAddress:
            raise ValueError(
                "must be an address in ASCII, or a name and an address: Example <id@example.org>"
            ) from None
        return value

    @model_validator(mode="after")
    def _letters_can_be_sent(self) -> Self:
        try:
            if self.mail_server is not None and not self.mail_from:
                raise ValueError("MCP_MAIL_FROM is needed with MCP_SMTP_URL: the address that letters come from")
        except BadUrl as error:
            raise ValueError(f"MCP_SMTP_URL {error}") from None
        return self

    @property
    def mail_server(self) -> MailServer | None:
        if self.smtp_url is None:
            return None
        password = _first_line(self.smtp_password_file) if self.smtp_password_file is not None else ""
        return MailServer.from_url(self.smtp_url.get_secret_value(), password)


def _first_line(path: Path) -> str:
    """Empty where there is none, or no file."""
    try:
        return (path.read_text("utf-8").splitlines() or [""])[0]
    except (OSError, UnicodeDecodeError):
        return ""
