"""What people may change of their profile, and what may stand there: one row for each field, named as its column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from zoneinfo import available_timezones

from provider.accounts.users import User
from provider.protocol.text import is_name, one_line

LANGUAGES = ("en", "ko")
MAX_DISPLAY_NAME = 255


class InvalidField(ValueError):
    """A field that nobody can change, or a value that cannot stand in it. Its text is the field, or empty."""


def _display_name(value: str) -> str:
    name = one_line(value)
    if not is_name(name, MAX_DISPLAY_NAME):
        raise ValueError
    return name


def _one_of(values: Callable[[], frozenset[str]]) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in values():
            raise ValueError
        return value

    return check


@cache
def _zones() -> frozenset[str]:
    return frozenset({"UTC", *available_timezones()})


FIELDS: Mapping[str, Callable[[str], str]] = {
    "display_name": _display_name,
    "locale": _one_of(lambda: frozenset(LANGUAGES)),
    "time_zone": _one_of(_zones),
}


def profile_of(user: User) -> dict[str, str | None]:
    """What stands in the fields now."""
    return {name: getattr(user, name) for name in FIELDS}


def checked_fields(said: Mapping[str, object]) -> dict[str, str | None]:
    """The values as they are kept; None takes a field away. Raises ``InvalidField``."""
    checked: dict[str, str | None] = {}
    for name, value in said.items():
        if name not in FIELDS:
            raise InvalidField("")
        try:
            checked[name] = None if value is None else FIELDS[name](_text(value))
        except ValueError:
            raise InvalidField(name) from None
    return checked


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError
