"""What a cloud wants to know of an account, as fields that check themselves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

# The columns of ``cloud_accounts`` that have names of their own. ``users`` has the same ones with ``cloud_`` before them.
SEALED_COLUMNS = ("access_key", "secret_key", "config_json")
PLAIN_COLUMNS = ("account_id", "region", "tenant_id", "project_id")
MAX_BYTES = 16_384


class InvalidCloudField(ValueError):
    """A field is missing, unknown or wrong. ``name`` is the field, ``reason`` a short key that pages have words for."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


@dataclass(frozen=True, slots=True)
class CloudField:
    """One field. ``column`` is where it is kept: a named column, or None for an entry of ``options`` under its own name.

    ``check`` returns the normal form of what was typed, or raises ``ValueError`` with the reason. What ``is_secret`` is
    never shown again. ``example`` is shown beside the field, never taken for a value.
    """

    name: str
    check: Callable[[str], str]
    column: str | None = None
    is_secret: bool = False
    is_required: bool = True
    is_multiline: bool = False
    example: str = ""

    @property
    def is_sealed(self) -> bool:
        return self.column in SEALED_COLUMNS


def checked(
    fields: Sequence[CloudField], said: Mapping[str, str], kept: Collection[str] = ()
) -> tuple[dict[str, str], list[InvalidCloudField]]:
    """The normal form of every field that was said, and what is wrong, in the order of the fields.

    A field of ``kept`` has a value already: empty, it stays as it is. Unknown names are wrong too.
    """
    values: dict[str, str] = {}
    problems = [InvalidCloudField(name, "unknown") for name in said.keys() - {field.name for field in fields}]
    for field in fields:
        text = said.get(field.name, "")
        if not text.strip():
            if field.is_required and field.name not in kept:
                problems.append(InvalidCloudField(field.name, "missing"))
            continue
        if len(text.encode(errors="replace")) > MAX_BYTES:
            problems.append(InvalidCloudField(field.name, "too_long"))
            continue
        try:
            values[field.name] = field.check(text)
        except ValueError as error:
            problems.append(InvalidCloudField(field.name, str(error) or "form"))
    return values, problems
