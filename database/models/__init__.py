"""The tables as Python sees them. The SQL files in ``database/schemas`` make them; tests prove that both agree."""

from database.models.base import Base, metadata
from database.models.clients import Client, Consent, Resource
from database.models.clouds import CloudAccount
from database.models.grants import (
    AuthorizationCode,
    AuthorizationRequest,
    GrantRecord,
    IssuedToken,
    RefreshToken,
    SigningKey,
)
from database.models.groups import GroupMember, UserGroup
from database.models.mail import MailMessage
from database.models.passkeys import Passkey
from database.models.profile import UserPicture, UserProfile
from database.models.recovery import EmailChange, ReservedName, ResetRequest, SecondFactorWait
from database.models.registration import LogoutNotice, PushedRequest, RegistrationToken, ReplayGuard
from database.models.sign_in import (
    ConsecutiveFailures,
    LoginAttempt,
    RateCounter,
    RecoveryCode,
    RememberedDevice,
    SetupLink,
)
from database.models.users import (
    AuditRecord,
    EmailVerificationToken,
    Invitation,
    PasswordResetToken,
    User,
    UserSession,
)
from database.models.watch import AlertLink, DataExport, HeldAlert

__all__ = [
    "AlertLink",
    "AuditRecord",
    "AuthorizationCode",
    "AuthorizationRequest",
    "Base",
    "Client",
    "CloudAccount",
    "ConsecutiveFailures",
    "Consent",
    "DataExport",
    "EmailChange",
    "EmailVerificationToken",
    "GrantRecord",
    "GroupMember",
    "HeldAlert",
    "Invitation",
    "IssuedToken",
    "LoginAttempt",
    "LogoutNotice",
    "MailMessage",
    "Passkey",
    "PasswordResetToken",
    "PushedRequest",
    "RateCounter",
    "RecoveryCode",
    "RefreshToken",
    "RegistrationToken",
    "RememberedDevice",
    "ReplayGuard",
    "ReservedName",
    "ResetRequest",
    "Resource",
    "SecondFactorWait",
    "SetupLink",
    "SigningKey",
    "User",
    "UserGroup",
    "UserPicture",
    "UserProfile",
    "UserSession",
    "metadata",
]
