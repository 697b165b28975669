"""The seven clouds of the seed document, one file each: which fields an account has, with a secret and without one.

``PROVIDERS`` is what can be connected, in the order in which pages offer it.
"""

from provider.vault.providers.alibaba import ALIBABA
from provider.vault.providers.aws import AWS
from provider.vault.providers.azure import AZURE
from provider.vault.providers.cloud import CloudProvider
from provider.vault.providers.gcp import GCP
from provider.vault.providers.ibm import IBM
from provider.vault.providers.oracle import ORACLE
from provider.vault.providers.other import OTHER

PROVIDERS = {it.name: it for it in (AWS, AZURE, GCP, ALIBABA, ORACLE, IBM, OTHER)}

__all__ = ["PROVIDERS", "CloudProvider"]
