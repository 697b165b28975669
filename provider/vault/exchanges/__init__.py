"""How each cloud gives short-lived credentials for a token of ours, one file each. ``EXCHANGES`` has them by provider."""

from provider.vault.exchanges.alibaba import AlibabaExchange
from provider.vault.exchanges.aws import AwsExchange
from provider.vault.exchanges.azure import AzureExchange
from provider.vault.exchanges.exchange import CloudExchange
from provider.vault.exchanges.gcp import GcpExchange
from provider.vault.exchanges.oauth import OtherExchange
from provider.vault.exchanges.oracle import OracleExchange

EXCHANGES = dict[str, CloudExchange](
    aws=AwsExchange(),
    azure=AzureExchange(),
    gcp=GcpExchange(),
    alibaba=AlibabaExchange(),
    oracle=OracleExchange(),
    other=OtherExchange(),
)

__all__ = ["EXCHANGES", "CloudExchange"]
