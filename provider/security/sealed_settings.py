"""Secrets of the settings that may be sealed: what stands in a file or a variable opens with the master keys alone.

``vault seal`` makes them. A sealed value is bound to the name of its setting, and a plain one stays what it is.
"""

from __future__ import annotations

from provider.security.crypto import DecryptionFailed, Keyring
from provider.security.envelope import is_sealed

SMTP_PASSWORD = "MCP_SMTP_PASSWORD"  # noqa: S105 - the name of a setting


def seal_setting(keyring: Keyring, setting: str, secret: str) -> str:
    return keyring.encrypt(secret.encode(), _context(setting))


def opened_setting(keyring: Keyring | None, setting: str, text: str) -> str:
    """The secret in ``text``, sealed or not. Raises ``DecryptionFailed``, as where there is no keyring for it."""
    if not is_sealed(text):
        return text
    if keyring is None:
        raise DecryptionFailed("there are no master keys here")
    return keyring.decrypt(text, _context(setting)).decode()


def opens(keyring: Keyring, setting: str, text: str) -> bool:
    """Whether ``opened_setting`` has the secret."""
    try:
        opened_setting(keyring, setting, text)
    except DecryptionFailed:
        return False
    return True


def master_key_of(text: str) -> str | None:
    """The id of the master key that a sealed value is under, None for a plain one."""
    return text.split(".")[1] if is_sealed(text) else None


def _context(setting: str) -> dict[str, str]:
    return {"setting": setting}
