"""User names that people choose for themselves: not those by which a person is taken for the people who run the service."""

from __future__ import annotations

from functools import cache

from provider.accounts.login_names import canonical_username
from provider.accounts.look_alikes import mixes_scripts, skeleton

_SEPARATORS = str.maketrans("", "", "._-")
RESERVED = (
    "abuse", "account", "accounts", "admin", "administrator", "administrators", "anonymous", "api", "billing",
    "bot", "contact", "daemon", "everyone", "help", "helpdesk", "hostmaster", "info", "mail", "mailer",
    "mailerdaemon", "manager", "mcp", "mcpcore", "moderator", "mod", "nobody", "noreply", "null", "oauth",
    "official", "operator", "owner", "postmaster", "privacy", "register", "root", "security", "service", "setup",
    "signup", "staff", "superuser", "support", "sysadmin", "system", "team", "undefined", "webmaster", "고객센터",
    "고객지원", "관리", "관리자", "담당자", "루트", "매니저", "메일", "보안", "본사", "서비스", "시스템", "안내",
    "어드민", "운영", "운영자", "운영진", "운영팀", "지원", "지원팀", "총관리자", "최고관리자", "헬프데스크",
)  # fmt: skip


class UnfitName(ValueError):
    """A name that nobody may choose. ``reason`` is ``reserved`` or ``mixed``, for letters of scripts that nobody mixes."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def check_chosen_username(text: str, *, service_name: str = "") -> None:
    """Raises ``InvalidName``, ``UnfitName``. Operators may give these names: the rule is for those who choose their own."""
    canonical_username(text)
    if mixes_scripts(text):
        raise UnfitName("mixed")
    if _bare(text) in _reserved() | {_bare(service_name)}:
        raise UnfitName("reserved")


def _bare(text: str) -> str:
    """What a name looks like, whatever separates its parts."""
    return skeleton(text.replace(" ", "").translate(_SEPARATORS))


@cache
def _reserved() -> frozenset[str]:
    return frozenset(map(_bare, RESERVED))
