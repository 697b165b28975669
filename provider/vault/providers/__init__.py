"""The seven clouds of the seed document, one file each: which fields an account has, with a secret and without one.

``PROVIDERS`` is what can be connected, in the order in which pages offer it.
"""

from provider.vault.providers.aws import AWS
from provider.vault.providers.cloud import CloudProvider

PROVIDERS = {it.name: it for it in (AWS,)}

__all__ = ["PROVIDERS", "CloudProvider"]
