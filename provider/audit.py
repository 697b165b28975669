"""The list of security events, and the recorder that writes them in the transaction of the change."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from database.models import AuditRecord
from database.models.columns import new_id
from database.prepared import addition
from database.transaction import Transaction
from provider.protocol.messages import Origin
from provider.protocol.sizes import cut
from provider.protocol.text import visible
from provider.security.crypto import SECRET_PATTERN

log = logging.getLogger("mcp_core.audit")
# What begins a formula; spreadsheets in East Asian languages read the wide forms as well.
_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
_ADD = addition(AuditRecord.__table__)
_ID = AuditRecord.__table__.c.id


class AuditEvent(StrEnum):
    """Every name that ``user_audit_log.action`` can have."""

    SETUP_COMPLETED = "setup.completed"
    LOGIN_SUCCEEDED = "login.succeeded"
    LOGIN_FAILED = "login.failed"
    LOGIN_THROTTLED = "login.throttled"
    LOGIN_CLOSED = "login.closed"
    LOGIN_OPENED = "login.opened"
    REAUTHENTICATED = "login.reauthenticated"
    SECOND_FACTOR_ENROLLED = "second_factor.enrolled"
    SECOND_FACTOR_FAILED = "second_factor.failed"
    SECOND_FACTOR_THROTTLED = "second_factor.throttled"
    SECOND_FACTOR_REMOVED = "second_factor.removed"
    PASSKEY_ADDED = "passkey.added"
    PASSKEY_RENAMED = "passkey.renamed"
    PASSKEY_REMOVED = "passkey.removed"
    PASSKEY_SUSPECTED = "passkey.suspected"
    SECOND_FACTOR_WAIT_ASKED = "second_factor.wait_asked"
    SECOND_FACTOR_WAIT_BEGUN = "second_factor.wait_begun"
    SECOND_FACTOR_WAIT_STOPPED = "second_factor.wait_stopped"
    DEVICE_REMEMBERED = "device.remembered"
    DEVICES_FORGOTTEN = "device.forgotten"
    RECOVERY_CODES_MADE = "recovery_codes.made"
    RECOVERY_CODES_PROVED = "recovery_codes.proved"
    RECOVERY_CODE_USED = "recovery_codes.used"
    SESSION_STARTED = "session.started"
    SESSION_ENDED = "session.ended"
    USER_CREATED = "user.created"
    USER_VERIFIED = "user.verified"
    USER_DISOWNED = "user.disowned"
    INVITATION_CREATED = "invitation.created"
    INVITATION_WITHDRAWN = "invitation.withdrawn"
    INVITATION_ACCEPTED = "invitation.accepted"
    USER_DISABLED = "user.disabled"
    USER_ENABLED = "user.enabled"
    PROFILE_CHANGED = "user.profile_changed"
    GROUP_CREATED = "group.created"
    GROUP_RENAMED = "group.renamed"
    GROUP_DELETED = "group.deleted"
    GROUP_MEMBER_ADDED = "group.member_added"
    GROUP_MEMBER_REMOVED = "group.member_removed"
    USER_LOCKED_DOWN = "user.locked_down"
    USER_CLOSED = "user.closed"
    USER_REOPENED = "user.reopened"
    USER_ERASED = "user.erased"
    PASSWORD_CHANGED = "user.password_changed"  # noqa: S105 - the name of an event
    PASSWORD_RESET_ASKED = "user.password_reset_asked"  # noqa: S105 - the name of an event
    PASSWORD_REQUIRED = "user.password_required"  # noqa: S105 - the name of an event
    EMAIL_CHANGE_ASKED = "user.email_change_asked"
    EMAIL_CHANGED = "user.email_changed"
    EMAIL_CHANGE_UNDONE = "user.email_change_undone"
    USERNAME_CHANGED = "user.username_changed"
    DATA_ASKED_FOR = "data.asked_for"
    DATA_DOWNLOADED = "data.downloaded"
    API_KEY_CREATED = "api_key.created"
    API_KEY_ROTATED = "api_key.rotated"
    API_KEY_REVOKED = "api_key.revoked"
    CLIENT_CREATED = "client.created"
    CLIENT_UPDATED = "client.updated"
    CLIENT_DISABLED = "client.disabled"
    CLIENT_ENABLED = "client.enabled"
    CLIENT_DELETED = "client.deleted"
    CLIENT_SECRET_ROTATED = "client.secret_rotated"  # noqa: S105 - the name of an event
    CLIENT_MANAGEMENT_REFUSED = "client.management_refused"
    CLIENT_AUTHENTICATION_FAILED = "client.authentication_failed"
    REGISTRATION_TOKEN_CREATED = "registration_token.created"  # noqa: S105 - the name of an event
    REGISTRATION_TOKEN_REVOKED = "registration_token.revoked"  # noqa: S105 - the name of an event
    REGISTRATION_REFUSED = "registration.refused"
    RESOURCE_ADDED = "resource.added"
    RESOURCE_CHANGED = "resource.changed"
    RESOURCE_REMOVED = "resource.removed"
    AUTHORIZATION_REFUSED = "authorization.refused"
    CONSENT_GIVEN = "consent.given"
    CONSENT_DENIED = "consent.denied"
    CONSENT_WITHDRAWN = "consent.withdrawn"
    CODE_ISSUED = "code.issued"
    CODE_REUSED = "code.reused"
    CODE_REFUSED = "code.refused"
    REFRESH_TOKEN_REUSED = "refresh_token.reused"  # noqa: S105 - the name of an event
    REFRESH_TOKEN_REFUSED = "refresh_token.refused"  # noqa: S105 - the name of an event
    PUSHED_REQUEST_REFUSED = "pushed_request.refused"
    TOKEN_REVOKED = "token.revoked"  # noqa: S105 - the name of an event
    GRANT_REVOKED = "grant.revoked"
    LOGOUT_REQUESTED = "logout.requested"
    LOGOUT_NOTICE_FAILED = "logout_notice.failed"
    MAIL_FAILED = "mail.failed"
    MAIL_RETRIED = "mail.retried"
    KEYS_CREATED = "keys.created"
    KEYS_ROTATED = "keys.rotated"
    CLOUD_CONNECTED = "cloud.connected"
    CLOUD_CHANGED = "cloud.changed"
    CLOUD_MADE_PRIMARY = "cloud.made_primary"
    CLOUD_REMOVED = "cloud.removed"
    CLOUD_TESTED = "cloud.tested"
    CLOUD_CREDENTIALS_GIVEN = "cloud.credentials_given"
    CLOUD_CREDENTIALS_REFUSED = "cloud.credentials_refused"
    MASTER_KEY_ROTATED = "master_key.rotated"
    MASTER_KEYS_DROPPED = "master_key.dropped"
    VALUES_REWRAPPED = "master_key.values_rewrapped"
    DECRYPTION_FAILED = "decryption.failed"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was recorded just now, for those who act on it."""

    event: AuditEvent
    origin: Origin
    user_id: str | None
    actor: str | None
    details: Mapping[str, Any]


