"""Proving who one is by a passkey: alone, after the password, or once more before something sensitive."""

from __future__ import annotations

import datetime
from typing import Any

from database.transaction import Transaction
from provider.accounts.users import User, Users
from provider.audit import AuditEvent, AuditRecorder
from provider.protocol.messages import Origin
from provider.sign_in.attempts import Attempts
from provider.sign_in.login import CompletedLogin, Login, StepExpired
from provider.sign_in.passkey_ceremonies import Answer, CeremonyFailed, RelyingParty, read_answer
from provider.sign_in.passkey_challenges import ChallengeOver, PasskeyChallenges, Purpose
from provider.sign_in.passkeys import Passkey, Passkeys

# What an answer alone has to show besides the key: that the authenticator knows its person (by a finger, a face, a PIN).
_VERIFIED = (Purpose.SIGN_IN, Purpose.AGAIN, Purpose.RESET)


class WrongPasskey(Exception):
    """Nobody's passkey, somebody else's, a disabled user's, or an answer that does not hold: nobody can tell which."""


class PasskeyProofs:
    """``bound_to`` is the browser, with the session or the step that it is in: nobody else's answer is taken."""

    def __init__(
        self,
        party: RelyingParty | None,
        challenges: PasskeyChallenges,
        passkeys: Passkeys,
        users: Users,
        login: Login,
        attempts: Attempts,
        audit: AuditRecorder,
    ) -> None:
        self._party = party
        self._challenges = challenges
        self._passkeys = passkeys
        self._users = users
        self._login = login
        self._attempts = attempts
        self._audit = audit

    def options_to_sign_in(self, now: datetime.datetime, bound_to: str) -> dict[str, Any] | None:
        """What the browser is asked on the sign-in page. It names nobody, so it tells nobody anything.

        None where passkeys are not offered.
        """
        if self._party is None:
            return None
        challenge = self._challenges.make(now, Purpose.SIGN_IN, bound_to)
        return self._party.request_options(challenge, needs_verification=True)

    def options_for(
        self, tx: Transaction, now: datetime.datetime, user: User, purpose: Purpose, bound_to: str
    ) -> dict[str, Any] | None:
        """The same for somebody who is known already, None where they have no passkey."""
        known = self._passkeys.list(tx, user.id)
        if self._party is None or not known:
            return None
        challenge = self._challenges.make(now, purpose, _of(user, bound_to))
        return self._party.request_options(challenge, known=known, needs_verification=purpose in _VERIFIED)

    def sign_in(self, tx: Transaction, origin: Origin, bound_to: str, text: str) -> CompletedLogin:
        """Who is signed in by nothing but a passkey: it is had, and it knows its person, which makes two factors.

        Raises ``WrongPasskey``, ``ChallengeOver``, ``Throttled``.
        """
        user, passkey = self._prove(tx, origin, Purpose.SIGN_IN, bound_to, text, None)
        return CompletedLogin(user, (*passkey.amr, "mfa"))

    def second_factor(
        self, tx: Transaction, origin: Origin, step_token: str, bound_to: str, text: str
    ) -> CompletedLogin:
        """Finishes a sign-in whose password was right. Raises ``StepExpired`` and what ``sign_in`` does."""
        user = self._login.find_step(tx, origin.now, step_token)
        if user is None:
            raise StepExpired
        user, passkey = self._prove(tx, origin, Purpose.SECOND_FACTOR, _of(user, bound_to), text, user)
        self._login.use_step(tx, origin, step_token)
        return CompletedLogin(user, ("pwd", *passkey.amr, "mfa"))

    def again(self, tx: Transaction, origin: Origin, user: User, bound_to: str, text: str) -> tuple[str, ...]:
        """The methods by which a signed-in user has proved themselves once more. Raises what ``sign_in`` does."""
        _user, passkey = self._prove(tx, origin, Purpose.AGAIN, _of(user, bound_to), text, user)
        return (*passkey.amr, "mfa")

    def for_new_password(self, tx: Transaction, origin: Origin, user: User, bound_to: str, text: str) -> None:
        """Stands in for the code behind a mailed link, which ``bound_to`` names as well. Raises what ``sign_in`` does."""
        self._prove(tx, origin, Purpose.RESET, _of(user, bound_to), text, user)

    def _prove(
        self, tx: Transaction, origin: Origin, purpose: Purpose, bound_to: str, text: str, expected: User | None
    ) -> tuple[User, Passkey]:
        """Whose passkey has answered. ``expected`` is who it has to be."""
        attempt = self._attempts.count_passkey(tx, origin, expected)
        tx.commit()  # counted, whatever becomes of it
        passkey = None
        try:
            answer = read_answer(text)
            passkey = self._passkeys.find_by_credential(tx, answer.credential_id)
            user = self._checked(tx, origin, purpose, bound_to, answer, passkey, expected)
        except (CeremonyFailed, ChallengeOver) as problem:
            owner = expected.id if expected else passkey.user_id if passkey else None
            event = AuditEvent.LOGIN_FAILED if expected is None else AuditEvent.SECOND_FACTOR_FAILED
            reason = str(problem) or "challenge over"
            self._audit.record(tx, event, origin, user_id=owner, outcome="failed", method="passkey", reason=reason)
            if isinstance(problem, ChallengeOver):
                raise
            raise WrongPasskey from None
        assert passkey is not None  # noqa: S101 - what was checked was there
        self._attempts.succeed(tx, origin, attempt)
        return user, passkey

    def _checked(
        self,
        tx: Transaction,
        origin: Origin,
        purpose: Purpose,
        bound_to: str,
        answer: Answer,
        passkey: Passkey | None,
        expected: User | None,
    ) -> User:
        """The steps of Web Authentication Level 3 §7.2. Raises ``CeremonyFailed``, ``ChallengeOver``."""
        if self._party is None or passkey is None:
            raise CeremonyFailed("nobody's passkey")
        if expected is not None and passkey.user_id != expected.id:
            raise CeremonyFailed("another person's passkey")
        # Where nobody was named, the authenticator has to say whose it is; where it says so, it has to be right.
        if answer.user_handle != passkey.user_handle and (expected is None or answer.user_handle is not None):
            raise CeremonyFailed("another user handle")
        proved = self._party.check_assertion(
            answer, answer.challenge, public_key=passkey.public_key, needs_verification=purpose in _VERIFIED
        )
        if proved.backup_eligible != passkey.backup_eligible:
            raise CeremonyFailed("another answer to whether it can be backed up")
        self._challenges.use(tx, origin.now, purpose, bound_to, answer.challenge)
        user = self._users.find(tx, passkey.user_id)
        if user is None or not user.may_prove:
            raise CeremonyFailed("a disabled user")
        if not self._passkeys.record_use(tx, origin, passkey, proved):
            if self._passkeys.find(tx, user.id, passkey.id) is not None:
                self._passkeys.suspect(tx, origin, user, passkey, proved.sign_count)
            raise CeremonyFailed("a counter that went back")
        return user


def _of(user: User, bound_to: str) -> str:
    return f"{bound_to}|{user.id}"
