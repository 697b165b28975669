"""JSON bodies, with a bound on how deep they go."""

from __future__ import annotations

import json
from typing import Any

from provider.protocol.errors import OAuthError
from provider.protocol.messages import ProtocolRequest

MAX_DEPTH = 20
JSON = "application/json"


def json_body(request: ProtocolRequest) -> Any:
    """The value of the request's body. Raises ``invalid_request`` for another type, broken JSON and too deep a value."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise OAuthError.invalid_request("The request body must be application/json.")
    return parse_json(request.body)


def parse_json(body: bytes | str) -> Any:
    """Raises ``invalid_request`` for what is no JSON (RFC 8259) or nested deeper than 20."""
    try:
        value = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise OAuthError.invalid_request("The request body is not JSON.") from None
    if not _is_shallow(value, MAX_DEPTH):
        raise OAuthError.invalid_request("The request body is nested too deeply.")
    return value


def _is_shallow(value: object, depth: int) -> bool:
    if not isinstance(value, (dict, list)):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_is_shallow(item, depth - 1) for item in inner)


def _refuse(_constant: str) -> None:
    raise ValueError("NaN and Infinity are no JSON")
