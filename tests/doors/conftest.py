"""The same provider as the endpoints' tests have."""

from tests.endpoints.conftest import door, key_rows, make_provider, provider, provider_everywhere

__all__ = ["door", "key_rows", "make_provider", "provider", "provider_everywhere"]
