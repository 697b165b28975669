"""What each cloud is asked, and what its answers mean."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_private_key

from provider.vault.exchanges import EXCHANGES
from provider.vault.exchanges.exchange import CloudCredentials, Condition, ExchangeRefused
from provider.vault.guides import GUIDES, audience_of
from provider.vault.presets import PRESETS
from provider.vault.providers import PROVIDERS
from tests.vault.samples import KEYLESS_CLOUDS, POOL_PROVIDER, UUIDS, keyless_fields

NOW = datetime.datetime(2026, 7, 1, 12, tzinfo=datetime.UTC)
HOUR = NOW + datetime.timedelta(hours=1)
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
JSON_TYPE, FORM_TYPE = "application/json", "application/x-www-form-urlencoded"


@dataclass
class Told:
    status: int
    body: bytes


@dataclass
class Door:
    """Answers one after the other, and keeps what was asked."""

    answers: list[Told]
    asked: list[tuple[str, dict[str, Any], Mapping[str, str]]] = field(default_factory=list)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Told:
        is_json = headers["Content-Type"] == JSON_TYPE
        said = json.loads(body) if is_json else {name: it[0] for name, it in parse_qs(body.decode()).items()}
        self.asked.append((url, said, headers))
        return self.answers.pop(0)


def told(value: Any, status: int = 200) -> Told:
    return Told(status, value.encode() if isinstance(value, str) else json.dumps(value).encode())


def options(provider: str, **changes: str | None) -> dict[str, str]:
    said = {**keyless_fields(provider), **changes}
    values, _ = PROVIDERS[provider].read("keyless", {name: it for name, it in said.items() if it is not None})
    return {**values, "label": "work"}


def exchange(provider: str, *answers: Told, **changes: str | None) -> tuple[CloudCredentials, Door]:
    door = Door(list(answers))
    return EXCHANGES[provider].exchange(options(provider, **changes), TOKEN, door, NOW), door


def refusal(provider: str, *answers: Told, **changes: str | None) -> ExchangeRefused:
    with pytest.raises(ExchangeRefused) as refused:
        exchange(provider, *answers, **changes)
    return refused.value


def test_every_cloud_that_is_connected_without_a_secret_has_an_exchange_and_a_guide() -> None:
    assert {name for name, cloud in PROVIDERS.items() if cloud.keyless} == set(EXCHANGES) == set(GUIDES)


@pytest.mark.parametrize("provider", KEYLESS_CLOUDS)
def test_pages_and_tokens_name_the_same_audience(provider: str) -> None:
    known = options(provider)
    assert EXCHANGES[provider].demands(known).audience == audience_of(PROVIDERS[provider], known)


@pytest.mark.parametrize("provider", KEYLESS_CLOUDS)
def test_no_cloud_takes_the_audience_of_another(provider: str) -> None:
    audience = EXCHANGES[provider].demands(options(provider)).audience
    own = EXCHANGES[provider].audiences
    assert own is None or own.match(audience)
    assert not any(it.audiences.match(audience) for name, it in EXCHANGES.items() if it.audiences and name != provider)


# AWS, and MinIO, which speaks its protocol

AWS_WORDS = [
    (
        "InvalidIdentityToken",
        "No OpenIDConnect provider found in your account for https://id.example",
        Condition.ISSUER,
    ),
    ("InvalidIdentityToken", "Incorrect token audience", Condition.AUDIENCE),
    ("IDPCommunicationError", "Could not connect to the provider", Condition.ISSUER_UNREACHABLE),
    ("InvalidIdentityToken", "Couldn't retrieve verification key from your provider", Condition.ISSUER_UNREACHABLE),
    ("ExpiredTokenException", "Token expired: current date/time must be before", Condition.EXPIRED),
    ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", Condition.ROLE),
    ("Throttling", "Rate exceeded", Condition.LIMIT),
    ("Unheard", "Of something", Condition.OTHER),
]
MINIO_WORDS = [
    ("InvalidParameterValue", "STS JWT Token has `azp` claim invalid, `azp` must match", Condition.AUDIENCE),
    ("InvalidParameterValue", "crypto/rsa: verification error", Condition.SIGNATURE),
    ("InvalidParameterValue", "Token is expired", Condition.EXPIRED),
    ("InvalidParameterValue", "Error processing RoleArn parameter: RoleARN x is not defined.", Condition.ROLE),
]
SAID_NO = '<ErrorResponse xmlns="x"><Error><Code>{}</Code><Message>{}</Message></Error></ErrorResponse>'


@pytest.mark.parametrize("code, message, condition", AWS_WORDS + MINIO_WORDS)
def test_aws_and_minio_say_what_failed(code: str, message: str, condition: Condition) -> None:
    answer = told(SAID_NO.format(code, message), 400)
    refused = refusal("aws", answer)
    assert (refused.condition, refused.said) == (condition, f"{code}: {message}")
    refused = refusal("other", answer, preset="minio", protocol="aws-sts", role="arn:minio:iam:::role/x")
    assert refused.condition is condition


# Azure

FULL_70021 = (
    "AADSTS70021: No matching federated identity record found for presented assertion. Assertion Issuer: "
    "'https://id.example'. Assertion Subject: 'user:x'. Assertion Audience: 'api://AzureADTokenExchange'."
)


def test_azure_gives_an_access_token_for_an_assertion() -> None:
    given, door = exchange("azure", told({"access_token": "at", "expires_in": 3600}))
    url, asked, headers = door.asked[0]
    assert url == f"https://login.microsoftonline.com/{UUIDS[0]}/oauth2/v2.0/token"
    assert headers["Content-Type"] == FORM_TYPE
    assert asked == {
        "grant_type": "client_credentials",
        "client_id": UUIDS[1],
        "scope": "https://management.azure.com/.default",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": TOKEN,
    }
    assert given.values == {"access_token": "at", "tenant_id": UUIDS[0], "client_id": UUIDS[1]}
    assert given.expires_at == HOUR


@pytest.mark.parametrize(
    "said, condition",
    [
        ("AADSTS700211: No matching federated identity record found for presented assertion issuer", Condition.ISSUER),
        ("AADSTS700212: No matching federated identity record for assertion audience", Condition.AUDIENCE),
        ("AADSTS700213: No matching federated identity record for presented assertion subject", Condition.SUBJECT),
        (FULL_70021, Condition.SUBJECT),
        (
            "AADSTS7002138: No matching federated identity record found for presented assertion subject 'user:x'.",
            Condition.SUBJECT,
        ),
        ("AADSTS700024: Client assertion is not within its valid time range.", Condition.EXPIRED),
        ("AADSTS50166: Request to External OIDC endpoint failed.", Condition.ISSUER_UNREACHABLE),
        ("AADSTS50013: Assertion failed signature validation.", Condition.SIGNATURE),
        ("AADSTS700016: Application with identifier 'x' was not found in the directory", Condition.ROLE),
        ("AADSTS90002: Tenant 'x' not found.", Condition.ROLE),
        ("AADSTS1: something new", Condition.OTHER),
    ],
)
def test_what_azure_says_is_understood(said: str, condition: Condition) -> None:
    refused = refusal("azure", told({"error": "invalid_client", "error_description": said}, 401))
    assert (refused.condition, said[:20] in refused.said) == (condition, True)


# Google


def test_google_gives_a_federated_token() -> None:
    given, door = exchange("gcp", told({"access_token": "federated", "expires_in": 1800}))
    url, asked, _ = door.asked[0]
    assert url == "https://sts.googleapis.com/v1/token"
    assert asked == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": POOL_PROVIDER,
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token": TOKEN,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    }
    assert given.values == {"access_token": "federated"}
    assert given.expires_at == NOW + datetime.timedelta(minutes=30)


def test_google_gives_that_of_a_service_account_where_one_is_set() -> None:
    account = "robot@house-of-ana-1.iam.gserviceaccount.com"
    given, door = exchange(
        "gcp",
        told({"access_token": "federated", "expires_in": 3600}),
        told({"accessToken": "robot's", "expireTime": "2026-07-01T12:45:00Z"}),
        service_account=account,
        scope="https://www.googleapis.com/auth/devstorage.read_only https://www.googleapis.com/auth/bigquery",
    )
    url, asked, headers = door.asked[1]
    assert url == f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
    assert headers["Authorization"] == "Bearer federated"
    assert [scope.rpartition("/")[2] for scope in asked["scope"]] == ["devstorage.read_only", "bigquery"]
    assert door.asked[0][1]["scope"] == "https://www.googleapis.com/auth/cloud-platform"
    assert given.values == {"access_token": "robot's"}
    assert given.expires_at == NOW + datetime.timedelta(minutes=45)
    denied = {
        "error": {
            "code": 403,
            "message": "Permission 'iam.serviceAccounts.getAccessToken' denied",
            "status": "PERMISSION_DENIED",
        }
    }
    refused = refusal("gcp", told({"access_token": "f"}), told(denied, 403), service_account=account)
    assert refused.condition is Condition.ROLE


@pytest.mark.parametrize(
    "error, said, condition",
    [
        (
            "invalid_grant",
            "The audience in ID Token [x] does not match the expected audience y.",
            Condition.AUDIENCE,
        ),
        ("invalid_grant", "The issuer in ID Token https://x does not match the expected ones.", Condition.ISSUER),
        ("invalid_grant", "Error connecting to the given credential's issuer.", Condition.ISSUER_UNREACHABLE),
        ("unauthorized_client", "The given credential is rejected by the attribute condition.", Condition.SUBJECT),
        ("invalid_grant", "ID Token issued at 1 is stale to sign-in.", Condition.EXPIRED),
        ("invalid_grant", "Invalid signature for ID Token.", Condition.SIGNATURE),
        (
            "invalid_target",
            "The target service is invalid: the pool or provider is disabled or deleted",
            Condition.ROLE,
        ),
        ("brand_new", "", Condition.OTHER),
    ],
)
def test_what_google_says_is_understood(error: str, said: str, condition: Condition) -> None:
    assert refusal("gcp", told({"error": error, "error_description": said}, 400)).condition is condition


# Alibaba


def test_alibaba_gives_the_keys_of_a_role() -> None:
    answer = {
        "Credentials": {
            "AccessKeyId": "STS.1",
            "AccessKeySecret": "secret",
            "SecurityToken": "session",
            "Expiration": "2026-07-01T13:00:00Z",
        }
    }
    given, door = exchange("alibaba", told(answer))
    url, asked, _ = door.asked[0]
    parts = urlsplit(url)
    assert (parts.netloc, parts.path) == ("sts.cn-hangzhou.aliyuncs.com", "/")
    assert {name: it[0] for name, it in parse_qs(parts.query).items()} == {
        "Action": "AssumeRoleWithOIDC",
        "Version": "2015-04-01",
        "Format": "JSON",
        "Timestamp": "2026-07-01T12:00:00Z",
    }
    assert asked == {
        "RoleArn": "acs:ram::1234567890123456:role/mcp-core",
        "OIDCProviderArn": "acs:ram::1234567890123456:oidc-provider/mcp-core",
        "OIDCToken": TOKEN,
        "RoleSessionName": "mcp-core-work",
        "DurationSeconds": "3600",
    }
    assert given.expires_at == HOUR
    assert given.values == {
        "access_key_id": "STS.1",
        "access_key_secret": "secret",
        "security_token": "session",
        "region": "cn-hangzhou",
    }


@pytest.mark.parametrize(
    "code, said, condition",
    [
        ("AuthenticationFail.OIDCToken.AudienceNotMatch", "Invalid audience.", Condition.AUDIENCE),
        ("AuthenticationFail.NoPermission", "No such OIDC Provider registered.", Condition.ISSUER),
        ("AuthenticationFail.OIDCToken.Expired", "This JsonWebToken is expired.", Condition.EXPIRED),
        ("AuthenticationFail.OIDCToken.HttpsUrlInvalid", "Invoke url failed", Condition.ISSUER_UNREACHABLE),
        ("AuthenticationFail.OIDCToken.InvalidSignature", "invalid signature", Condition.SIGNATURE),
        ("AuthenticationFail.NoPermission", "There is no permission", Condition.ROLE),
        ("EntityNotExist.Role", "The specified Role not exists.", Condition.ROLE),
        ("Throttling.User", "Request was denied", Condition.LIMIT),
        ("New", "", Condition.OTHER),
    ],
)
def test_what_alibaba_says_is_understood(code: str, said: str, condition: Condition) -> None:
    assert refusal("alibaba", told({"Code": code, "Message": said}, 401)).condition is condition


# Oracle


def session_token(**claims: Any) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"header.{payload}.signature"


def test_oracle_gives_a_session_token_for_a_key_made_here() -> None:
    upst = session_token(exp=int(NOW.timestamp()) + 1200)
    given, door = exchange("oracle", told({"token": upst}))
    url, asked, headers = door.asked[0]
    assert url == "https://idcs-0123.identity.oraclecloud.com/oauth2/v1/token"
    basic = base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode()
    assert basic == f"{'c' * 32}:idcscs-{'d' * 36}"
    public = load_der_public_key(base64.b64decode(asked.pop("public_key")))
    assert asked == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token_type": "urn:oci:token-type:oci-upst",
        "subject_token": TOKEN,
        "subject_token_type": "jwt",
    }
    key = load_pem_private_key(given.values["private_key"].encode(), None)
    assert key.public_key() == public
    assert given.values["token"] == upst
    assert given.values["tenancy_ocid"].startswith("ocid1.tenancy.")
    assert given.expires_at == NOW + datetime.timedelta(minutes=20)


@pytest.mark.parametrize("upst", ["opaque", "a.b.c", session_token(), session_token(exp="soon"), session_token(exp=[])])
def test_a_session_token_that_says_no_end_is_kept_for_an_hour(upst: str) -> None:
    given, _ = exchange("oracle", told({"token": upst}))
    assert given.expires_at == HOUR


@pytest.mark.parametrize(
    "error, said, condition",
    [
        ("invalid_request", "The token's audience is not accepted.", Condition.AUDIENCE),
        ("invalid_request", "No Identity Propagation Trust for the issuer.", Condition.ISSUER),
        ("invalid_request", "The public key endpoint cannot be read.", Condition.ISSUER_UNREACHABLE),
        ("invalid_grant", "The token has expired.", Condition.EXPIRED),
        ("invalid_grant", "Signature verification failed.", Condition.SIGNATURE),
        ("invalid_grant", "No impersonation rule matches.", Condition.SUBJECT),
        ("invalid_client", "Client authentication failed.", Condition.ROLE),
        ("new", "", Condition.OTHER),
    ],
)
def test_what_oracle_says_is_understood(error: str, said: str, condition: Condition) -> None:
    assert refusal("oracle", told({"error": error, "error_description": said}, 401)).condition is condition


# Any other


@pytest.mark.parametrize(
    "protocol, asked",
    [
        (
            "token-exchange",
            {
                "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                "subject_token": TOKEN,
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "audience": "https://api.example.com",
                "client_id": "mcp",
                "scope": "a b",
                "tenant": "t-1",
            },
        ),
        (
            "jwt-bearer",
            {
                "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "assertion": TOKEN,
                "client_id": "mcp",
                "scope": "a b",
                "tenant": "t-1",
            },
        ),
    ],
)
def test_an_endpoint_of_oauth_gives_an_access_token(protocol: str, asked: dict[str, str]) -> None:
    answer = told({"access_token": "at", "token_type": "Bearer", "expires_in": 600})
    given, door = exchange("other", answer, protocol=protocol, client_id="mcp", scope="a b", parameters="tenant=t-1")
    assert door.asked[0][:2] == ("https://api.example.com/oauth/token", asked)
    assert given.values == {"access_token": "at"}
    assert given.expires_at == NOW + datetime.timedelta(minutes=10)


def test_vault_is_logged_in_to() -> None:
    answer = told({"auth": {"client_token": "hvs.1", "lease_duration": 900}})
    login = "https://vault.example.com/v1/auth/jwt/login"
    given, door = exchange("other", answer, preset="vault", role="ana", endpoint=login, audience="vault")
    assert door.asked[0][:2] == (login, {"role": "ana", "jwt": TOKEN})
    assert given.values == {"token": "hvs.1"}
    assert given.expires_at == NOW + datetime.timedelta(minutes=15)


XML = (
    '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>'
    "<Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>S</SecretAccessKey><SessionToken>T</SessionToken>"
    "<Expiration>2026-07-01T13:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
    "</AssumeRoleWithWebIdentityResponse>"
)


@pytest.mark.parametrize("role", [None, "arn:minio:iam:::role/dSXJ7p"])
def test_minio_gives_keys_with_a_role_and_without_one(role: str | None) -> None:
    given, door = exchange(
        "other", told(XML), preset="minio", endpoint="https://minio.example.com", audience="minio", role=role
    )
    url, asked, _ = door.asked[0]
    assert (url, asked.get("RoleArn"), asked["WebIdentityToken"]) == ("https://minio.example.com", role, TOKEN)
    assert given.values == {"access_key_id": "A", "secret_access_key": "S", "session_token": "T"}
    assert given.expires_at == HOUR


def test_anthropic_is_asked_as_its_reference_says() -> None:
    more = {"federation_rule_id": "fdrl_1", "organization_id": UUIDS[0], "service_account_id": "svac_1"}
    given, door = exchange(
        "other",
        told({"access_token": "sk-ant-oat01-x", "token_type": "Bearer", "expires_in": 3600}),
        preset="anthropic",
        endpoint=None,
        audience=None,
        parameters=" ".join(f"{name}={value}" for name, value in more.items()),
    )
    url, asked, headers = door.asked[0]
    assert (url, headers["Content-Type"]) == ("https://api.anthropic.com/v1/oauth/token", JSON_TYPE)
    assert asked == {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": TOKEN, **more}
    assert given.values == {"access_token": "sk-ant-oat01-x"}


BARE = {
    "openai": ("https://auth.openai.com/oauth/token", JSON_TYPE, ("identity_provider_id", "service_account_id")),
    "openrouter": ("https://openrouter.ai/api/v1/oauth/token", FORM_TYPE, ("federation_policy_id",)),
}


@pytest.mark.parametrize("preset", BARE)
def test_who_lists_what_is_taken_is_asked_with_that_and_no_more(preset: str) -> None:
    endpoint, content_type, parameters = BARE[preset]
    more = {name: f"{name}-1" for name in parameters}
    pairs = " ".join(f"{name}={value}" for name, value in more.items())
    answer = told({"access_token": "t", "token_type": "Bearer", "expires_in": 240})
    given, door = exchange("other", answer, preset=preset, endpoint=None, audience=None, parameters=pairs)
    url, asked, headers = door.asked[0]
    assert (url, headers["Content-Type"]) == (endpoint, content_type)
    assert asked == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": TOKEN,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        **more,
    }
    assert (given.values, given.expires_at) == ({"access_token": "t"}, NOW + datetime.timedelta(minutes=4))


CLUSTER = {"preset": "kubernetes", "endpoint": "https://cluster.example.com:6443/", "audience": "kubernetes"}


def test_a_cluster_takes_the_token_itself_and_is_asked_who_that_is() -> None:
    known = {"kind": "SelfSubjectReview", "status": {"userInfo": {"username": "mcp-core:user:1:cloud:work"}}}
    given, door = exchange("other", told(known, 201), **CLUSTER)
    url, asked, headers = door.asked[0]
    assert url == "https://cluster.example.com:6443/apis/authentication.k8s.io/v1/selfsubjectreviews"
    assert (asked["kind"], headers["Authorization"]) == ("SelfSubjectReview", f"Bearer {TOKEN}")
    assert (given.values, given.expires_at) == ({"token": TOKEN}, NOW + datetime.timedelta(minutes=5))


@pytest.mark.parametrize(
    "answer, condition",
    [
        (told({"kind": "Status", "reason": "Unauthorized", "message": "Unauthorized"}, 401), Condition.OTHER),
        (told({"kind": "Status", "reason": "Forbidden", "message": 'User "x" cannot create'}, 403), Condition.ROLE),
        (told({"kind": "Status", "reason": "ServiceUnavailable"}, 503), Condition.CLOUD_UNREACHABLE),
        (told({"kind": "SelfSubjectReview"}, 201), Condition.OTHER),
        (told({"status": {"userInfo": {"username": ""}}}, 201), Condition.OTHER),
        (told({"status": {"userInfo": []}}), Condition.OTHER),
    ],
)
def test_a_cluster_that_knows_nobody_by_the_token_gives_nothing(answer: Told, condition: Condition) -> None:
    assert refusal("other", answer, **CLUSTER).condition is condition


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_decides_how_the_token_is_given(preset: str) -> None:
    pairs = " ".join(f"{name}=1" for name in PRESETS[preset].parameters)
    known = options("other", preset=preset, protocol="token-exchange", role="r", parameters=pairs or None)
    assert known["protocol"] == PRESETS[preset].protocol


@pytest.mark.parametrize(
    "answer, condition",
    [
        (told({"error": "invalid_grant", "error_description": "wrong audience"}, 400), Condition.AUDIENCE),
        (told({"error": "invalid_grant", "error_description": "unknown issuer"}, 400), Condition.ISSUER),
        (told({"error": "invalid_grant", "error_description": "the token is expired"}, 400), Condition.EXPIRED),
        (told({"error": "invalid_grant", "error_description": "bad signature"}, 400), Condition.SIGNATURE),
        (
            told({"error": {"type": "permission_error", "message": "the subject is not allowed"}}, 403),
            Condition.SUBJECT,
        ),
        (told({"error": "access_denied"}, 403), Condition.ROLE),
        (told({"error": "slow_down"}, 400), Condition.LIMIT),
        (told({"error": "invalid_grant"}, 429), Condition.LIMIT),
        (told("<html>", 502), Condition.CLOUD_UNREACHABLE),
        (told([1], 400), Condition.OTHER),
        (told({"access_token": 1}), Condition.OTHER),
        (told({"access_token": ""}), Condition.OTHER),
        (told("not json"), Condition.OTHER),
    ],
)
def test_what_others_say_is_understood(answer: Told, condition: Condition) -> None:
    assert refusal("other", answer).condition is condition


@pytest.mark.parametrize(
    "said, condition",
    [
        ("invalid audience (aud) claim: audience claim does not match any expected audience", Condition.AUDIENCE),
        ("error validating token: invalid issuer (iss) claim", Condition.ISSUER),
        ("error checking oidc discovery URL", Condition.ISSUER_UNREACHABLE),
        ("error validating token: token is expired", Condition.EXPIRED),
        ("failed to verify id token signature", Condition.SIGNATURE),
        ('error validating claims: claim "sub" does not match any associated bound claim values', Condition.SUBJECT),
        ('role "x" could not be found', Condition.ROLE),
        ("permission denied", Condition.ROLE),
    ],
)
def test_what_vault_says_is_understood(said: str, condition: Condition) -> None:
    login = {"preset": "vault", "role": "r", "endpoint": "https://v.example.com/v1/auth/jwt/login", "audience": "v"}
    assert refusal("other", told({"errors": [said]}, 400), **login).condition is condition


# Names in words


NAMED = [
    ("aws", "InvalidIdentityToken: No OpenIDConnect provider found in your account for {iss}", Condition.ISSUER),
    (
        "azure",
        "AADSTS1: No matching federated identity record found for presented assertion subject '{sub}'.",
        Condition.SUBJECT,
    ),
    ("azure", "AADSTS700016: Application with identifier '{aud}' was not found in the directory", Condition.ROLE),
    (
        "gcp",
        "invalid_grant: The audience in ID Token [{aud}] does not match the expected audience {iss}.",
        Condition.AUDIENCE,
    ),
    ("gcp", "invalid_grant: The issuer in ID Token {iss} does not match the expected ones.", Condition.ISSUER),
    ("oracle", "invalid_request: No Identity Propagation Trust for {iss}.", Condition.ISSUER),
    ("oracle", "invalid_grant: No impersonation rule for {sub}.", Condition.SUBJECT),
    ("other", "invalid_grant: the issuer {iss} is unknown", Condition.ISSUER),
    ("other", "invalid_grant: the subject {sub}, of {iss}, is bound to nothing", Condition.SUBJECT),
    ("other", "invalid_grant: it isn't known and can't be, the token's expired", Condition.EXPIRED),
]
MISLEADING = [
    {
        "iss": "https://audience.example/expired",
        "sub": f"user:{UUIDS[0]}:cloud:audience",
        "aud": "//expired.example/issuer",
    },
    {
        "iss": "https://jwks.example/signature",
        "sub": f"user:{UUIDS[0]}:cloud:issuer-jwks",
        "aud": "https://jwks.example",
    },
]


@pytest.mark.parametrize("names", MISLEADING, ids=["audience", "jwks"])
@pytest.mark.parametrize("provider, words, condition", NAMED)
def test_what_a_host_or_a_label_is_called_says_nothing_of_what_failed(
    provider: str, words: str, condition: Condition, names: Mapping[str, str]
) -> None:
    code, _, said = words.format(**names).partition(": ")
    if provider == "aws":
        answer = told(SAID_NO.format(code, said), 400)
    else:
        answer = told({"error": code, "error_description": said, "Code": code, "Message": said}, 400)
    refused = refusal(provider, answer)
    assert refused.condition is condition
    assert refused.said == f"{code}: {said}", "as it was said, for the owner"


@pytest.mark.parametrize("provider", KEYLESS_CLOUDS)
@pytest.mark.parametrize("body", ["", "null", "[]", "{", "<a>", '{"access_token": null}', '{"Credentials": 3}'])
def test_an_answer_that_is_none_gives_nothing(provider: str, body: str) -> None:
    for status in (200, 400):
        assert refusal(provider, told(body, status)).condition is Condition.OTHER


@pytest.mark.parametrize("provider", KEYLESS_CLOUDS)
def test_no_cloud_shows_our_token_back(provider: str) -> None:
    echo = f"cannot use {TOKEN} here"
    body = {"error": "x", "error_description": echo, "Code": "x", "Message": echo}
    xml = f"<R><Error><Code>x</Code><Message>{echo}</Message></Error></R>"
    refused = refusal(provider, told(xml if provider == "aws" else body, 400))
    assert TOKEN not in refused.said
    assert "cannot use [token] here" in refused.said
