"""Who may see a page: decorators that send everybody else to sign in, to sign in again, or to add a second step."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from werkzeug.wrappers import Response

from provider.accounts.users import User
from provider.sign_in import proofs
from provider.web import current
from provider.web.rendering import see_other

P = ParamSpec("P")
View = Callable[P, Response]


def must_enrol(user: User) -> bool:
    """Whether ``user`` may do nothing before a second step is set up."""
    return current.services().second_factor_rule.must_enrol(current.tx(), user, current.now())


def is_recent() -> bool:
    """Whether the person at hand has proved who they are a short while ago, by a second factor where they have one."""
    known = current.signed_in()
    if known is None:
        return False
    return proofs.is_recent(
        current.tx(), known.session, known.user, current.now(), current.settings().recent_login_seconds
    )


def signed_in_only(to: str, *, recently: bool = False, confirmed: bool = False) -> Callable[[View[P]], View[P]]:
    """Shows the page to a signed-in user alone. ``to`` is the name, in ``waiting.DESTINATIONS``, of the way back.

    ``recently`` asks for a fresh proof when the last one is too long ago (``recent_login_seconds``) or was weaker than
    what the person has.
    ``confirmed`` keeps out whoever has made an account and has yet to confirm its address.
    """

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Response:
            known = current.signed_in()
            if known is None:
                return see_other(f"/login?to={to}")
            if must_enrol(known.user):
                return see_other(f"/login/second-factor?to={to}")
            if confirmed and known.user.is_unconfirmed:
                return see_other(f"/signup/address?to={to}")
            if recently and not is_recent():
                return see_other(f"/login/again?to={to}")
            return view(*args, **kwargs)

        return guarded

    return decorate


def here() -> current.SignedIn:
    """The session behind a guarded page."""
    known = current.signed_in()
    assert known is not None  # noqa: S101 - the page is guarded
    return known
