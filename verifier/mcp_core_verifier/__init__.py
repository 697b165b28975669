"""Protects a service with the access tokens of MCP Core.

``Verifier`` is all of it. One module for each framework puts it into place (``fastapi``, ``flask``, ``asgi``, ``mcp``,
``fastmcp``); none of them is imported before it is asked for.
"""

from mcp_core_verifier.errors import (
    AccessDenied,
    InsufficientAuthentication,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    NoToken,
    Unavailable,
)
from mcp_core_verifier.introspection import Introspection
from mcp_core_verifier.token import AccessToken
from mcp_core_verifier.verifier import Verifier

__all__ = [
    "AccessDenied",
    "AccessToken",
    "InsufficientAuthentication",
    "InsufficientScope",
    "Introspection",
    "InvalidRequest",
    "InvalidToken",
    "NoToken",
    "Unavailable",
    "Verifier",
]
