"""JSON that strangers send: what every reader understands alike (RFC 8259, RFC 7493), with a bound on how deep it goes."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from provider.protocol.errors import OAuthError
from provider.protocol.messages import ProtocolRequest

MAX_DEPTH = 20
JSON = "application/json"
_SURROGATE = re.compile("[\ud800-\udfff]")


def json_body(request: ProtocolRequest) -> Any:
    """The value of the request's body. Raises ``invalid_request`` for another type, broken JSON and too deep a value."""
    if request.media_type != JSON:
        raise OAuthError.invalid_request("The request body must be application/json.")
    return parse_json(request.body)


def parse_json(body: bytes | str) -> Any:
    """Raises ``invalid_request`` for what is no JSON in UTF-8 (RFC 8259 §8.1) or nested deeper than 20.

    Half a surrogate pair and numbers beyond a double are refused as well: no database takes them (RFC 7493 §2.1, §2.2).
    """
    try:
        text = body.decode() if isinstance(body, bytes) else body
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_members)
    except (ValueError, RecursionError):
        raise OAuthError.invalid_request("What was sent is not JSON.") from None
    if not _is_sound(value, MAX_DEPTH):
        raise OAuthError.invalid_request("The JSON is nested too deeply, or has text that is no Unicode.")
    return value


def _is_sound(value: object, depth: int) -> bool:
    if isinstance(value, str):
        return not _SURROGATE.search(value)
    if isinstance(value, dict):
        return depth > 0 and all(_is_sound(name, 0) and _is_sound(item, depth - 1) for name, item in value.items())
    if isinstance(value, list):
        return depth > 0 and all(_is_sound(item, depth - 1) for item in value)
    return True


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Readers differ in which of two members of one name counts (RFC 8259 §4): neither does."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _refuse(_constant: str) -> None:
    raise ValueError("NaN and Infinity are no JSON")
