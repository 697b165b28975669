"""What pages say when a code or a password is refused, and how they tell when to come back."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.sign_in.attempts import CodesNotTaken, CodesUnreadable
from provider.sign_in.consecutive_failures import MOST
from provider.web import current, forms
from provider.web.times import clock_time


def wrong_code(*, is_recovery_code: bool) -> str:
    if is_recovery_code:
        return str(_("That recovery code didn't work. Each one works once."))
    return str(_("That code didn't work. Codes change every 30 seconds; check your phone's clock."))


def codes_not_taken(refusal: CodesNotTaken) -> str:
    """Why no code is taken here, and what is."""
    service = current.settings().service_name
    if isinstance(refusal, CodesUnreadable):
        return str(
            _(
                "Codes from the app can't be checked at the moment. The mistake is not yours. Use a recovery code, or ask "
                "the people who run %(service)s.",
                service=service,
            )
        )
    return str(
        _(
            "%(count)d wrong codes in a row were entered, so codes from the app are not accepted here any more. Use a "
            "recovery code, or a device where you have signed in before, or ask the people who run %(service)s.",
            count=MOST,
            service=service,
        )
    )


def throttled(until: datetime.datetime, problems: forms.Problems, page: Callable[[], Response]) -> Response:
    """The page with its problems as 429, saying when to come back, to people and to programs."""
    time = clock_time(until + datetime.timedelta(seconds=59))
    problems.add("", _("Too many attempts. Try again at %(time)s.", time=time))
    response = page()
    response.status_code = 429
    response.headers["Retry-After"] = str(max(1, int((until - current.now()).total_seconds()) + 1))
    return response
