"""The words for a setting whose value is none of those allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args, get_origin

from annotated_types import Ge, Le, MaxLen
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from provider.protocol.text import visible

_SHOWN_CHARACTERS = 60


def explained(problem: ErrorDetails, fields: Mapping[str, FieldInfo]) -> str:
    """Name, what is allowed, and what it is. Of a secret nothing comes here: any text is one."""
    if not problem["loc"]:
        return problem["msg"].removeprefix("Value error, ")
    name = str(problem["loc"][0])
    if problem["type"] == "value_error":
        return f"MCP_{name.upper()}: {problem['msg'].removeprefix('Value error, ')}"
    return f"MCP_{name.upper()}: must be {_allowed(fields[name])}, and is {shown(str(problem['input']))}"


def _allowed(field: FieldInfo) -> str:
    least = next((limit.ge for limit in field.metadata if isinstance(limit, Ge)), None)
    most = next((limit.le for limit in field.metadata if isinstance(limit, Le)), None)
    longest = next((limit.max_length for limit in field.metadata if isinstance(limit, MaxLen)), None)
    if field.annotation is bool:
        return "true or false"
    if get_origin(field.annotation) is Literal:
        return "one of " + ", ".join(get_args(field.annotation))
    if field.annotation is int:
        return f"a whole number from {least} to {most}" if most is not None else f"a whole number of at least {least}"
    return "text" if longest is None else f"a text of {longest} characters at most"


def shown(value: str) -> str:
    plain = visible(value[:_SHOWN_CHARACTERS])
    return f'"{plain}"' if len(value) <= _SHOWN_CHARACTERS else f'"{plain}…"'
