"""What a person sets up in a cloud that is connected without a secret, and what keeps that from working."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask_babel import gettext as _

from provider.vault.guides import GUIDES, IssuerProblem, Kind, Trust, audience_of, issuer_problem
from provider.vault.providers import CloudProvider
from provider.vault.subjects import subject_of
from provider.web import current
from provider.web.guards import here


@dataclass(frozen=True, slots=True)
class Setup:
    """``texts`` are to be pasted, each with where it goes. ``trust`` has the values that they are about."""

    trust: Trust
    texts: list[tuple[str, str]]


def setup_of(cloud: CloudProvider, label: str, said: Mapping[str, str]) -> Setup:
    """``said`` are the account's fields in clear, as far as they are known yet."""
    trust = Trust(
        issuer=current.settings().issuer,
        audience=audience_of(cloud, said),
        subject=subject_of(here().user.id, label, said.get("subject", "")),
        label=label,
        said=said,
    )
    titles = {
        Kind.POLICY: _("Trust policy (JSON): save it as trust.json"),
        Kind.COMMANDS: _("Command line"),
        Kind.TERRAFORM: _("Terraform"),
    }
    return Setup(trust, [(str(titles[it.kind]), it.text) for it in GUIDES[cloud.name](trust)])


def what_is_in_the_way() -> str:
    """Why clouds can't read this server's keys, in words. Empty where its address says nothing against it."""
    issuer = current.settings().issuer
    words = {
        IssuerProblem.LOOPBACK: _(
            "Clouds can't reach %(issuer)s: it is an address of this computer alone. Without a secret works once this "
            "service has a public address with HTTPS.",
            issuer=issuer,
        ),
        IssuerProblem.PRIVATE: _(
            "Clouds can't reach %(issuer)s: it is an address of a private network. Without a secret works once this "
            "service has a public address with HTTPS.",
            issuer=issuer,
        ),
        IssuerProblem.PLAIN_HTTP: _(
            "Clouds don't trust %(issuer)s: it has to be reached by HTTPS.",
            issuer=issuer,
        ),
        IssuerProblem.PORT: _(
            "Some clouds, AWS among them, trust no address with a port: %(issuer)s has one.",
            issuer=issuer,
        ),
    }
    problem = issuer_problem(issuer)
    return "" if problem is None else str(words[problem])
