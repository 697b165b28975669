"""What people may change of themselves by the API, and what may stand there: fields of ``users``, and those of profiles."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from functools import cache
from zoneinfo import available_timezones

from provider.accounts.profiles import Profile
from provider.accounts.users import User
from provider.protocol.profile import FIELDS
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


OF_USERS: Mapping[str, Callable[[str], str]] = {
    "display_name": _display_name,
    "locale": _one_of(lambda: frozenset(LANGUAGES)),
    "time_zone": _one_of(_zones),
}


def profile_of(user: User, profile: Profile) -> dict[str, str | None]:
    """What stands in the fields now, and the address of the picture."""
    return {**{name: getattr(user, name) for name in OF_USERS}, **profile.fields, "picture": profile.picture}


def checked_fields(said: Mapping[str, object], today: datetime.date) -> dict[str, str | None]:
    """The values as they are kept; None takes a field away. Raises ``InvalidField``."""
    return {name: None if value is None else _checked(name, value, today) for name, value in said.items()}


def _checked(name: str, value: object, today: datetime.date) -> str:
    if name not in OF_USERS and name not in FIELDS:
        raise InvalidField("")
    try:
        text = _text(value)
        return OF_USERS[name](text) if name in OF_USERS else FIELDS[name](text, today)
    except ValueError:
        raise InvalidField(name) from None


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError
