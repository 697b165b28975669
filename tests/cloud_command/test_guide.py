"""``docs/guides/clouds.md`` is followed, cloud by cloud: its texts are those of our page, and what it prints works."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from provider.security.crypto import Keyring
from provider.vault.guides import GUIDES, Kind, Trust, audience_of
from provider.vault.providers import PROVIDERS
from tests.cloud_command.conftest import Cloud, running
from tests.cloud_command.test_example import BUCKETS, little_s3
from tests.clouds.access_tokens import Entra, Google, OracleDomain
from tests.clouds.other_services import Cluster
from tests.clouds.role_keys import AlibabaSts, AwsSts
from tests.clouds.strict_cloud import StrictCloud
from tests.clouds.trust import Trust as Trusting
from tests.serving import ROOT
from tests.vault.samples import keyless_fields
from tests.waiting import HANG_SECONDS

GUIDE = (ROOT / "docs/guides/clouds.md").read_text("utf-8")
SECTIONS = {part.partition("\n")[0]: part for part in re.split(r"^## ", GUIDE, flags=re.MULTILINE)[1:]}
SUBJECT = "user:01900000-0000-7000-8000-000000000000:cloud:"
PROVIDER = (
    "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/mcp-core/providers/mcp-core"
)
ROBOT = "robot@my-project-123456.iam.gserviceaccount.com"
# By the name of the account: the section, what the page knows of the account, and who stands in for the cloud.
CLOUDS: Mapping[str, tuple[str, str, dict[str, str], type[StrictCloud]]] = {
    "aws": ("Amazon Web Services", "aws", {"role_arn": "arn:aws:iam::123456789012:role/mcp-core"}, AwsSts),
    "gcp": ("Google Cloud", "gcp", {"provider": PROVIDER, "service_account": ROBOT}, Google),
    "azure": ("Microsoft Azure", "azure", {}, Entra),
    "alibaba": (
        "Alibaba Cloud",
        "alibaba",
        {
            "role_arn": "acs:ram::1234567890123456:role/mcp-core",
            "oidc_provider_arn": "acs:ram::1234567890123456:oidc-provider/mcp-core",
        },
        AlibabaSts,
    ),
    "oracle": ("Oracle Cloud", "oracle", {"domain_url": "https://idcs-0123.identity.oraclecloud.com"}, OracleDomain),
    "kubernetes": ("Kubernetes", "other", {"preset": "kubernetes", "audience": "cluster-1"}, Cluster),
    "minio": (
        "MinIO",
        "other",
        {"preset": "minio", "audience": "minio", "role": "arn:minio:iam:::role/photos"},
        AwsSts,
    ),
}


def blocks(name: str, language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", SECTIONS[CLOUDS[name][0]], re.MULTILINE | re.DOTALL)
    assert found, (name, language)
    return found


def test_every_section_about_a_cloud_is_followed() -> None:
    others = {"Before", "What goes wrong"}
    assert set(SECTIONS) - others == {section for section, *_ in CLOUDS.values()}
    assert {provider for _, provider, *_ in CLOUDS.values()} == set(GUIDES)


@pytest.mark.parametrize("name", [name for name in CLOUDS if name != "minio"])
def test_what_is_set_up_in_a_cloud_is_what_our_page_prints(name: str) -> None:
    _, provider, said, _ = CLOUDS[name]
    trust = Trust(
        "https://id.example.com/oauth", audience_of(PROVIDERS[provider], said), f"{SUBJECT}{name}", name, said
    )
    texts = {it.kind: f"{it.text}\n" for it in GUIDES[provider](trust)}
    assert blocks(name, "sh")[0] == texts[Kind.COMMANDS]
    if Kind.POLICY in texts:
        assert blocks(name, "json")[0] == texts[Kind.POLICY]


def test_minio_is_told_as_the_tests_with_a_real_one_tell_it() -> None:
    (said,) = blocks("minio", "sh")
    names = [line.partition("=")[0] for line in said.splitlines()]
    expected = ["CONFIG_URL", "CLIENT_ID", "ROLE_POLICY"]  # as tests/cloud_command/test_minio.py
    assert names == [f"export MINIO_IDENTITY_OPENID_{name}" for name in expected]
    assert f'"jwt:sub": "{SUBJECT}minio"' in SECTIONS["MinIO"]


class Home:
    """A machine whose owner has followed the guide so far: a key in the environment, and files where it says."""

    def __init__(self, folder: Path, server: Cloud, clouds: Mapping[str, StrictCloud], s3: str) -> None:
        self.folder, self.clouds = folder, clouds
        authorities = folder / "ca.pem"
        authorities.write_text("".join(it.server.authority.read_text() for it in clouds.values()))
        self.environment = {
            **server.environment,
            "HOME": str(folder),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
            "REQUESTS_CA_BUNDLE": str(authorities),
            "AWS_ENDPOINT_URL_S3": s3,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def write(self, path: str, text: str) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def run(self, program: str, *arguments: str, **more: str) -> str:
        done = subprocess.run(
            [program, *arguments],
            env={**self.environment, **more},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, code: str, **more: str) -> str:
        return self.run(sys.executable, "-P", "-c", code, **more)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, keyring: Keyring) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("home")
    clouds = {}
    for name, (_, provider, said, kind) in CLOUDS.items():
        known = {} if provider == "other" else keyless_fields(provider)
        clouds[name] = kind(Trusting(), {**known, **said})
    clouds["minio"].said["role_arn"] = clouds["minio"].said["role"]
    (folder / "asked.pem").write_text("".join(it.server.authority.read_text() for it in clouds.values()))
    hosts = " ".join(it.server.host for it in clouds.values())
    s3 = little_s3(lambda sent: "Credential=ASIA" in sent["Authorization"])
    with running(folder, keyring, outbound_allowed_hosts=hosts, outbound_ca_file=folder / "asked.pem") as server:
        for name, cloud in clouds.items():
            provider = CLOUDS[name][1]
            said = {field: value for field, value in cloud.said.items() if provider != "other" or field != "role_arn"}
            server.connect(name, provider, "keyless", **{**said, "endpoint": f"{cloud.url}/"})
            audience = audience_of(PROVIDERS[provider], said)
            cloud.trust = Trusting(server.issuer, (audience,), f"user:{server.owner.id}:cloud:{name}")
        yield Home(folder, server, clouds, s3.url)
    s3.close()
    for cloud in clouds.values():
        cloud.close()


def test_the_list_has_the_names_that_the_guide_uses(home: Home) -> None:
    lines = home.run("mcp-core-cloud", "list").splitlines()[1:]
    assert {line.split()[0] for line in lines} == {*CLOUDS, "work"}


@pytest.mark.parametrize("name", ["aws", "minio"])
def test_boto3_lists_buckets_by_the_profile(home: Home, name: str) -> None:
    (profile,), (code,) = blocks(name, "ini"), blocks(name, "python")
    s3 = home.environment["AWS_ENDPOINT_URL_S3"]
    home.write(".aws/config", profile.replace("https://minio.example.com", s3))
    more = {} if name == "aws" else {"AWS_ENDPOINT_URL_S3": ""}
    assert home.python(code, **more).split() == list(BUCKETS)
    assert len(home.clouds[name].given) == 1


ASIDE = """
from google.auth import external_account
external_account._CLOUD_RESOURCE_MANAGER = "{url}/v1/projects/"
"""


def test_google_auth_finds_the_file_and_acts_as_the_service_account(home: Home) -> None:
    """Its SDK asks what the project is called, too."""
    cloud = home.clouds["gcp"]
    cloud.server.say_json("/v1/projects/123456789012", {"projectId": "my-project-123456"})
    (said,), (code,) = blocks("gcp", "json"), blocks("gcp", "python")
    for host in ("https://sts.googleapis.com", "https://iamcredentials.googleapis.com"):
        assert host in said
        said = said.replace(host, cloud.url)
    home.write("google.json", said)
    more = dict(line.removeprefix("export ").split("=") for line in blocks("gcp", "sh")[1].splitlines())
    assert home.python(ASIDE.format(url=cloud.url) + code, **more).startswith("my-project-123456 20")
    assert len(cloud.given) == 1


def test_azure_identity_reads_the_file_that_the_timer_writes(home: Home) -> None:
    """It asks nobody whether the authority is one of Microsoft's."""
    cloud, (_, lines), (code,) = home.clouds["azure"], blocks("azure", "sh"), blocks("azure", "python")
    for variable, field in (("AZURE_TENANT_ID", "tenant_id"), ("AZURE_CLIENT_ID", "client_id")):
        assert f"export {variable}={cloud.said[field]}\n" in lines
    assert "WorkloadIdentityCredential()" in code
    code = code.replace("WorkloadIdentityCredential()", "WorkloadIdentityCredential(disable_instance_discovery=True)")
    script = f"{lines}exec {sys.executable} -P azure.py"
    home.write("azure.py", code)
    assert int(home.run("sh", "-euc", script, AZURE_AUTHORITY_HOST=cloud.url)) > 0
    assert len(cloud.given) == 1


def test_alibaba_s_profile_runs_what_it_says(home: Home) -> None:
    _, said = blocks("alibaba", "json")
    (profile,) = json.loads(said)["profiles"]
    given = json.loads(home.run(*profile["process_command"].split()))
    assert (profile["mode"], given["mode"], given["sts_token"][:12]) == ("External", "StsToken", "session-of-S")


def test_oci_finds_configuration_key_and_token(home: Home) -> None:
    _, line = blocks("oracle", "sh")
    assert home.run("sh", "-euc", line) == ""
    said = (home.folder / ".oci/oracle/config").read_text()
    assert "security_token_file=" in said
    assert "~/.oci/oracle/config" in blocks("oracle", "python")[0]


def test_kubectl_s_user_runs_what_it_says(home: Home) -> None:
    (user,) = yaml.safe_load(blocks("kubernetes", "yaml")[0])
    plugin: dict[str, Any] = user["user"]["exec"]
    given = json.loads(home.run(plugin["command"], *plugin["args"]))
    assert (given["apiVersion"], given["kind"]) == (plugin["apiVersion"], "ExecCredential")
    cloud = home.clouds["kubernetes"]
    assert cloud.trust.claims_of(given["status"]["token"])["sub"] == cloud.trust.subject
