"""The person whom an access token stands for, in one question with the token's record (OpenID Connect Core §5.3)."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from database.models import Client, User, UserPicture, UserProfile
from database.prepared import Lookup
from database.transaction import Transaction
from provider.accounts.profiles import PROFILE_COLUMNS, Profiles
from provider.protocol.claims import Subject, wants_profile
from provider.tokens.verifier import COUNTS, RECORD, RECORD_KEY, RECORD_TABLES, TokenVerifier, VerifiedAccessToken

_USERS = User.__table__
_PROFILES = UserProfile.__table__
_PICTURES = UserPicture.__table__
_PERSON = (
    *(_USERS.c.username, _USERS.c.display_name, _USERS.c.locale, _USERS.c.updated_at, _USERS.c.email),
    *(_USERS.c.is_verified, _USERS.c.time_zone, Client.__table__.c.metadata),
)
_OF_RECORD = slice(0, len(RECORD))
_OF_PERSON = slice(len(RECORD), len(RECORD) + len(_PERSON))
_OF_PROFILE = slice(len(RECORD) + len(_PERSON), None)
_WITHOUT_PROFILE = Lookup(select(*RECORD, *_PERSON).select_from(RECORD_TABLES).where(COUNTS), RECORD_KEY)
_WITH_PROFILE = Lookup(
    select(*RECORD, *_PERSON, *PROFILE_COLUMNS)
    .select_from(
        RECORD_TABLES.outerjoin(_PROFILES, _PROFILES.c.user_id == _USERS.c.id).outerjoin(
            _PICTURES, _PICTURES.c.user_id == _USERS.c.id
        )
    )
    .where(COUNTS),
    RECORD_KEY,
)


@dataclass(frozen=True, slots=True)
class TokenHolder:
    """``subject`` is the person as the token's ``sub`` and without groups, None for a machine.

    ``userinfo_signed_response_alg`` is what the token's client has registered.
    """

    token: VerifiedAccessToken
    subject: Subject | None
    userinfo_signed_response_alg: str | None


class TokenHolders:
    def __init__(self, verifier: TokenVerifier, profiles: Profiles) -> None:
        self._verifier = verifier
        self._profiles = profiles

    def find(self, tx: Transaction, token: str, now: datetime.datetime) -> TokenHolder | None:
        """Whose a token is, if it counts. None on any doubt, as ``TokenVerifier.verify_access_token`` says it.

        What the person has said of themselves is read where the scope or the claims that were asked for cover it.
        """
        found = self._verifier.verified_with(tx, token, now, _statement_for, _OF_RECORD)
        if found is None:
            return None
        verified, row = found
        username, display_name, locale, updated_at, email, is_verified, time_zone, metadata = row.values(_OF_PERSON)
        algorithm = (metadata or {}).get("userinfo_signed_response_alg")
        if verified.user_id is None:
            return TokenHolder(verified, None, algorithm)
        profile: Mapping[str, Any] = {}
        if wants_profile(verified.scope):
            profile = self._profiles.claims_of(self._profiles.profile_of(row.values(_OF_PROFILE)), time_zone)
        elif wants_profile((), verified.requested_claims.userinfo):
            profile = self._profiles.claims_of(self._profiles.get(tx, verified.user_id), time_zone)
        subject = Subject(
            sub=str(verified.claims["sub"]),
            username=username,
            display_name=display_name,
            locale=locale,
            updated_at=updated_at,
            email=email,
            email_verified=is_verified,
            profile=profile,
        )
        return TokenHolder(verified, subject, algorithm)


def _statement_for(scope: Collection[str]) -> Lookup:
    return _WITH_PROFILE if wants_profile(scope) else _WITHOUT_PROFILE
