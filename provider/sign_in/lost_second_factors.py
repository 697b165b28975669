"""Takes a lost second factor away at the end of a wait, from whoever gives the right password then."""

from __future__ import annotations

from database.transaction import Transaction
from provider.accounts.alerts import Alert, Alerts
from provider.accounts.users import User
from provider.protocol.messages import Origin
from provider.sign_in.passkeys import Passkeys
from provider.sign_in.recovery_codes import RecoveryCodes
from provider.sign_in.remembered_devices import RememberedDevices
from provider.sign_in.second_factor_waits import SecondFactorWaits
from provider.sign_in.session_ends import SessionEnds
from provider.sign_in.totp import Totp


class LostSecondFactors:
    def __init__(
        self,
        waits: SecondFactorWaits,
        totp: Totp,
        recovery_codes: RecoveryCodes,
        passkeys: Passkeys,
        remembered: RememberedDevices,
        session_ends: SessionEnds,
        alerts: Alerts,
    ) -> None:
        self._waits = waits
        self._totp = totp
        self._recovery_codes = recovery_codes
        self._passkeys = passkeys
        self._remembered = remembered
        self._session_ends = session_ends
        self._alerts = alerts

    def remove_if_waited(self, tx: Transaction, origin: Origin, user: User) -> bool:
        """Removes every second factor of a user whose wait is over, with the sessions that rest on it.

        To be called once the password was right. True when there is none any more.
        """
        if not self._waits.use(tx, origin, user.id):
            return False
        self._totp.disable(tx, origin, user.id)
        self._recovery_codes.forget(tx, user.id)
        self._passkeys.remove_all(tx, origin, user.id)
        self._remembered.forget_all(tx, origin, user.id, "second_factor_reset")
        self._session_ends.end_all(tx, origin, user.id, reason="second_factor_reset")
        self._alerts.tell(tx, origin, user, Alert.SECOND_FACTOR_LOST)
        return True
