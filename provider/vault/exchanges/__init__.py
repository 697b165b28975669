"""How each cloud gives short-lived credentials for a token of ours, one file each. ``EXCHANGES`` has them by provider."""

from provider.vault.exchanges.aws import AwsExchange
from provider.vault.exchanges.exchange import CloudExchange

EXCHANGES = dict[str, CloudExchange](aws=AwsExchange())

__all__ = ["EXCHANGES", "CloudExchange"]
