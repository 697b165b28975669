"""Which records of the audit a person is told of: the one place where both meet.

What happens below, in tokens and grants, knows nothing of people or letters. So letters follow from records, in the
same transaction: what is not on record is not told, and what is told has happened.
"""

from __future__ import annotations

from collections.abc import Mapping

from database.transaction import Transaction
from provider.accounts.administrators import NAME as ADMINISTRATORS
from provider.accounts.alerts import Alert, Alerts
from provider.accounts.users import Users
from provider.audit import AuditEvent, AuditRecorder, Recorded
from provider.protocol.names import shown_name
from provider.security.rate_limit import Limit, RateLimiter
from provider.tokens.grant_records import OFFLINE_ACCESS

# The third wrong code of an hour behind the right password is told of. Everybody mistypes once or twice.
WRONG_CODES = Limit("wrong codes before a letter", 2, 3600)
ALWAYS: Mapping[AuditEvent, Alert] = {
    AuditEvent.SECOND_FACTOR_ENROLLED: Alert.SECOND_FACTOR_ON,
    AuditEvent.SECOND_FACTOR_REMOVED: Alert.SECOND_FACTOR_OFF,
    AuditEvent.REFRESH_TOKEN_REUSED: Alert.TOKEN_REPLAYED,
}


class Watched:
    def __init__(self, audit: AuditRecorder, alerts: Alerts, users: Users, rate_limits: RateLimiter) -> None:
        self._alerts = alerts
        self._users = users
        self._rate_limits = rate_limits
        for event in ALWAYS:
            audit.on(event, self._happened)
        audit.on(AuditEvent.LOGIN_SUCCEEDED, self._signed_in)
        audit.on(AuditEvent.SECOND_FACTOR_FAILED, self._wrong_code)
        audit.on(AuditEvent.API_KEY_CREATED, self._key_made)
        audit.on(AuditEvent.CONSENT_GIVEN, self._allowed)
        audit.on(AuditEvent.GROUP_MEMBER_ADDED, self._joined)

    def _happened(self, tx: Transaction, record: Recorded) -> None:
        self._tell(tx, record, ALWAYS[record.event])

    def _signed_in(self, tx: Transaction, record: Recorded) -> None:
        if record.details.get("new_device"):
            self._tell(tx, record, Alert.NEW_DEVICE)

    def _wrong_code(self, tx: Transaction, record: Recorded) -> None:
        if self._rate_limits.hit(tx, WRONG_CODES, record.user_id or "", record.origin.now) is not None:
            self._tell(tx, record, Alert.WRONG_CODES)

    def _key_made(self, tx: Transaction, record: Recorded) -> None:
        self._tell(tx, record, Alert.API_KEY_MADE, name=shown_name(str(record.details["name"])))

    def _allowed(self, tx: Transaction, record: Recorded) -> None:
        """What works on while the person is away, said when they first allow it."""
        if OFFLINE_ACCESS in record.details["added"]:
            self._tell(tx, record, Alert.OFFLINE_APP, app=str(record.details["app"]))

    def _joined(self, tx: Transaction, record: Recorded) -> None:
        if record.details["name"] == ADMINISTRATORS:
            self._tell(tx, record, Alert.MADE_ADMINISTRATOR)

    def _tell(self, tx: Transaction, record: Recorded, alert: Alert, **values: str) -> None:
        user = self._users.find(tx, record.user_id) if record.user_id else None
        if user is not None:
            self._alerts.tell(tx, record.origin, user, alert, **values)
