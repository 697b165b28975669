"""What the texts of our pages make a cloud trust, read as that cloud reads them: issuer, audiences, subject."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from provider.vault.guides import Kind


class Told(NamedTuple):
    issuer: str
    audiences: tuple[str, ...]
    subject: str


Texts = Mapping[Kind, str]


def told(cloud: str, texts: Texts) -> Told:
    """Fails where something is there beside the three, or one of them is not."""
    return READERS[cloud](texts)


def _commands(texts: Texts) -> list[list[str]]:
    return [shlex.split(line) for line in texts[Kind.COMMANDS].replace("\\\n", " ").splitlines() if line.strip()]


def _option(texts: Texts, name: str) -> str:
    """The one value of an option, after it or after ``=``."""
    words = [word for command in _commands(texts) for word in command]
    joined = [word.partition("=")[2] for word in words if word.startswith(f"{name}=")]
    apart = [words[at + 1] for at, word in enumerate(words) if word == name]
    (value,) = joined + apart
    return value


def _policy(texts: Texts) -> Any:
    return json.loads(texts[Kind.POLICY])


def _aws(texts: Texts) -> Told:
    (statement,) = _policy(texts)["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Allow", "sts:AssumeRoleWithWebIdentity")
    name = statement["Principal"]["Federated"].partition(":oidc-provider/")[2]
    conditions = statement["Condition"].pop("StringEquals")
    assert not statement["Condition"]
    assert conditions.keys() == {f"{name}:aud", f"{name}:sub"}
    issuer, audience = _option(texts, "--url"), _option(texts, "--client-id-list")
    assert (name, audience) == (issuer.removeprefix("https://"), conditions[f"{name}:aud"]), "one provider of IAM"
    return Told(issuer, (audience,), conditions[f"{name}:sub"])


def _azure(texts: Texts) -> Told:
    credential = _policy(texts)
    assert credential.keys() == {"name", "issuer", "subject", "audiences"}
    return Told(credential["issuer"], tuple(credential["audiences"]), credential["subject"])


def _gcp(texts: Texts) -> Told:
    """No audience is listed, so that it is the provider's own name, with ``https:`` or without."""
    assert _option(texts, "--attribute-mapping") == "google.subject=assertion.sub"
    condition = re.fullmatch(r"assertion\.sub == '([^']+)'", _option(texts, "--attribute-condition"))
    assert condition
    member = _option(texts, "--member")
    assert member.endswith(f"/subject/{condition[1]}")
    pool = member.removeprefix("principal:").partition("/subject/")[0]
    (made,) = [command for command in _commands(texts) if "create-oidc" in command]
    name = f"{pool}/providers/{made[made.index('create-oidc') + 1]}"
    return Told(_option(texts, "--issuer-uri"), (name, f"https:{name}"), condition[1])


def _alibaba(texts: Texts) -> Told:
    (statement,) = _policy(texts)["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Allow", "sts:AssumeRole")
    conditions = statement["Condition"].pop("StringEquals")
    assert not statement["Condition"]
    assert conditions.keys() == {"oidc:iss", "oidc:aud", "oidc:sub"}
    issuer, audience, subject = (conditions[f"oidc:{name}"] for name in ("iss", "aud", "sub"))
    assert (issuer, audience) == ([_option(texts, "--IssuerUrl")], [_option(texts, "--ClientIds")])
    return Told(issuer[0], tuple(audience), *subject)


def _oracle(texts: Texts) -> Told:
    trust = _policy(texts)
    assert (trust["type"], trust["active"], trust["allowImpersonation"]) == ("JWT", True, True)
    assert (trust["clientClaimName"], trust["publicKeyEndpoint"]) == ("aud", f"{trust['issuer']}/jwks")
    (user,) = trust["impersonationServiceUsers"]
    assert user["rule"].startswith("sub eq ")
    return Told(trust["issuer"], tuple(trust["clientClaimValues"]), user["rule"].removeprefix("sub eq "))


def _kubernetes(texts: Texts) -> Told:
    assert _option(texts, "--oidc-username-claim") == "sub"
    claim, subject = _option(texts, "--oidc-required-claim").split("=")
    assert (claim, _option(texts, "--user")) == ("sub", f"{_option(texts, '--oidc-username-prefix')}{subject}")
    return Told(_option(texts, "--oidc-issuer-url"), (_option(texts, "--oidc-client-id"),), subject)


def _vault(texts: Texts) -> Told:
    values = {
        word.partition("=")[0]: word.partition("=")[2]
        for command in _commands(texts)
        for word in command
        if "=" in word
    }
    return Told(values["oidc_discovery_url"], (values["bound_audiences"],), values["bound_subject"])


READERS: Mapping[str, Callable[[Texts], Told]] = {
    "aws": _aws,
    "azure": _azure,
    "gcp": _gcp,
    "alibaba": _alibaba,
    "oracle": _oracle,
    "other": _vault,
    "kubernetes": _kubernetes,
}
