"""What the suite's own browser does on our pages: its ``browser`` blocks, and those of single modules (``override``).

A command is ``["text" | "click" | "wait", how an element is found, which, …]``. A task is skipped where its address does
not fit and it is optional: nobody signs in twice, and nobody is asked again what they allowed before.
"""

from __future__ import annotations

from typing import Any

Block = dict[str, Any]

WAIT_SECONDS = 15
_SCREENSHOT = "update-image-placeholder"
_SIGN_IN = "Sign in"
_REFUSED = "This app.s request can.t be accepted"

# Modules in which the second authorization must show the sign-in page again.
SIGN_IN_AGAIN = ("oidcc-prompt-login", "oidcc-max-age-1")
# Modules that end at our sign-in page, with what the application says of itself.
LOOK_AT_SIGN_IN = {
    "oidcc-registration-logo-uri": "//img[@class='app-logo']",
    "oidcc-registration-policy-uri": "//a[contains(text(), 'Privacy policy of')]",
    "oidcc-registration-tos-uri": "//a[contains(text(), 'Terms of')]",
}
# Modules whose request must not be answered at the address that it names.
REFUSED_AT_ONCE = (
    "oidcc-ensure-registered-redirect-uri",
    "oidcc-ensure-redirect-uri-in-authorization-request",
    "oidcc-redirect-uri-query-added",
    "oidcc-redirect-uri-query-mismatch",
    "oidcc-ensure-request-object-with-redirect-uri",
)
# Modules whose logout request must not lead back, and what the page says then.
LOGOUT_PAGES = {
    "oidcc-rp-initiated-logout-bad-post-logout-redirect-uri": _REFUSED,
    "oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri": _REFUSED,
    "oidcc-rp-initiated-logout-modified-id-token-hint": _REFUSED,
    "oidcc-rp-initiated-logout-bad-id-token-hint": _REFUSED,
    "oidcc-rp-initiated-logout-no-id-token-hint": _REFUSED,
    "oidcc-rp-initiated-logout-no-params": "You are signed out",
    "oidcc-rp-initiated-logout-no-post-logout-redirect-uri": "You are signed out",
    "oidcc-rp-initiated-logout-only-state": "You are signed out",
}


class Script:
    """The blocks for one provider and one person."""

    def __init__(self, issuer: str, username: str, password: str) -> None:
        self._origin = "/".join(issuer.split("/")[:3])
        self._authorize = f"{issuer}/authorize*"
        self._logout = f"{issuer}/logout*"
        self._username, self._password = username, password

    def browser(self) -> list[Block]:
        """What all modules do that have nothing of their own: sign in, allow, sign out, arrive."""
        return [self._authorization(), self._signing_out()]

    def overrides(self) -> dict[str, Block]:
        """By module: what it does in place of ``browser``."""
        found: dict[str, list[Block]] = {}
        for module in SIGN_IN_AGAIN:
            found[module] = [self._authorization(look_for=_SIGN_IN)]
        for module, element in LOOK_AT_SIGN_IN.items():
            look = _look("Look at the sign-in page", f"{self._origin}/login*", _SIGN_IN)
            look["commands"].insert(0, ["wait", "xpath", element, WAIT_SECONDS])
            found[module] = [_block(self._authorize, look)]
        for module in REFUSED_AT_ONCE:
            found[module] = [_block(self._authorize, _look("Look at the refusal", self._authorize, _REFUSED))]
        for module, words in LOGOUT_PAGES.items():
            look = _look("Look at the last page", f"{self._origin}/*", words)
            found[module] = [self._authorization(), _block(self._logout, self._confirm(), look)]
        return {module: {"browser": blocks} for module, blocks in found.items()}

    def _authorization(self, look_for: str | None = None) -> Block:
        look = [] if look_for is None else [_wait_for(look_for, f"{_SCREENSHOT}-optional")]
        sign_in = {
            "task": "Sign in",
            "match": f"{self._origin}/login*",
            "optional": True,
            "commands": [
                *look,
                ["text", "name", "username", self._username],
                ["text", "name", "password", self._password],
                ["click", "css", "form.stack button"],
            ],
        }
        allow = {
            "task": "Allow",
            "match": f"{self._origin}/consent*",
            "optional": True,
            "commands": [["click", "css", "button[value=allow]"]],
        }
        arrived = {
            "task": "Arrive at the application",
            "match": "*/test/*/callback*",
            "commands": [["wait", "id", "submission_complete", WAIT_SECONDS]],
        }
        return _block(self._authorize, sign_in, allow, arrived)

    def _signing_out(self) -> Block:
        arrived = {
            "task": "Arrive at the application",
            "match": "*",
            "commands": [["wait", "contains", "/post_logout_redirect", WAIT_SECONDS]],
        }
        return _block(self._logout, self._confirm(), arrived)

    def _confirm(self) -> Block:
        return {
            "task": "Confirm",
            "match": f"{self._origin}/sign-out*",
            "optional": True,
            "commands": [["click", "css", "form.stack button"]],
        }


def _block(match: str, *tasks: Block) -> Block:
    return {"match": match, "tasks": list(tasks)}


def _look(task: str, match: str, words: str) -> Block:
    return {"task": task, "match": match, "commands": [_wait_for(words, _SCREENSHOT)]}


def _wait_for(words: str, action: str) -> list[Any]:
    return ["wait", "xpath", "//*", WAIT_SECONDS, words, action]
