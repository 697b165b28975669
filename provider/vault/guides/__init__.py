"""What is set up in each cloud so that it trusts tokens of ours, one file each. ``GUIDES`` has them by provider."""

from provider.vault.guides import alibaba, aws, azure, gcp, oracle, other
from provider.vault.guides.trust import (
    IssuerProblem,
    Kind,
    Trust,
    TrustText,
    audience_of,
    issuer_problem,
)

GUIDES = {
    "aws": aws.guide,
    "azure": azure.guide,
    "gcp": gcp.guide,
    "alibaba": alibaba.guide,
    "oracle": oracle.guide,
    "other": other.guide,
}

__all__ = ["GUIDES", "IssuerProblem", "Kind", "Trust", "TrustText", "audience_of", "issuer_problem"]
