"""How a page writes times: in the reader's zone where it is known, else in UTC, which it then says."""

from __future__ import annotations

import datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from flask_babel import format_date, format_timedelta
from flask_babel import gettext as _

from provider.web import current
from provider.web.locale import language

_WAYS_TO_WRITE_A_DAY = {"ko": "long"}


@cache
def time_zones() -> tuple[str, ...]:
    """The names of all zones that this machine knows, such as ``Asia/Seoul``."""
    return tuple(sorted({"UTC", *available_timezones()}))


def reader_zone() -> str:
    """The zone that the user has chosen, or that the browser says it is in. Empty when nobody knows."""
    user = current.known_user()
    wishes = (user.time_zone if user is not None else None, current.cookie("zone"))
    return next((wish for wish in wishes if wish and wish in time_zones()), "")


def clock_time(moment: datetime.datetime) -> str:
    """``14:32``, or ``14:32 UTC`` where the reader's zone is not known."""
    return f"{_local(moment):%H:%M}{'' if reader_zone() else ' UTC'}"


def day(moment: datetime.datetime) -> str:
    return str(format_date(_local(moment).date(), _WAYS_TO_WRITE_A_DAY.get(language(), "medium")))


def day_and_time(moment: datetime.datetime) -> str:
    return f"{day(moment)}{' ' if language() == 'ko' else ', '}{clock_time(moment)}"


def ago(moment: datetime.datetime) -> str:
    """``5 minutes ago`` for what is recent, the day for what is not."""
    passed = current.now() - moment
    if passed < datetime.timedelta(minutes=1):
        return str(_("just now"))
    if passed < datetime.timedelta(days=7):
        return str(format_timedelta(-passed, granularity="minute", add_direction=True))
    return day(moment)


def _local(moment: datetime.datetime) -> datetime.datetime:
    zone = reader_zone()
    return moment.astimezone(ZoneInfo(zone) if zone else datetime.UTC)
