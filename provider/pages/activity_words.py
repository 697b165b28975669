"""What each event of the audit is called when its own person reads it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from flask_babel import gettext as _

from provider.audit import AuditEvent


class Kind(StrEnum):
    """By what the list can be filtered."""

    SIGN_IN = "sign-in"
    SECURITY = "security"
    APPS = "apps"
    KEYS = "keys"
    CLOUDS = "clouds"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Words:
    kind: Kind
    sentence: str


# What concerns no single person, and what another event says already: a session starts with a sign-in, an erased account
# has nobody who could read it.
UNSAID = frozenset(
    {
        AuditEvent.SETUP_COMPLETED,
        AuditEvent.SESSION_STARTED,
        AuditEvent.USER_ERASED,
        AuditEvent.CLIENT_CREATED,
        AuditEvent.CLIENT_UPDATED,
        AuditEvent.CLIENT_DISABLED,
        AuditEvent.CLIENT_ENABLED,
        AuditEvent.CLIENT_DELETED,
        AuditEvent.CLIENT_SECRET_ROTATED,
        AuditEvent.CLIENT_MANAGEMENT_REFUSED,
        AuditEvent.CLIENT_AUTHENTICATION_FAILED,
        AuditEvent.REGISTRATION_TOKEN_CREATED,
        AuditEvent.REGISTRATION_TOKEN_REVOKED,
        AuditEvent.REGISTRATION_REFUSED,
        AuditEvent.RESOURCE_ADDED,
        AuditEvent.RESOURCE_CHANGED,
        AuditEvent.RESOURCE_REMOVED,
        AuditEvent.AUTHORIZATION_REFUSED,
        AuditEvent.PUSHED_REQUEST_REFUSED,
        AuditEvent.GRANT_REVOKED,
        AuditEvent.LOGOUT_NOTICE_FAILED,
        AuditEvent.INVITATION_CREATED,
        AuditEvent.INVITATION_WITHDRAWN,
        AuditEvent.GROUP_CREATED,
        AuditEvent.GROUP_RENAMED,
        AuditEvent.GROUP_DELETED,
        AuditEvent.MAIL_FAILED,
        AuditEvent.MAIL_RETRIED,
        AuditEvent.USER_DISOWNED,
        AuditEvent.KEYS_CREATED,
        AuditEvent.KEYS_ROTATED,
        AuditEvent.MASTER_KEY_ROTATED,
        AuditEvent.MASTER_KEYS_DROPPED,
        AuditEvent.VALUES_REWRAPPED,
    }
)


# What a program did with a cloud account: it says which program and what for.
CLOUD_USES = (AuditEvent.CLOUD_CREDENTIALS_GIVEN, AuditEvent.CLOUD_CREDENTIALS_REFUSED)


def kinds() -> dict[Kind, str]:
    """Their names, in the order of the filter."""
    return {
        Kind.SIGN_IN: _("Signing in"),
        Kind.SECURITY: _("Security"),
        Kind.APPS: _("Apps"),
        Kind.KEYS: _("API keys"),
        Kind.CLOUDS: _("Cloud accounts"),
        Kind.ACCOUNT: _("Account"),
    }


def words() -> dict[AuditEvent, Words]:
    """A sentence for every event that concerns a person, in the language of the page at hand."""
    return {
        event: Words(kind, sentence)
        for kind, sentences in (
            (Kind.SIGN_IN, _signing_in()),
            (Kind.SECURITY, _security()),
            (Kind.APPS, _apps()),
            (Kind.KEYS, _keys()),
            (Kind.CLOUDS, _clouds()),
            (Kind.ACCOUNT, _account()),
        )
        for event, sentence in sentences.items()
    }


def _signing_in() -> dict[AuditEvent, str]:
    return {
        AuditEvent.LOGIN_SUCCEEDED: _("Signed in"),
        AuditEvent.LOGIN_FAILED: _("A wrong password was entered"),
        AuditEvent.LOGIN_THROTTLED: _("Too many attempts to sign in: some were turned away"),
        AuditEvent.LOGIN_CLOSED: _(
            "After many wrong attempts, signing in was limited to devices that you had used before"
        ),
        AuditEvent.LOGIN_OPENED: _("Signing in was opened again on all devices"),
        AuditEvent.REAUTHENTICATED: _("It was confirmed again who is signed in"),
        AuditEvent.SECOND_FACTOR_FAILED: _("The password was right, and the code was wrong"),
        AuditEvent.SECOND_FACTOR_THROTTLED: _("Too many codes: some were turned away"),
        AuditEvent.RECOVERY_CODE_USED: _("A recovery code was used"),
        AuditEvent.DEVICE_REMEMBERED: _("A device was remembered, and is asked for no code"),
        AuditEvent.DEVICES_FORGOTTEN: _("Remembered devices were forgotten, and are asked for a code again"),
        AuditEvent.PASSKEY_SUSPECTED: _("A passkey that may have been copied was refused"),
        AuditEvent.SESSION_ENDED: _("Signed out on a device"),
        AuditEvent.DECRYPTION_FAILED: _("Something that is stored for you could not be read"),
    }


def _security() -> dict[AuditEvent, str]:
    return {
        AuditEvent.PASSWORD_CHANGED: _("Your password was changed"),
        AuditEvent.SECOND_FACTOR_ENROLLED: _("Two-step sign-in was turned on"),
        AuditEvent.SECOND_FACTOR_REMOVED: _("Two-step sign-in was turned off"),
        AuditEvent.PASSWORD_RESET_ASKED: _("A link to a new password was asked for"),
        AuditEvent.PASSWORD_REQUIRED: _("The password was no longer accepted: a new one had to be chosen"),
        AuditEvent.EMAIL_CHANGE_ASKED: _("Another e-mail address was asked for"),
        AuditEvent.EMAIL_CHANGED: _("Your e-mail address was changed"),
        AuditEvent.EMAIL_CHANGE_UNDONE: _("The change of your e-mail address was undone"),
        AuditEvent.PASSKEY_ADDED: _("A passkey was added to your account"),
        AuditEvent.PASSKEY_RENAMED: _("A passkey was given another name"),
        AuditEvent.PASSKEY_REMOVED: _("A passkey was removed from your account"),
        AuditEvent.SECOND_FACTOR_WAIT_ASKED: _("Somebody with your password said that the second step is lost"),
        AuditEvent.SECOND_FACTOR_WAIT_BEGUN: _("The wait for the end of the second step began"),
        AuditEvent.SECOND_FACTOR_WAIT_STOPPED: _("The wait for the end of the second step was stopped"),
        AuditEvent.RECOVERY_CODES_PROVED: _("The new recovery codes were confirmed"),
        AuditEvent.RECOVERY_CODES_MADE: _("New recovery codes were made"),
        AuditEvent.USER_LOCKED_DOWN: _("The account was locked down"),
    }


def _apps() -> dict[AuditEvent, str]:
    return {
        AuditEvent.CONSENT_GIVEN: _("You allowed an app"),
        AuditEvent.CONSENT_DENIED: _("You refused an app"),
        AuditEvent.CONSENT_WITHDRAWN: _("An app was disconnected"),
        AuditEvent.CODE_ISSUED: _("You were signed in to an app"),
        AuditEvent.CODE_REUSED: _("A sign-in to an app was presented twice, and what came of it was ended"),
        AuditEvent.CODE_REFUSED: _("A sign-in to an app was presented by somebody else and refused"),
        AuditEvent.REFRESH_TOKEN_REUSED: _("An app's access was ended for safety"),
        AuditEvent.REFRESH_TOKEN_REFUSED: _("An app's access was presented by another app and refused"),
        AuditEvent.TOKEN_REVOKED: _("An app gave its access back"),
        AuditEvent.LOGOUT_REQUESTED: _("An app signed you out"),
    }


def _keys() -> dict[AuditEvent, str]:
    return {
        AuditEvent.API_KEY_CREATED: _("An API key was made"),
        AuditEvent.API_KEY_ROTATED: _("An API key got a new secret"),
        AuditEvent.API_KEY_REVOKED: _("An API key was ended"),
    }


def _clouds() -> dict[AuditEvent, str]:
    return {
        AuditEvent.CLOUD_CONNECTED: _("A cloud account was connected"),
        AuditEvent.CLOUD_CHANGED: _("A cloud account was changed"),
        AuditEvent.CLOUD_MADE_PRIMARY: _("A cloud account became the primary one"),
        AuditEvent.CLOUD_REMOVED: _("A cloud account was removed"),
        AuditEvent.CLOUD_TESTED: _("A cloud account was tested"),
        AuditEvent.CLOUD_CREDENTIALS_GIVEN: _("A program got credentials of a cloud account"),
        AuditEvent.CLOUD_CREDENTIALS_REFUSED: _("A program asked for credentials of a cloud account and got none"),
    }


def _account() -> dict[AuditEvent, str]:
    return {
        AuditEvent.USER_CREATED: _("Your account was made"),
        AuditEvent.INVITATION_ACCEPTED: _("You accepted an invitation"),
        AuditEvent.PROFILE_CHANGED: _("Your profile was changed"),
        AuditEvent.USERNAME_CHANGED: _("Your user name was changed"),
        AuditEvent.GROUP_MEMBER_ADDED: _("You became a member of a group"),
        AuditEvent.GROUP_MEMBER_REMOVED: _("You are a member of a group no more"),
        AuditEvent.USER_VERIFIED: _("Your e-mail address was confirmed"),
        AuditEvent.DATA_ASKED_FOR: _("You asked for your data"),
        AuditEvent.DATA_DOWNLOADED: _("Your data was downloaded"),
        AuditEvent.USER_DISABLED: _("Your account was disabled"),
        AuditEvent.USER_ENABLED: _("Your account was enabled"),
        AuditEvent.USER_CLOSED: _("Your account was closed"),
        AuditEvent.USER_REOPENED: _("Your account was opened again"),
    }
