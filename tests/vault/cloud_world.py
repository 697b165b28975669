"""A person with a cloud account without a secret, and those who ask for what it gives."""

from __future__ import annotations

import dataclasses
import datetime
import threading
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, update

from provider.accounts.users import User
from provider.security.crypto import Keyring
from provider.security.exchange import Unavailable
from provider.security.outbound import Answered
from provider.tokens.authorization import Authorization
from provider.vault.account import CloudAccount
from provider.vault.cloud_tokens import Asker
from tests.endpoints.provider import KnownClient, Provider, claims_of

ROLE = "arn:aws:iam::123456789012:role/mcp-core"
ANSWER = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA{number}</AccessKeyId>
  <SecretAccessKey>secret-{number}</SecretAccessKey><SessionToken>session-{number}</SessionToken>
  <Expiration>{until}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""
SUBJECT = "cloud:credentials"


class FakeCloud:
    """In the place of the way out: answers as AWS does, each time with other credentials, and remembers what came."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._lock = threading.Lock()
        self.asked: list[tuple[str, bytes, Mapping[str, str]]] = []
        self.seconds = 3600
        self.answer: Answered | None = None
        self.is_away = False
        self.before_answering = lambda: None

    def ask(self, url: str, body: bytes, headers: Mapping[str, str], **_bounds: Any) -> Answered:
        with self._lock:
            self.asked.append((url, body, headers))
            number = len(self.asked)
        self.before_answering()
        if self.is_away:
            raise Unavailable("no answer: TimeoutError")
        until = self._provider.clock.now + datetime.timedelta(seconds=self.seconds)
        said = ANSWER.format(number=number, until=until.strftime("%Y-%m-%dT%H:%M:%SZ"))
        return self.answer or Answered(200, said.encode())


@dataclasses.dataclass
class CloudWorld:
    provider: Provider
    cloud: FakeCloud
    ada: User
    account: CloudAccount

    @classmethod
    def build(cls, engine: Engine, keyring: Keyring, **settings: Any) -> CloudWorld:
        return cls.of(Provider.build(engine, keyring, **settings))

    @classmethod
    def of(cls, provider: Provider) -> CloudWorld:
        with provider.begin() as tx:
            provider.services.signing_keys.ensure(tx, provider.clock.now)
        ada = provider.user("ada", is_verified=True)
        cloud = FakeCloud(provider)
        provider.services.cloud_credentials._outbound = cloud  # type: ignore[assignment]
        world = cls(provider, cloud, ada, None)  # type: ignore[arg-type]
        world.account = world.connect()
        return world

    def connect(
        self, label: str = "work", owner: User | None = None, provider: str = "aws", **said: str
    ) -> CloudAccount:
        usual = {"role_arn": ROLE, "region": "eu-central-1"} if provider == "aws" else {}
        with self.provider.begin() as tx:
            return self.provider.services.cloud_accounts.connect(
                tx,
                self.provider.origin,
                (owner or self.ada).id,
                label=label,
                provider=provider,
                mode="keyless",
                said={**usual, **said},
            )

    def application(self, user: User | None = None, resource: str | None = None) -> tuple[Asker, KnownClient, str]:
        """An application with a token for our own API: who asks, the client, the grant."""
        user = user or self.ada
        services, provider = self.provider.services, self.provider
        by = provider.client()
        grant_id = provider.grant(user, by, ("cloud:credentials",), resource=resource)
        with provider.begin() as tx:
            api = services.resources.default() if resource is None else services.resources.get(tx, resource)
            known = Authorization(
                client=by.client,
                grant_type="authorization_code",
                scope=("cloud:credentials",),
                resource=api,
                user_id=user.id,
                grant_id=grant_id,
                authenticated_at=provider.clock.now,
                amr=("pwd",),
                acr="urn:mcp-core:password",
            )
            token = services.token_issuer.issue_access_token(tx, known, provider.clock.now)
        return Asker(self.ada.id, access_token=token.jti, name=by.client_id, program=by.client.name), by, grant_id

    def key(self, owner: User | None = None) -> tuple[Asker, KnownClient]:
        """An API key of a person with a token for our own API."""
        services, provider = self.provider.services, self.provider
        by = provider.api_key(owner or self.ada)
        with provider.begin() as tx:
            known = Authorization(
                client=by.client,
                grant_type="client_credentials",
                scope=("cloud:credentials",),
                resource=services.resources.default(),
            )
            token = services.token_issuer.issue_access_token(tx, known, provider.clock.now)
        return Asker(self.ada.id, access_token=token.jti, name=by.client_id, program=by.client.name), by

    def page(self) -> Asker:
        _, session = self.provider.session(self.ada)
        return Asker(self.ada.id, session_id=session.id)

    def set(self, model: Any, key: str, **values: Any) -> None:
        column = next(iter(model.__table__.primary_key))
        with self.provider.begin() as tx:
            assert tx.execute(update(model).where(column == key).values(**values)).rowcount == 1

    def mint(self, asker: Asker, account: CloudAccount | None = None) -> str:
        account = account or self.account
        services = self.provider.services
        options = {**services.cloud_accounts.opened(account), "label": account.label}
        with self.provider.begin() as tx:
            return services.cloud_tokens.mint(tx, self.provider.origin, account, asker, options)

    def give(self, asker: Asker, account: CloudAccount | None = None, want: Any = "credentials") -> Any:
        services = self.provider.services
        with self.provider.begin() as tx:
            return services.cloud_credentials.give(
                tx, self.provider.origin, account or self.account, asker, "a test", want
            )


def token_in(body: bytes) -> Any:
    """The claims of the token that a cloud was given."""
    from urllib.parse import parse_qs

    return claims_of(parse_qs(body.decode())["WebIdentityToken"][0])