Watcher = Callable[[Transaction, Recorded], None]


class AuditRecorder:
    """Writes one row for each event, and one log line once the row is committed, so that records leave this machine."""

    def __init__(self) -> None:
        self._watchers: dict[AuditEvent, list[Watcher]] = {}

    def on(self, event: AuditEvent, watcher: Watcher) -> None:
        """Calls ``watcher`` for each such event, in its transaction: what layers below know nothing of follows from it."""
        self._watchers.setdefault(event, []).append(watcher)

    def record(
        self,
        tx: Transaction,
        event: AuditEvent,
        origin: Origin,
        *,
        user_id: str | None = None,
        actor: str | None = None,
        outcome: str = "ok",
        resource_type: str | None = None,
        resource_id: str | None = None,
        **details: Any,
    ) -> None:
        """Records ``event`` in the caller's transaction: no change without its record, and no record without the change.

        ``user_id`` is whom it concerns, ``actor`` who did it when that is somebody else. ``details`` never hold a
        secret; their text is cleaned of control characters.
        """
        row = {
            "id": new_id(origin.now),
            "user_id": user_id,
            "actor": printable(actor, 255),
            "action": event.value,
            "outcome": outcome,
            "resource_type": resource_type,
            "resource_id": printable(resource_id, 255),
            "metadata": {name: _clean(value) for name, value in details.items()} or None,
            "ip_address": printable(origin.source, 45),
            "user_agent": printable(origin.user_agent, 512, ascii_only=False),
            "request_id": printable(origin.request_id, 32),
            "created_at": origin.now,
        }
        tx.count(_ADD, row)
        tx.mark((_ID, row["id"]))
        line = json.dumps({**row, "created_at": origin.now.isoformat()}, ensure_ascii=True)
        tx.on_commit(lambda: log.info("%s", line))
        for watcher in self._watchers.get(event, ()):
            watcher(tx, Recorded(event, origin, user_id, actor, details))


def printable(value: str | None, length: int, *, ascii_only: bool = True) -> str | None:
    """``value`` cut to ``length`` bytes, control characters replaced: untrusted text can forge neither lines nor columns.

    Nor formulas: what a spreadsheet would calculate begins with an apostrophe, which makes it text there. That happens
    here and not where records are exported, because they leave by ways that we never see (queries, dumps, log collectors).
    """
    if value is None:
        return None
    text = visible("".join(c if c.isascii() or not ascii_only else "?" for c in value[:length]))
    return cut(f"'{text}" if text.startswith(_FORMULA) else text, length)


def without_secrets(text: str | None, length: int = 255) -> str:
    """What a request says, for the log and the audit: printable, cut, and a secret that stands in its place left out."""
    return printable(SECRET_PATTERN.sub("[secret]", text or ""), length) or ""


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value, 512, ascii_only=False)
    if isinstance(value, (list, tuple)):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(name): _clean(item) for name, item in value.items()}
    return value
