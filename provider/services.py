"""Every service, built once with plain constructor arguments. Tests build them with substitutes."""

from __future__ import annotations

from sqlalchemy import Engine

from database.models import metadata
from provider.accounts.activity import Activity
from provider.accounts.alerts import Alerts
from provider.accounts.api_keys import ApiKeys
from provider.accounts.confirmations import Confirmations
from provider.accounts.connected_apps import ConnectedApps
from provider.accounts.consents import Consents
from provider.accounts.data_exports import DataExports
from provider.accounts.groups import Groups
from provider.accounts.invitations import Invitations
from provider.accounts.key_expiry import KeyExpiry
from provider.accounts.key_rotation import KeyRotation
from provider.accounts.mailed_links import MailedLinks
from provider.accounts.pictures import PictureReader
from provider.accounts.profiles import Profiles
from provider.accounts.renaming import Renaming
from provider.accounts.sign_ups import SignUps
from provider.accounts.token_holders import TokenHolders
from provider.accounts.username_skeletons import UsernameSkeletons
from provider.accounts.users import Users
from provider.accounts.watched import Watched
from provider.audit import AuditRecorder
from provider.clients.assertions import ClientAssertions
from provider.clients.authentication import ClientAuthentication
from provider.clients.client_keys import ClientKeys
from provider.clients.metadata_documents import MetadataDocuments
from provider.clients.own_audiences import OwnAudiences
from provider.clients.registration import Registration
from provider.clients.registration_tokens import RegistrationTokens
from provider.clients.registry import Clients
from provider.clients.request_objects import RequestObjects
from provider.clients.resource_rules import MAX_TOKEN_SECONDS
from provider.clients.resources import Resources
from provider.clients.unused_clients import UnusedClients
from provider.deliveries.letters import Letters
from provider.deliveries.logout_notices import LogoutNotices
from provider.deliveries.mail import Mail
from provider.deliveries.mail_records import MailRecords
from provider.deliveries.mailbox import Mailbox
from provider.deliveries.smtp import Smtp
from provider.sealed_values import SealedValues
from provider.security.crypto import Keyring
from provider.security.outbound import Outbound
from provider.security.rate_limit import RateLimiter
from provider.security.replay import ReplayGuard
from provider.security.turns import FETCH_THREADS
from provider.settings import Settings
from provider.sign_in.address_changes import CONFIRM_SECONDS as ADDRESS_SECONDS
from provider.sign_in.address_changes import UNDO_SECONDS, AddressChanges
from provider.sign_in.attempts import Attempts
from provider.sign_in.closing import Closing
from provider.sign_in.consecutive_failures import ConsecutiveFailures
from provider.sign_in.failures_of_nobody import FailuresOfNobody
from provider.sign_in.forgotten_passwords import LINK_SECONDS as RESET_SECONDS
from provider.sign_in.forgotten_passwords import ForgottenPasswords
from provider.sign_in.lock_down import LockDown
from provider.sign_in.login import Login
from provider.sign_in.lost_second_factors import LostSecondFactors
from provider.sign_in.new_passwords import NewPasswords
from provider.sign_in.passkey_ceremonies import relying_party
from provider.sign_in.passkey_challenges import PasskeyChallenges
from provider.sign_in.passkey_enrolments import PasskeyEnrolments
from provider.sign_in.passkey_proofs import PasskeyProofs
from provider.sign_in.passkeys import Passkeys
from provider.sign_in.passwords import Passwords
from provider.sign_in.recovery_codes import RecoveryCodes
from provider.sign_in.remembered_devices import RememberedDevices
from provider.sign_in.reopening import Reopening
from provider.sign_in.second_factor_rule import SecondFactorRule
from provider.sign_in.second_factor_waits import SecondFactorWaits
from provider.sign_in.session_ends import SessionEnds
from provider.sign_in.sessions import Sessions
from provider.sign_in.setup_links import SetupLinks
from provider.sign_in.stand_in_hashes import StandInHashes
from provider.sign_in.totp import Totp
from provider.sign_in.user_ends import UserEnds
from provider.tokens.grant_records import GrantRecords
from provider.tokens.issuer import TokenIssuer
from provider.tokens.one_time import AuthorizationCodes, AuthorizationRequests
from provider.tokens.pushed_requests import PushedRequests
from provider.tokens.refresh_tokens import RefreshTokens
from provider.tokens.refusals import Refusals
from provider.tokens.signing_keys import SigningKeys
from provider.tokens.subjects import Subjects
from provider.tokens.verifier import TokenVerifier
from provider.vault.cloud_accounts import CloudAccounts
from provider.vault.cloud_tests import CloudTests
from provider.vault.cloud_tokens import CloudTokens
from provider.vault.credentials import CloudCredentialsGiver


