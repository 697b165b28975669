"""Every service, built once with plain constructor arguments. Tests build them with substitutes."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from provider.accounts.api_keys import ApiKeys
from provider.accounts.attempts import Attempts
from provider.accounts.consecutive_failures import ConsecutiveFailures
from provider.accounts.consents import Consents
from provider.accounts.login import Login
from provider.accounts.passwords import Passwords
from provider.accounts.recovery_codes import RecoveryCodes
from provider.accounts.session_ends import SessionEnds
from provider.accounts.sessions import Sessions
from provider.accounts.setup_links import SetupLinks
from provider.accounts.stand_in_hashes import StandInHashes
from provider.accounts.totp import Totp
from provider.accounts.users import Users
from provider.audit import AuditRecorder
from provider.clients.assertions import ClientAssertions
from provider.clients.authentication import ClientAuthentication
from provider.clients.client_keys import ClientKeys
from provider.clients.metadata_documents import MetadataDocuments
from provider.clients.registration import Registration
from provider.clients.registration_tokens import RegistrationTokens
from provider.clients.registry import Clients
from provider.clients.request_objects import RequestObjects
from provider.clients.resource_rules import MAX_TOKEN_SECONDS
from provider.clients.resources import Resources
from provider.clients.unused_clients import UnusedClients
from provider.security.crypto import Keyring
from provider.security.outbound import Outbound
from provider.security.rate_limit import RateLimiter
from provider.security.replay import ReplayGuard
from provider.security.turns import FETCH_THREADS
from provider.settings import Settings
from provider.tokens.grant_records import GrantRecords
from provider.tokens.issuer import TokenIssuer
from provider.tokens.logout_notices import LogoutNotices
from provider.tokens.one_time import AuthorizationCodes, AuthorizationRequests
from provider.tokens.pushed_requests import PushedRequests
from provider.tokens.refresh_tokens import RefreshTokens
from provider.tokens.refusals import Refusals
from provider.tokens.signing_keys import SigningKeys
from provider.tokens.subjects import Subjects
from provider.tokens.verifier import TokenVerifier


@dataclass(frozen=True)
class Services:
    settings: Settings
    engine: Engine
    keyring: Keyring
    audit: AuditRecorder
    rate_limits: RateLimiter
    outbound: Outbound
    signing_keys: SigningKeys
    grants: GrantRecords
    refusals: Refusals
    codes: AuthorizationCodes
    authorization_requests: AuthorizationRequests
    pushed_requests: PushedRequests
    refresh_tokens: RefreshTokens
    subjects: Subjects
    logout_notices: LogoutNotices
    token_issuer: TokenIssuer
    token_verifier: TokenVerifier
    clients: Clients
    metadata_documents: MetadataDocuments
    registration: Registration
    registration_tokens: RegistrationTokens
    unused_clients: UnusedClients
    resources: Resources
    client_authentication: ClientAuthentication
    client_keys: ClientKeys
    request_objects: RequestObjects
    replay: ReplayGuard
    users: Users
    passwords: Passwords
    consecutive_failures: ConsecutiveFailures
    attempts: Attempts
    login: Login
    sessions: Sessions
    totp: Totp
    recovery_codes: RecoveryCodes
    api_keys: ApiKeys
    consents: Consents
    setup_links: SetupLinks


def build_services(
    settings: Settings,
    engine: Engine,
    keyring: Keyring,
    *,
    outbound: Outbound | None = None,
    fetch_threads: int = FETCH_THREADS,
) -> Services:
    """``outbound`` takes the place of the guarded door to other servers, in tests. ``fetch_threads`` may wait for those."""
    audit = AuditRecorder()
    rate_limits = RateLimiter(keyring, enabled=settings.rate_limits)
    outbound = outbound or Outbound(
        allowed_hosts=settings.outbound_allowed_hosts.split(),
        open_hosts=settings.outbound_open_hosts,
        ca_file=settings.outbound_ca_file,
        threads=fetch_threads,
    )
    signing_keys = SigningKeys(
        keyring,
        audit,
        algorithms=settings.algorithms,
        publish_seconds=settings.signing_key_publish_seconds,
        retire_seconds=max(settings.access_token_seconds, settings.id_token_seconds, MAX_TOKEN_SECONDS)
        + settings.clock_skew_seconds,
    )
    grants = GrantRecords(audit)
    refusals = Refusals(audit, rate_limits)
    subjects = Subjects(keyring)
    logout_notices = LogoutNotices(audit, subjects)
    token_issuer = TokenIssuer(
        settings.issuer,
        signing_keys,
        subjects,
        access_token_seconds=settings.access_token_seconds,
        id_token_seconds=settings.id_token_seconds,
    )
    refresh_tokens = RefreshTokens(
        keyring,
        grants,
        refusals,
        idle_seconds=settings.refresh_token_idle_seconds,
        family_seconds=settings.refresh_token_seconds,
        grace_seconds=settings.refresh_grace_seconds,
    )
    clients = Clients(keyring, audit, grants)
    client_keys = ClientKeys(outbound)
    replay = ReplayGuard(keyring)
    assertions = ClientAssertions(
        client_keys,
        replay,
        audiences=(settings.issuer, f"{settings.issuer}/token"),
        seconds=settings.client_assertion_seconds,
        skew_seconds=settings.clock_skew_seconds,
    )
    registration_tokens = RegistrationTokens(keyring, audit)
    resources = Resources(audit, settings.issuer, grants)
    session_ends = SessionEnds(audit, grants, logout_notices)
    users = Users(audit, grants, session_ends)
    sessions = Sessions(
        keyring,
        audit,
        session_ends,
        idle_seconds=settings.session_idle_seconds,
        absolute_seconds=settings.session_seconds,
    )
    passwords = Passwords(
        memory_kib=settings.argon2_memory_kib,
        time_cost=settings.argon2_time_cost,
        parallelism=settings.argon2_parallelism,
        concurrency=settings.argon2_concurrency,
        min_length=settings.password_min_length,
    )
    totp = Totp(keyring, audit)
    recovery_codes = RecoveryCodes(passwords, audit, keyring)
    consecutive_failures = ConsecutiveFailures(audit)
    attempts = Attempts(rate_limits, consecutive_failures, audit)
    stand_ins = StandInHashes(users, keyring, parameters=passwords.parameters)
    return Services(
        settings=settings,
        engine=engine,
        keyring=keyring,
        audit=audit,
        rate_limits=rate_limits,
        outbound=outbound,
        signing_keys=signing_keys,
        grants=grants,
        refusals=refusals,
        codes=AuthorizationCodes(keyring, grants, refusals, settings.code_seconds),
        authorization_requests=AuthorizationRequests(keyring, settings.authorization_request_seconds),
        pushed_requests=PushedRequests(
            keyring, settings.pushed_request_seconds, settings.authorization_request_seconds
        ),
        refresh_tokens=refresh_tokens,
        subjects=subjects,
        logout_notices=logout_notices,
        token_issuer=token_issuer,
        token_verifier=TokenVerifier(
            settings.issuer, signing_keys, audit, clock_skew_seconds=settings.clock_skew_seconds
        ),
        clients=clients,
        metadata_documents=MetadataDocuments(
            clients,
            outbound,
            rate_limits,
            policy=settings.metadata_documents,
            hosts=settings.metadata_document_hosts.split(),
            algorithms=settings.algorithms,
        ),
        registration=Registration(
            clients,
            registration_tokens,
            keyring,
            outbound,
            rate_limits,
            audit,
            policy=settings.dynamic_registration,
            algorithms=settings.algorithms,
        ),
        registration_tokens=registration_tokens,
        unused_clients=UnusedClients(clients, days=settings.registration_unused_days),
        resources=resources,
        client_authentication=ClientAuthentication(clients, assertions, rate_limits, audit),
        client_keys=client_keys,
        request_objects=RequestObjects(
            client_keys, outbound, issuer=settings.issuer, skew_seconds=settings.clock_skew_seconds
        ),
        replay=replay,
        users=users,
        passwords=passwords,
        consecutive_failures=consecutive_failures,
        attempts=attempts,
        login=Login(users, passwords, totp, recovery_codes, sessions, stand_ins, attempts, audit, keyring),
        sessions=sessions,
        totp=totp,
        recovery_codes=recovery_codes,
        api_keys=ApiKeys(clients, resources, audit, keyring),
        consents=Consents(audit, grants, keyring),
        setup_links=SetupLinks(keyring, audit, users, settings.setup_link_seconds),
    )
