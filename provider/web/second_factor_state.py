"""What is missing of a signed-in person's second step, for the pages that remind of it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from provider.sign_in.recovery_codes import FEW
from provider.sign_in.second_factors import has_second_factor
from provider.web import current


@dataclass(frozen=True, slots=True)
class SecondFactorState:
    """``due`` is when it has to be set up, None where it has been or need not be."""

    due: datetime.datetime | None = None
    has_few_codes: bool = False
    has_no_codes: bool = False
    has_unproved_codes: bool = False


def second_factor_state() -> SecondFactorState:
    known, services, tx = current.signed_in(), current.services(), current.tx()
    if known is None:
        return SecondFactorState()
    user, rule, codes = known.user, services.second_factor_rule, services.recovery_codes
    if not has_second_factor(tx, user):
        return SecondFactorState(due=rule.due(user) if rule.is_missed(tx, user) else None)
    left = codes.count(tx, user.id)
    return SecondFactorState(
        has_few_codes=left <= FEW, has_no_codes=left == 0, has_unproved_codes=not codes.are_proved(tx, user.id)
    )
