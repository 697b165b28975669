"""Adding a passkey: to an account, or to one that is about to be made."""

from __future__ import annotations

import datetime
from typing import Any

from database.transaction import Transaction
from provider.accounts.users import User
from provider.protocol.messages import Origin
from provider.sign_in.passkey_ceremonies import NewPasskey, RelyingParty, read_answer
from provider.sign_in.passkey_challenges import PasskeyChallenges, Purpose
from provider.sign_in.passkeys import Passkey, Passkeys


class PasskeysNotOffered(Exception):
    """The issuer is a bare address, and no browser makes passkeys for one."""


class PasskeyEnrolments:
    """``bound_to`` is the browser, with the session that it is in: nobody else's answer is taken."""

    def __init__(self, party: RelyingParty | None, challenges: PasskeyChallenges, passkeys: Passkeys) -> None:
        self._party = party
        self._challenges = challenges
        self._passkeys = passkeys

    @property
    def is_offered(self) -> bool:
        return self._party is not None

    def options(self, tx: Transaction, now: datetime.datetime, user: User, bound_to: str) -> dict[str, Any]:
        """What the browser is asked to make for ``user``. Leaves nothing in the database."""
        return self._known_party().creation_options(
            self._challenges.make(now, Purpose.ADD, bound_to),
            user_handle=self._passkeys.user_handle(tx, user.id),
            name=user.username,
            display_name=user.display_name or user.username,
            known=self._passkeys.list(tx, user.id),
        )

    def add(self, tx: Transaction, origin: Origin, user: User, bound_to: str, text: str, name: str) -> Passkey:
        """Keeps the passkey that an answer brings.

        Raises ``CeremonyFailed``, ``ChallengeOver`` and what ``Passkeys.add`` does.
        """
        answer = read_answer(text)
        handle = self._passkeys.user_handle(tx, user.id)
        # Checked before it is used up: the library is loaded with the first answer, and no write waits for that.
        made = self._known_party().check_creation(answer, answer.challenge, user_handle=handle)
        self._challenges.use(tx, origin.now, Purpose.ADD, bound_to, answer.challenge)
        return self._passkeys.add(tx, origin, user, made, name)

    def options_for_new(self, now: datetime.datetime, name: str, bound_to: str) -> dict[str, Any]:
        """The same for somebody who has no account yet and chose the user name ``name``."""
        challenge = self._challenges.make(now, Purpose.SIGN_UP, bound_to)
        handle = self._passkeys.new_user_handle(challenge.hex())
        return self._known_party().creation_options(
            challenge, user_handle=handle, name=name, display_name=name, known=()
        )

    def check_new(self, tx: Transaction, now: datetime.datetime, bound_to: str, text: str) -> NewPasskey:
        """What is to be given to ``Passkeys.add`` once there is a user. Raises ``CeremonyFailed``, ``ChallengeOver``."""
        answer = read_answer(text)
        handle = self._passkeys.new_user_handle(answer.challenge.hex())
        made = self._known_party().check_creation(answer, answer.challenge, user_handle=handle)
        self._challenges.use(tx, now, Purpose.SIGN_UP, bound_to, answer.challenge)
        return made

    def _known_party(self) -> RelyingParty:
        if self._party is None:
            raise PasskeysNotOffered
        return self._party
