"""What an operator can do about a refusal, for the log and the audit. Never for the answer."""

from __future__ import annotations

from provider.protocol.client import Client

OPERATORS = "application"


def remedy(client: Client, option: str) -> str:
    """The end of a detail: the command that would allow it. Nothing for a client that no operator registered."""
    if client.kind != OPERATORS or ("--pkce" in option and client.is_public):
        return ""
    return f". To allow it: mcp-core client update {client.client_id} {option}"
