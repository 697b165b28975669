"""The one place where everything that a person was given ends, for good."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import select, update

from database.models import Client as ClientRow
from database.models import User as UserRow
from database.transaction import Transaction
from provider.accounts.users import Users
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.sign_in.half_done import end_half_done
from provider.sign_in.remembered_devices import RememberedDevices
from provider.sign_in.session_ends import SessionEnds
from provider.sign_in.wait_ends import end_waits
from provider.tokens.grant_records import GrantRecords

_CLIENTS = ClientRow.__table__
_USERS = UserRow.__table__


@dataclass(frozen=True, slots=True)
class Ended:
    """How much of it there was."""

    sessions: int = 0
    grants: int = 0
    api_keys: int = 0


class UserEnds:
    def __init__(
        self,
        audit: AuditRecorder,
        grants: GrantRecords,
        session_ends: SessionEnds,
        users: Users,
        remembered: RememberedDevices,
    ) -> None:
        self._audit = audit
        self._grants = grants
        self._session_ends = session_ends
        self._users = users
        self._remembered = remembered

    def set_active(
        self, tx: Transaction, origin: Origin, user_id: str, active: bool, actor: str | None = None
    ) -> Ended | None:
        """Enables or disables a user. All that they were given ends for good with either; None when nothing changes.

        Enabling ends what came about in the moment of disabling. Raises ``LastAdministrator``.
        """
        if not self._users.mark_active(tx, origin.now, user_id, active):
            return None
        ended = self.end_all(tx, origin, user_id, reason="user_disabled", actor=actor)
        self._audit.record(
            tx,
            AuditEvent.USER_ENABLED if active else AuditEvent.USER_DISABLED,
            origin,
            user_id=user_id,
            actor=actor,
            resource_type="users",
            resource_id=user_id,
            **asdict(ended),
        )
        return ended

    def end_all(self, tx: Transaction, origin: Origin, user_id: str, *, reason: str, actor: str | None) -> Ended:
        """Ends grants with their tokens, sessions, API keys with theirs, and what is half done: sign-ins, links, waits.

        Devices are remembered no more, first of all: whoever signs in there a moment before is among the sessions that end.
        """
        self._remembered.forget_all(tx, origin, user_id, reason)
        end_half_done(tx, origin.now, user_id)
        end_waits(tx, origin, self._audit, user_id, reason=reason)
        return Ended(
            grants=self._grants.revoke_for_user(tx, origin, user_id, reason),
            sessions=self._session_ends.end_all(tx, origin, user_id, reason=reason, actor=actor),
            api_keys=self._revoke_api_keys(tx, origin, user_id, reason, actor),
        )

    def _revoke_api_keys(self, tx: Transaction, origin: Origin, user_id: str, reason: str, actor: str | None) -> int:
        """A key may be in anybody's hands. A person who is let in again makes another."""
        living = (_CLIENTS.c.owner_user_id == user_id, _CLIENTS.c.kind == "api_key", _CLIENTS.c.revoked_at.is_(None))
        keys = tx.execute(select(_CLIENTS.c.id, _CLIENTS.c.client_id).where(*living)).all()
        for key in keys:
            revoked = update(ClientRow).where(_CLIENTS.c.id == key.id)
            tx.execute(revoked.values(revoked_at=origin.now, updated_at=origin.now))
            self._audit.record(
                tx,
                AuditEvent.API_KEY_REVOKED,
                origin,
                user_id=user_id,
                actor=actor,
                resource_type="oauth_clients",
                resource_id=key.client_id,
                reason=reason,
            )
        tx.execute(update(UserRow).where(_USERS.c.id == user_id).values(api_key=None))
        return len(keys)
