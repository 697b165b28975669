"""What an operator can do about a refusal, for the log and the audit. Never for the answer."""

from __future__ import annotations

from provider.program_name import command
from provider.protocol.client import OPERATORS, Client


def remedy(client: Client, option: str, *, condition: str = "") -> str:
    """The end of a detail: the command that would allow it, under a ``condition`` that only a person can judge.

    Nothing for a client that no operator registered.
    """
    if client.kind != OPERATORS or ("--pkce" in option and client.is_public):
        return ""
    fix = command(f"client update {client.client_id} {option}")
    return f". To allow it{condition}: {fix}"