class Services:
    """A new one is an import and one line below, in the order of what it needs."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        keyring: Keyring,
        *,
        outbound: Outbound | None = None,
        fetch_threads: int = FETCH_THREADS,
    ) -> None:
        """``outbound`` takes the place of the guarded door to other servers. ``fetch_threads`` may wait for those."""
        self.settings = settings
        self.engine = engine
        self.keyring = keyring
        self.audit = AuditRecorder()
        self.replay = ReplayGuard(keyring)
        self.sealed_values = SealedValues(keyring, self.audit, self.replay)
        self.rate_limits = RateLimiter(keyring, enabled=settings.rate_limits)
        self.outbound = outbound or Outbound(
            allowed_hosts=settings.outbound_allowed_hosts.split(),
            open_hosts=settings.outbound_open_hosts,
            ca_file=settings.outbound_ca_file,
            threads=fetch_threads,
        )
        self.signing_keys = SigningKeys(
            self.sealed_values,
            self.audit,
            algorithms=settings.algorithms,
            publish_seconds=settings.signing_key_publish_seconds,
            retire_seconds=max(settings.access_token_seconds, settings.id_token_seconds, MAX_TOKEN_SECONDS)
            + settings.clock_skew_seconds,
        )
        self.grants = GrantRecords(self.audit)
        self.refusals = Refusals(self.audit, self.rate_limits)
        self.subjects = Subjects(keyring)
        self.logout_notices = LogoutNotices(self.audit, self.subjects)
        self.token_issuer = TokenIssuer(
            settings.issuer,
            self.signing_keys,
            self.subjects,
            access_token_seconds=settings.access_token_seconds,
            id_token_seconds=settings.id_token_seconds,
        )
        self.refresh_tokens = RefreshTokens(
            keyring,
            self.grants,
            self.refusals,
            idle_seconds=settings.refresh_token_idle_seconds,
            family_seconds=settings.refresh_token_seconds,
            grace_seconds=settings.refresh_grace_seconds,
        )
        self.clients = Clients(keyring, self.audit, self.grants)
        self.client_keys = ClientKeys(self.outbound)
        self.assertions = ClientAssertions(
            self.client_keys,
            self.replay,
            audiences=(settings.issuer, f"{settings.issuer}/token"),
            seconds=settings.client_assertion_seconds,
            skew_seconds=settings.clock_skew_seconds,
        )
        self.registration_tokens = RegistrationTokens(keyring, self.audit)
        self.resources = Resources(self.audit, settings.issuer, self.grants)
        self.session_ends = SessionEnds(self.audit, self.grants, self.logout_notices)
        self.letters = Letters(
            origin=settings.origin, service=settings.service_name, default_language=settings.default_locale
        )
        self.mail = Mail(keyring, self.audit, way=settings.mail_way)
        self.mail_records = MailRecords(self.audit)
        self.mailbox = Mailbox(self.mail, self.letters)
        self.smtp = (
            Smtp(
                settings.mail_server,
                helo=settings.mail_sender.domain,
                ca_file=settings.outbound_ca_file,
                keyring=keyring,
            )
            if settings.mail_server is not None
            else None
        )
        self.users = Users(self.audit)
        self.alerts = Alerts(self.mail, keyring, self.rate_limits, self.users, origin=settings.origin)
        self.watched = Watched(self.audit, self.alerts, self.users, self.rate_limits)
        self.username_skeletons = UsernameSkeletons()
        self.groups = Groups(self.audit)
        self.remembered_devices = RememberedDevices(keyring, self.audit)
        self.user_ends = UserEnds(self.audit, self.grants, self.session_ends, self.users, self.remembered_devices)
        self.invitations = Invitations(self.users, self.mail, keyring, self.audit, site=settings.origin)
        self.confirmations = Confirmations(
            self.users, self.mail, keyring, self.rate_limits, self.audit, site=settings.origin
        )
        self.sign_ups = SignUps(self.users, self.confirmations, self.rate_limits, policy=settings.sign_up)
        self.profiles = Profiles(self.audit, settings.origin)
        self.pictures = PictureReader()
        self.sessions = Sessions(
            keyring,
            self.audit,
            self.session_ends,
            idle_seconds=settings.session_idle_seconds,
            absolute_seconds=settings.session_seconds,
        )
        self.passwords = Passwords(
            memory_kib=settings.argon2_memory_kib,
            time_cost=settings.argon2_time_cost,
            parallelism=settings.argon2_parallelism,
            concurrency=settings.argon2_concurrency,
            min_length=settings.password_min_length,
        )
        self.totp = Totp(self.sealed_values, self.audit, self.remembered_devices)
        self.recovery_codes = RecoveryCodes(self.passwords, self.audit, keyring)
        self.second_factor_rule = SecondFactorRule(
            self.users,
            for_everybody=settings.require_second_factor,
            for_administrators=not settings.is_loopback,
            grace_days=settings.second_factor_grace_days,
        )
        self.consecutive_failures = ConsecutiveFailures(self.audit)
        self.attempts = Attempts(self.rate_limits, self.consecutive_failures, FailuresOfNobody(keyring), self.audit)
        self.stand_ins = StandInHashes(self.users, keyring, parameters=self.passwords.parameters)
        self.codes = AuthorizationCodes(keyring, self.grants, self.refusals, settings.code_seconds)
        self.authorization_requests = AuthorizationRequests(keyring, settings.authorization_request_seconds)
        self.pushed_requests = PushedRequests(
            keyring, settings.pushed_request_seconds, settings.authorization_request_seconds
        )
        self.token_verifier = TokenVerifier(
            settings.issuer, self.signing_keys, self.audit, clock_skew_seconds=settings.clock_skew_seconds
        )
        self.token_holders = TokenHolders(self.token_verifier, self.profiles)
        self.metadata_documents = MetadataDocuments(
            self.clients,
            self.outbound,
            self.rate_limits,
            policy=settings.metadata_documents,
            hosts=settings.metadata_document_hosts.split(),
            algorithms=settings.algorithms,
        )
        self.registration = Registration(
            self.clients,
            self.registration_tokens,
            keyring,
            self.outbound,
            self.rate_limits,
            self.audit,
            policy=settings.dynamic_registration,
            algorithms=settings.algorithms,
        )
        self.unused_clients = UnusedClients(self.clients, days=settings.registration_unused_days)
        self.client_authentication = ClientAuthentication(
            self.clients, self.assertions, self.rate_limits, self.refusals
        )
        self.request_objects = RequestObjects(
            self.client_keys, self.outbound, issuer=settings.issuer, skew_seconds=settings.clock_skew_seconds
        )
        self.login = Login(
            self.users,
            self.passwords,
            self.totp,
            self.recovery_codes,
            self.sessions,
            self.stand_ins,
            self.attempts,
            self.audit,
            keyring,
            self.alerts,
        )
        party = relying_party(settings.origin, settings.service_name)
        challenges = PasskeyChallenges(keyring, self.replay)
        self.passkeys = Passkeys(keyring, self.audit, self.alerts, self.remembered_devices)
        self.passkey_enrolments = PasskeyEnrolments(party, challenges, self.passkeys)
        self.passkey_proofs = PasskeyProofs(
            party, challenges, self.passkeys, self.users, self.login, self.attempts, self.audit
        )
        self.api_keys = ApiKeys(self.clients, self.resources, self.groups, self.audit, keyring)
        self.key_rotation = KeyRotation(self.clients, self.audit, keyring)
        self.key_expiry = KeyExpiry(self.mail, settings.origin)
        self.consents = Consents(self.audit, self.grants, keyring)
        self.connected_apps = ConnectedApps(self.consents)
        self.reset_links = MailedLinks(keyring, metadata.tables["password_reset_tokens"], "reset", RESET_SECONDS)
        self.address_links = MailedLinks(
            keyring, metadata.tables["email_verification_tokens"], "address", ADDRESS_SECONDS, used="verified_at"
        )
        self.new_passwords = NewPasswords(
            self.users,
            self.passwords,
            self.session_ends,
            self.grants,
            self.attempts,
            self.reset_links,
            self.mail,
            self.alerts,
            self.rate_limits,
            self.audit,
            min_length=settings.password_min_length,
            second_factor_required=lambda is_admin: settings.second_factor_at_once(is_admin=is_admin),
            site=settings.origin,
        )
        self.forgotten_passwords = ForgottenPasswords(
            self.users, self.new_passwords, self.reset_links, self.rate_limits, self.audit, self.sealed_values
        )
        self.renaming = Renaming(self.users, self.alerts, self.audit)
        self.address_changes = AddressChanges(
            self.users,
            self.renaming,
            self.new_passwords,
            self.session_ends,
            self.grants,
            self.address_links,
            MailedLinks(keyring, metadata.tables["email_changes"], "undo", UNDO_SECONDS),
            self.reset_links,
            self.mail,
            self.rate_limits,
            self.audit,
            site=settings.origin,
        )
        self.second_factor_waits = SecondFactorWaits(
            self.users,
            self.mail,
            self.rate_limits,
            self.audit,
            keyring,
            days=settings.second_factor_wait_days,
            site=settings.origin,
        )
        self.lost_second_factors = LostSecondFactors(
            self.second_factor_waits,
            self.totp,
            self.recovery_codes,
            self.passkeys,
            self.remembered_devices,
            self.session_ends,
            self.alerts,
        )
        self.cloud_tokens = CloudTokens(self.token_issuer, OwnAudiences(settings.issuer, self.resources, self.clients))
        self.cloud_accounts = CloudAccounts(self.sealed_values, self.audit, self.cloud_tokens)
        self.cloud_credentials = CloudCredentialsGiver(
            settings.issuer, self.cloud_accounts, self.cloud_tokens, self.outbound, self.rate_limits, self.audit
        )
        self.cloud_tests = CloudTests(self.cloud_credentials, self.rate_limits, self.audit)
        self.activity = Activity(days=settings.audit_days)
        self.data_exports = DataExports(
            self.sealed_values, self.audit, self.users, self.mail, page=f"{settings.origin}/account/data"
        )
        self.setup_links = SetupLinks(keyring, self.audit, self.users, settings.setup_link_seconds)
        self.closing = Closing(self.users, self.user_ends, self.alerts, self.audit)
        self.reopening = Reopening(self.users, self.closing, keyring)
        self.lock_down = LockDown(
            self.users,
            self.user_ends,
            self.consents,
            self.closing,
            self.passkeys,
            self.new_passwords,
            self.alerts,
            self.audit,
        )
