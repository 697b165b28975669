"""Profiles: what people say of themselves, kept and turned into claims; and their pictures."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from database.models import User as UserRow
from database.models import UserPicture, UserProfile
from database.prepared import Lookup
from database.transaction import Transaction
from provider.accounts.users import User
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.protocol.profile import ADDRESS_FIELDS, FIELDS, InvalidFields, checked, formatted_address
from provider.protocol.text import is_name, one_line
from provider.security.crypto import new_name

PICTURES = "/pictures"
PICTURE_TYPE = "image/webp"
_USERS = UserRow.__table__
_PROFILES = UserProfile.__table__
_PICTURES = UserPicture.__table__
PROFILE_COLUMNS = (*(_PROFILES.c[name] for name in FIELDS), _PICTURES.c.id.label("picture"))
_FIND = Lookup(
    select(_USERS.c.id, *PROFILE_COLUMNS).select_from(
        _USERS.outerjoin(_PROFILES, _PROFILES.c.user_id == _USERS.c.id).outerjoin(
            _PICTURES, _PICTURES.c.user_id == _USERS.c.id
        )
    ),
    by=_USERS.c.id,
)
_FIND_PICTURE = select(_PICTURES.c.content).where(_PICTURES.c.id == bindparam("picture_id"))


@dataclass(frozen=True, slots=True)
class Profile:
    """``fields`` has every name of ``FIELDS``, None for what is not said. ``picture`` is an address of ours, or None."""

    fields: Mapping[str, str | None]
    picture: str | None


class Profiles:
    def __init__(self, audit: AuditRecorder, site: str) -> None:
        """``site`` is scheme and authority of our pages: pictures are found there."""
        self._audit = audit
        self._site = site

    def get(self, tx: Transaction, user_id: str) -> Profile:
        """What a user has said, empty for one who has said nothing."""
        row = tx.first(_FIND, {"id": user_id})
        return Profile(dict.fromkeys(FIELDS), None) if row is None else self.profile_of(row[1:])

    def profile_of(self, values: Sequence[Any]) -> Profile:
        """A profile from the values of ``PROFILE_COLUMNS``."""
        *fields, picture = values
        address = None if picture is None else f"{self._site}{PICTURES}/{picture}"
        return Profile(dict(zip(FIELDS, fields, strict=True)), address)

    def claims(self, tx: Transaction, user: User) -> dict[str, Any]:
        """The claims of the scopes ``profile``, ``phone`` and ``address`` that are not in ``users`` (Core §5.1)."""
        return self.claims_of(self.get(tx, user.id), user.time_zone)

    @staticmethod
    def claims_of(profile: Profile, time_zone: str | None) -> dict[str, Any]:
        """The same of a profile that is known."""
        said = {name: value for name, value in profile.fields.items() if value is not None}
        address = {name: said.pop(name) for name in ADDRESS_FIELDS if name in said}
        claims: dict[str, Any] = {**said, "picture": profile.picture, "zoneinfo": time_zone}
        if "phone_number" in said:
            claims["phone_number_verified"] = False  # nobody has called it
        if address:
            claims["address"] = {"formatted": formatted_address(profile.fields), **address}
        return claims

    def save(
        self,
        tx: Transaction,
        origin: Origin,
        user: User,
        display_name: str,
        values: Mapping[str, str],
        *,
        shown: str | None = None,
    ) -> bool:
        """Keeps all fields as they are given, and how the user is to be called, empty for by the user name.

        ``shown`` is the ``digest_of`` what stood there when somebody began to write. Raises ``InvalidFields``, and keeps
        nothing then; returns False, and keeps nothing, if something else has come to stand there since.
        """
        name = one_line(display_name)
        wrong = [] if not name or is_name(name, 255) else ["display_name"]
        try:
            kept = checked(values, origin.now.date())
        except InvalidFields as refusal:
            raise InvalidFields([*wrong, *refusal.names]) from None
        if wrong:
            raise InvalidFields(wrong)
        wanted, before = {"display_name": name or None, **kept}, said_by(user, self.get(tx, user.id))
        if wanted != before and shown is not None and shown != digest_of(before):
            return False
        return self.change(tx, origin, user, wanted)

    def change(
        self, tx: Transaction, origin: Origin, user: User, values: Mapping[str, str | None], *, actor: str | None = None
    ) -> bool:
        """Keeps checked fields of the user and of the profile, None for what is not said any more.

        False if the user has changed since it was read: their row is what several changes at once wait for. The record
        names the fields, never what is in them.
        """
        before = self.get(tx, user.id).fields
        changed = [name for name, value in values.items() if value != before.get(name, getattr(user, name, None))]
        if not changed:
            return True
        changed_at = max(origin.now, user.updated_at + datetime.timedelta(microseconds=1))
        of_user = {name: values[name] for name in changed if name not in FIELDS}
        unchanged = (_USERS.c.id == user.id, _USERS.c.updated_at == user.updated_at)
        statement = update(UserRow).where(*unchanged).values(**of_user, updated_at=changed_at)
        if tx.execute(statement).rowcount != 1:
            return False
        of_profile = {name: values[name] for name in changed if name in FIELDS}
        if of_profile:
            self._put(tx, UserProfile, user.id, {**before, **of_profile, "updated_at": origin.now})
        self._record(tx, origin, user.id, sorted(changed), actor)
        return True

    def set_picture(self, tx: Transaction, origin: Origin, user_id: str, content: bytes) -> None:
        """Puts a picture in the place of the one before, under an address that nobody has seen."""
        self._put(tx, UserPicture, user_id, {"id": new_name("picture"), "content": content, "created_at": origin.now})
        self._touch(tx, origin.now, user_id)
        self._record(tx, origin, user_id, ["picture"])

    def remove_picture(self, tx: Transaction, origin: Origin, user_id: str) -> bool:
        """False when there is none."""
        if tx.execute(delete(UserPicture).where(_PICTURES.c.user_id == user_id)).rowcount != 1:
            return False
        self._touch(tx, origin.now, user_id)
        self._record(tx, origin, user_id, ["picture"])
        return True

    def picture(self, tx: Transaction, picture_id: str) -> bytes | None:
        """The picture at an address, None where there is none (any more)."""
        content = tx.execute(_FIND_PICTURE, {"picture_id": picture_id}).scalar()
        return None if content is None else bytes(content)

    def _put(
        self, tx: Transaction, model: type[UserProfile | UserPicture], user_id: str, values: dict[str, Any]
    ) -> None:
        """The user's one row, written or made. Of two at once that make it the second one writes what it finds."""
        written = update(model).where(model.__table__.c.user_id == user_id).values(**values)
        if tx.execute(written).rowcount:
            return
        try:
            tx.execute(insert(model), {"user_id": user_id, **values})
        except IntegrityError:
            if tx.execute(written).rowcount != 1:
                raise

    def _touch(self, tx: Transaction, now: datetime.datetime, user_id: str) -> None:
        tx.execute(update(UserRow).where(_USERS.c.id == user_id).values(updated_at=now))

    def _record(
        self, tx: Transaction, origin: Origin, user_id: str, changed: list[str], actor: str | None = None
    ) -> None:
        self._audit.record(
            tx,
            AuditEvent.PROFILE_CHANGED,
            origin,
            user_id=user_id,
            actor=actor,
            resource_type="users",
            resource_id=user_id,
            changed=changed,
        )


def said_by(user: User, profile: Profile) -> dict[str, str | None]:
    """What the profile page shows: how somebody wants to be called, and all fields."""
    return {"display_name": user.display_name, **profile.fields}


def digest_of(said: Mapping[str, str | None]) -> str:
    """64 hexadecimal digits that are others as soon as something in ``said`` is."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
