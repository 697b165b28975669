"""What each cloud's fields take and refuse: as its documentation writes them, and what people mistake for them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from provider.vault.fields import PLAIN_COLUMNS, REASONS, SEALED_COLUMNS, CloudField, InvalidCloudField
from provider.vault.presets import PRESETS
from provider.vault.providers import PROVIDERS
from provider.vault.providers.cloud import Mode
from tests.vault.samples import (
    AWS_KEY_ID,
    AWS_SECRET,
    EVERY_WAY,
    KEYLESS_CLOUDS,
    POOL_PROVIDER,
    SECRET_CLOUDS,
    UUIDS,
    fields_of,
    key_pem,
    service_account,
)
from tests.vault.test_cloud_tokens import FAULTS

ALWAYS_WRONG = ["\0", "가나다", "a\nb c", "１２３４", "٣", "<script>", "../..", "x" * 20_000]


def read(cloud: str, mode: Mode, **said: str) -> dict[str, str]:
    values, _ = PROVIDERS[cloud].read(mode, {**fields_of(cloud, mode), **said})
    return values


def problems(cloud: str, mode: Mode, **said: str) -> list[tuple[str, str]]:
    with pytest.raises(InvalidCloudField) as wrong:
        read(cloud, mode, **said)
    return [(it.name, it.reason) for it in (wrong.value, *wrong.value.also)]


def of(name: str) -> tuple[str, Mode, str]:
    provider, mode, field = name.split(".")
    return provider, mode, field  # type: ignore[return-value]


TAKEN = {
    "aws.secret.access_key_id": ["AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE", ' "AKIAIOSFODNN7EXAMPLE"\r\n'],
    "aws.secret.secret_access_key": ["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", AWS_SECRET, "A+/=" * 10],
    "aws.secret.region": [
        *("us-east-1", "eu-central-1", "ap-northeast-2", "us-gov-west-1", "cn-north-1", "mx-central-1", "il-central-1"),
        *("us-iso-east-1", "us-isob-east-1", "eusc-de-east-1"),
    ],
    "aws.secret.account_id": ["123456789012", "000000000001"],
    "aws.keyless.role_arn": [
        "arn:aws:iam::123456789012:role/mcp-core",
        "arn:aws-cn:iam::123456789012:role/mcp-core",
        "arn:aws-us-gov:iam::123456789012:role/mcp-core",
        "arn:aws-iso-b:iam::123456789012:role/mcp-core",
        "arn:aws-eusc:iam::123456789012:role/mcp-core",
        "arn:aws:iam::123456789012:role/division_abc/subdivision_xyz/S3Access",
        "arn:aws:iam::123456789012:role/a+b=c,d.e@f-g_h",
        "arn:aws:iam::123456789012:role/" + "r" * 64,
        "arn:aws:iam::123456789012:role/" + "p" * 510 + "/r",
    ],
    "aws.keyless.session_seconds": ["900", "3600", "43200"],
    "aws.keyless.audience": ["sts.amazonaws.com", "https://id.example/oauth", "mcp"],
    "aws.keyless.subject": ["user", "user-and-label"],
    "azure.secret.tenant_id": [UUIDS[0], UUIDS[1].upper(), "{" + UUIDS[0] + "}"],
    "azure.secret.client_secret": [
        "Zx8Q~" + "a" * 35,
        "x" * 16,
        "a1!b2@c3#d4$e5%f6^",
        "Q1w2E3r4T5y6U7i8O9p0A1s2D3f4G5h6",
    ],
    "azure.secret.region": ["koreacentral", "eastus2", "Korea Central", "germanywestcentral", "EASTUS"],
    "azure.keyless.scope": ["https://storage.azure.com/.default", "api://0000/.default"],
    "azure.keyless.endpoint": ["https://login.microsoftonline.us", "https://login.chinacloudapi.cn/"],
    "gcp.keyless.provider": [
        POOL_PROVIDER,
        "https:" + POOL_PROVIDER,
        "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/prov-2",
    ],
    "gcp.keyless.service_account": [
        "robot@house-of-ana-1.iam.gserviceaccount.com",
        "123456789012-compute@developer.gserviceaccount.com",
        "house-of-ana-1@appspot.gserviceaccount.com",
        "robot@house.example.com.iam.gserviceaccount.com",
    ],
    "gcp.keyless.project_id": ["my-project-123456", "abcdef", "example.com:my-project"],
    "gcp.keyless.scope": ["https://www.googleapis.com/auth/devstorage.read_only openid"],
    "alibaba.secret.access_key_id": ["LTAI5tQnKxExampleABCDEFG", "LTAIabcdefgh", "LTAI4GEXAMPLE1234567"],
    "alibaba.secret.access_key_secret": ["x" * 30, "aB3" * 10],
    "alibaba.secret.region": [
        "cn-hangzhou",
        "ap-southeast-1",
        "us-east-1",
        "cn-hangzhou-finance",
        "cn-shanghai-finance-1",
    ],
    "alibaba.keyless.role_arn": ["acs:ram::1234567890123456:role/mcp-core", "acs:ram::113511544585:role/oss.read_all"],
    "alibaba.keyless.oidc_provider_arn": ["acs:ram::113511544585:oidc-provider/TestOidcProvider"],
    "oracle.secret.tenancy_ocid": ["ocid1.tenancy.oc1.." + "a" * 60, "ocid1.tenancy.oc19.." + "z2" * 30],
    "oracle.secret.region": ["ap-seoul-1", "us-ashburn-1", "EU-FRANKFURT-1", "us-gov-ashburn-1"],
    "oracle.keyless.domain_url": ["https://idcs-0a1b.identity.oraclecloud.com:443", "https://id.example/"],
    "ibm.secret.api_key": ["abcd1234abcd1234abcd1234ABCD1234ABCD1234--__", "i" * 44],
    "ibm.secret.account_id": ["0a" * 16, "F" * 32],
    "ibm.secret.region": ["us-south", "eu-de", "jp-tok", "AU-SYD"],
    "other.secret.secret_key": ["x", "hush hush", "비밀", "-----BEGIN X-----\nabc\n-----END X-----"],
    "other.secret.config_json": ["{}", '{"a": {"b": [1, null]}}'],
    "other.keyless.protocol": ["token-exchange", "jwt-bearer", "aws-sts"],
    "other.keyless.algorithm": ["RS256", "es256", "EdDSA"],
    "other.keyless.audience": ["https://api.example.com", "vault", "//x"],
    "other.keyless.preset": ["minio", " MinIO "],
    "other.keyless.parameters": ["tenant=t-1", " a=1   b=2 ", "x.y-z=%20"],
}

REFUSED = {
    "aws.secret.access_key_id": [
        ("AKIA", "form"),
        ("AKIAIOSFODNN7EXAMPL", "form"),
        ("AKIAIOSFODNN7EXAMPLES", "form"),
        ("akiaiosfodnn7example", "form"),
        ("AKIAIOSFODNN7EXAMPL\u00c9", "form"),
        ("AKIA IOSFODNN7EXAMPLE", "form"),
        ("AIDAIOSFODNN7EXAMPLE", "form"),
        ("AROAIOSFODNN7EXAMPLE", "form"),
        ("ASIAIOSFODNN7EXAMPLE", "temporary_key"),
        ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "form"),
    ],
    "aws.secret.secret_access_key": [(AWS_KEY_ID, "form"), ("x" * 39, "form"), ("x" * 41, "form"), ("-" * 40, "form")],
    "aws.secret.region": [
        ("Frankfurt", "form"),
        ("eu-central", "form"),
        ("eu-central-1a", "form"),
        ("eu_central_1", "form"),
    ],
    "aws.secret.account_id": [("1234-5678-9012", "form"), ("12345678901", "form"), ("1234567890123", "form")],
    "aws.keyless.role_arn": [
        ("mcp-core", "form"),
        ("arn:aws:iam::12345678901:role/mcp-core", "form"),
        ("arn:aws:iam::１２３４５６７８９０１２:role/mcp-core", "form"),
        ("arn:aws:iam::123456789012:user/ana", "form"),
        ("arn:aws:iam::123456789012:role/", "form"),
        ("arn:aws:iam::123456789012:role//", "form"),
        ("arn:aws:iam::123456789012:role/a b", "form"),
        ("arn:aws:iam::123456789012:role/*", "form"),
        ("arn:aws:iam::123456789012:role/" + "r" * 65, "form"),
        ("arn:aws:iam::123456789012:role/" + "p" * 512 + "/r", "form"),
        ("arn:aws:sts::123456789012:assumed-role/mcp-core/session", "form"),
        ("arn:aws:iam:eu-central-1:123456789012:role/mcp-core", "form"),
        ("arn:azure:iam::123456789012:role/mcp-core", "form"),
        ("acs:ram::1234567890123456:role/mcp-core", "form"),
    ],
    "aws.keyless.session_seconds": [("899", "form"), ("43201", "form"), ("1h", "form"), ("３６００", "form")],
    "aws.keyless.endpoint": [("http://sts.amazonaws.com", "not_https"), ("https://sts.amazonaws.com?x", "form")],
    "aws.keyless.subject": [("admin", "choice"), ("user:1", "choice")],
    "azure.secret.tenant_id": [("ana.onmicrosoft.com", "form"), ("common", "form"), (UUIDS[0][:-1], "form")],
    "azure.secret.client_secret": [
        (UUIDS[0], "secret_id"),
        (UUIDS[0].upper(), "secret_id"),
        ("short", "form"),
        ("a b" * 9, "form"),
    ],
    "azure.secret.region": [("Korea-Central", "form"), ("1east", "form")],
    "azure.keyless.endpoint": [
        ("http://login.microsoftonline.com", "not_https"),
        ("login.microsoftonline.com", "not_https"),
    ],
    "gcp.keyless.provider": [
        ("mcp-core", "form"),
        ("projects/1/locations/global/workloadIdentityPools/pool/providers/prov", "form"),
        (POOL_PROVIDER.replace("123456789012", "my-project"), "form"),
        (POOL_PROVIDER + "/", "form"),
        (POOL_PROVIDER.replace("global", "eu"), "form"),
        (POOL_PROVIDER.replace("workloadIdentityPools", "workforcePools"), "form"),
        ("http:" + POOL_PROVIDER, "form"),
        ("https:https:" + POOL_PROVIDER, "form"),
        (POOL_PROVIDER.replace("googleapis.com", "evil.example"), "form"),
    ],
    "gcp.keyless.service_account": [
        ("robot", "form"),
        ("robot@example.com", "form"),
        ("robot@gserviceaccount.com", "form"),
        ("robot@evil.example/iam.gserviceaccount.com", "form"),
        ("robot@x.iam.gserviceaccount.com.evil.example", "form"),
    ],
    "gcp.keyless.project_id": [
        ("123456", "form"),
        ("My Project", "form"),
        ("abc", "form"),
        ("a" * 31, "form"),
        ("abcdef-", "form"),
    ],
    "alibaba.secret.access_key_id": [("STS.NUgYrLnoC", "temporary_key"), ("ltai5tABCDEFGH", "form"), ("LTAI", "form")],
    "alibaba.secret.access_key_secret": [("x" * 29, "form"), ("x" * 31, "form"), ("x" * 29 + "-", "form")],
    "alibaba.secret.region": [("hangzhou", "form"), ("cn-hangzhou-b!", "form")],
    "alibaba.keyless.role_arn": [("arn:aws:iam::123456789012:role/mcp-core", "form"), ("acs:ram::1:role/x", "form")],
    "alibaba.keyless.oidc_provider_arn": [("acs:ram::113511544585:role/x", "form"), ("TestOidcProvider", "form")],
    "oracle.secret.tenancy_ocid": [
        ("ocid1.user.oc1.." + "a" * 60, "form"),
        ("ocid1.tenancy.oc1.phx." + "a" * 60, "form"),
        ("ocid1.tenancy.oc1..", "form"),
        ("OCID1.TENANCY.OC1.." + "A" * 60, "form"),
        ("ana", "form"),
    ],
    "oracle.secret.user_ocid": [("ocid1.tenancy.oc1.." + "a" * 60, "form"), ("ana@example.com", "form")],
    "oracle.secret.fingerprint": [
        ("12:34", "form"),
        ("zz:" * 15 + "zz", "form"),
        ("SHA256:" + "a" * 43, "form"),
        ("ab:" * 16, "form"),
    ],
    "oracle.secret.private_key": [("hush", "private_key"), ("-----BEGIN ENCRYPTED PRIVATE KEY-----", "encrypted_key")],
    "oracle.secret.region": [("seoul", "form"), ("ap-seoul", "form")],
    "oracle.keyless.domain_url": [("http://id.example", "not_https"), ("https://ana@id.example", "form")],
    "ibm.secret.api_key": [("i" * 43, "form"), ("i" * 45, "form"), ("ApiKey-" + UUIDS[0], "form"), ("+" * 44, "form")],
    "ibm.secret.account_id": [("0a" * 15, "form"), ("xy" * 16, "form")],
    "ibm.secret.region": [("us-south-1", "form"), ("Dallas", "form")],
    "other.secret.access_key": [("a\x1bb", "form")],
    "other.secret.config_json": [
        ("[1]", "not_json"),
        ("hush", "not_json"),
        ('{"a":1,"a":2}', "not_json"),
        ("[" * 9999, "not_json"),
    ],
    "other.secret.endpoint": [("http://api.example.com", "not_https"), ("https://user@api.example.com", "form")],
    "other.keyless.protocol": [("saml", "choice"), ("token-exchange,jwt-bearer", "choice")],
    "other.keyless.algorithm": [("none", "choice"), ("HS256", "choice"), ("RS512", "choice")],
    "other.keyless.audience": [("a b", "form"), ("한국", "form"), ("x" * 1025, "form")],
    "other.keyless.preset": [("Min IO", "choice"), ("kubelet", "choice")],
    "other.keyless.parameters": [
        *((text, "form") for text in ("a", "a=", "a=1 a=2", "assertion=x", "audience=x", "a=한")),
        (" ".join(f"a{number}=1" for number in range(11)), "form"),
    ],
    "other.keyless.scope": [("x" * 1025, "too_long")],
}  # fmt: skip


@pytest.mark.parametrize("name, text", [(name, text) for name, texts in TAKEN.items() for text in texts])
def test_a_value_is_taken(name: str, text: str) -> None:
    provider, mode, field = of(name)
    value = read(provider, mode, **{field: text})[field]
    assert value
    assert read(provider, mode, **{field: value})[field] == value, "the normal form is one itself"


@pytest.mark.parametrize(
    "name, text, reason", [(name, text, reason) for name, cases in REFUSED.items() for text, reason in cases]
)
def test_a_value_is_refused(name: str, text: str, reason: str) -> None:
    provider, mode, field = of(name)
    assert problems(provider, mode, **{field: text}) == [(field, reason)]


@pytest.mark.parametrize("provider, mode", EVERY_WAY)
def test_what_nobody_means_is_refused_with_a_reason_everywhere(provider: str, mode: Mode) -> None:
    for field in PROVIDERS[provider].fields(mode):
        for text in ALWAYS_WRONG:
            if provider == "other" and mode == "secret" and text != "\0":
                continue  # a secret of no known form may be any text
            found = refusals(provider, mode, field.name, text)
            assert [name for name, _ in found] in ([], [field.name])
            assert {reason for _, reason in found} <= set(REASONS)
            assert found or text in ("<script>", "../..", "a\nb c"), "a word, or words, may be these"


def refusals(provider: str, mode: Mode, field: str, text: str) -> list[tuple[str, str]]:
    try:
        read(provider, mode, **{field: text})
    except InvalidCloudField as wrong:
        return [(it.name, it.reason) for it in (wrong, *wrong.also)]
    return []


def test_normal_forms() -> None:
    assert read("azure", "secret", tenant_id="{" + UUIDS[1].upper() + "}")["tenant_id"] == UUIDS[1]
    assert read("azure", "secret", region="Korea Central")["region"] == "koreacentral"
    assert read("gcp", "keyless", provider="https:" + POOL_PROVIDER)["provider"] == POOL_PROVIDER
    assert read("oracle", "secret", private_key=key_pem() + "OCI_API_KEY")["private_key"] == key_pem()
    assert read("other", "secret", config_json='{ "a" : 1 }')["config_json"] == '{"a":1}'


def test_what_nobody_typed_has_its_default() -> None:
    assert {
        name: value for name, value in read("aws", "keyless").items() if name not in fields_of("aws", "keyless")
    } == {
        "audience": "sts.amazonaws.com",
        "session_seconds": "3600",
        "subject": "user-and-label",
        "account_id": "123456789012",
    }
    azure = read("azure", "keyless")
    assert azure["audience"] == "api://AzureADTokenExchange"
    assert azure["endpoint"] == "https://login.microsoftonline.com"
    assert azure["scope"] == "https://management.azure.com/.default"


SERVICE_ACCOUNTS: list[tuple[dict[str, Any], str]] = [
    ({"type": "authorized_user"}, "not_a_service_account"),
    ({"type": "external_account"}, "not_a_service_account"),
    ({"type": None}, "not_a_service_account"),
    ({"type": ["service_account"]}, "not_a_service_account"),
    ({"private_key": None}, "not_a_service_account"),
    ({"private_key": " "}, "not_a_service_account"),
    ({"private_key": 7}, "not_a_service_account"),
    ({"private_key_id": None}, "not_a_service_account"),
    ({"client_email": None}, "not_a_service_account"),
    ({"client_email": "ana@example.com"}, "not_a_service_account"),
    ({"project_id": None}, "not_a_service_account"),
    ({"project_id": "가나다라마바"}, "not_a_service_account"),
    ({"private_key": "hush"}, "private_key"),
    (
        {"private_key": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII\n-----END ENCRYPTED PRIVATE KEY-----"},
        "encrypted_key",
    ),
    ({"token_uri": None}, "token_uri"),
    ({"token_uri": "https://evil.example/token"}, "token_uri"),
    ({"token_uri": "http://oauth2.googleapis.com/token"}, "token_uri"),
    ({"token_uri": "https://oauth2.googleapis.com@evil.example/token"}, "token_uri"),
    ({"token_uri": ["https://oauth2.googleapis.com/token"]}, "token_uri"),
    ({"universe_domain": "evil.example"}, "token_uri"),
    ({"universe_domain": 1}, "token_uri"),
]


@pytest.mark.parametrize("changes, reason", SERVICE_ACCOUNTS)
def test_no_service_account(changes: dict[str, Any], reason: str) -> None:
    text = json.dumps(service_account(**changes))
    assert problems("gcp", "secret", service_account_json=text) == [("service_account_json", reason)]


@pytest.mark.parametrize(
    "changes",
    [{}, {"universe_domain": None}, {"client_id": None}, {"token_uri": "https://accounts.google.com/o/oauth2/token"}],
)
def test_a_service_account(changes: dict[str, Any]) -> None:
    values = read("gcp", "secret", service_account_json="\ufeff" + json.dumps(service_account(**changes), indent=1))
    assert json.loads(values["service_account_json"]) == service_account(**changes)
    assert values["project_id"] == "house-of-ana-1"


def test_a_key_file_has_a_size() -> None:
    text = json.dumps(service_account(note="x" * 16_384))
    assert problems("gcp", "secret", service_account_json=text) == [("service_account_json", "too_long")]


def test_a_fingerprint_is_that_of_the_key() -> None:
    right = fields_of("oracle", "secret")["fingerprint"]
    assert read("oracle", "secret", fingerprint=right.upper())["fingerprint"] == right
    wrong = ("0" if right[0] != "0" else "1") + right[1:]
    assert problems("oracle", "secret", fingerprint=wrong) == [("fingerprint", "fingerprint")]


def test_another_service_has_at_least_one_secret() -> None:
    nothing = dict.fromkeys(("access_key", "secret_key", "config_json"), "")
    assert problems("other", "secret", **nothing) == [("secret_key", "missing")]
    for field, value in {"access_key": "a", "secret_key": "b", "config_json": "{}"}.items():
        assert read("other", "secret", **{**nothing, field: value})[field] == value


def test_a_login_at_a_vault_names_a_role() -> None:
    assert problems("other", "keyless", protocol="vault-jwt") == [("role", "missing")]
    assert read("other", "keyless", protocol="vault-jwt", role="dev")["role"] == "dev"


def each_field() -> list[Any]:
    return [
        pytest.param(field, id=f"{cloud.name}.{mode}.{field.name}")
        for cloud in PROVIDERS.values()
        for mode in ("secret", "keyless")
        for field in cloud.kept_fields(mode)
    ]


@pytest.mark.parametrize("field", each_field())
def test_a_field_is_sound(field: CloudField) -> None:
    assert re.fullmatch(r"[a-z][a-z_]{1,31}", field.name)
    assert field.column in (None, *SEALED_COLUMNS, *PLAIN_COLUMNS)
    assert field.is_sealed or not field.is_secret, "options and plain columns hold no secret"
    assert not (field.is_secret and (field.example or field.default or field.choices))
    assert not field.default or field.check(field.default) == field.default
    assert all(field.check(choice) == choice for choice in field.choices)
    assert not (field.is_required and (field.default or field.is_advanced))


def test_no_two_fields_of_an_account_share_a_name_or_a_column() -> None:
    for cloud in PROVIDERS.values():
        for mode in ("secret", "keyless"):
            fields = cloud.kept_fields(mode)
            columns = [field.column for field in fields if field.column]
            assert len({field.name for field in fields}) == len(fields)
            assert len(set(columns)) == len(columns)


def test_samples_name_every_way() -> None:
    assert [(name, "secret") for name in PROVIDERS] + [
        (name, "keyless") for name, it in PROVIDERS.items() if it.keyless
    ] == EVERY_WAY
    assert set(SECRET_CLOUDS) - set(KEYLESS_CLOUDS) == {"ibm"}


def test_every_reason_is_given_somewhere() -> None:
    given = {reason for cases in REFUSED.values() for _, reason in cases} | {reason for _, reason in SERVICE_ACCOUNTS}
    elsewhere = {"missing", "unknown", "fingerprint", "again", "parameters", *FAULTS.values()}
    assert given | elsewhere == set(REASONS)


@pytest.mark.parametrize(
    "preset, said",
    [
        ("anthropic", None),
        ("anthropic", "federation_rule_id=fdrl_1 organization_id=o-1"),
        ("openai", "service_account_id=svc_1"),
        ("openrouter", ""),
    ],
)
def test_a_service_that_wants_parameters_says_which(preset: str, said: str | None) -> None:
    values = {"preset": preset} | ({} if said is None else {"parameters": said})
    with pytest.raises(InvalidCloudField) as caught:
        PROVIDERS["other"].read("keyless", values)
    assert (caught.value.name, caught.value.reason, caught.value.also) == ("parameters", "parameters", ())
    assert caught.value.wanted == PRESETS[preset].parameters
