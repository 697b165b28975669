"""What empties the outboxes of a server: one courier for each kind of delivery. A new kind is named here."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from provider.deliveries.courier import POLL_SECONDS, Courier
from provider.deliveries.logout_delivery import LogoutDelivery
from provider.deliveries.logout_notices import Notice
from provider.deliveries.mail import QueuedLetter
from provider.deliveries.mail_delivery import MailDelivery
from provider.services import Services

Clock = Callable[[], datetime.datetime]


def couriers(services: Services, clock: Clock) -> list[Courier[Any]]:
    """To be started by the server."""
    mail = mail_courier(services, clock)
    return [logout_courier(services, clock), *([mail] if mail is not None else [])]


def logout_courier(services: Services, clock: Clock, *, poll_seconds: float = POLL_SECONDS) -> Courier[Notice]:
    """Sends the notices of ended sessions to applications."""
    kind = LogoutDelivery(
        services.engine,
        clock,
        services.logout_notices,
        services.clients,
        services.token_issuer,
        services.outbound,
    )
    return Courier(services.engine, clock, kind, poll_seconds=poll_seconds)


def mail_courier(
    services: Services, clock: Clock, *, poll_seconds: float = POLL_SECONDS
) -> Courier[QueuedLetter] | None:
    """Sends letters to people; None without a mail server."""
    if services.smtp is None:
        return None
    kind = MailDelivery(clock, services.mail, services.letters, services.smtp, services.settings.mail_sender)
    return Courier(services.engine, clock, kind, poll_seconds=poll_seconds)
