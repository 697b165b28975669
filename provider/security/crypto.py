"""What the layers above need of cryptography: secrets, and the keyring that hashes and seals.

A file for each thing: ``secret_forms.py``, ``keyring.py``, ``envelope.py``, ``master_keys.py``.
"""

from provider.security.envelope import DecryptionFailed
from provider.security.keyring import Keyring
from provider.security.secret_forms import (
    SECRET_PATTERN,
    SecretKind,
    constant_time_equal,
    is_secret,
    new_name,
    new_secret,
)

__all__ = [
    "SECRET_PATTERN",
    "DecryptionFailed",
    "Keyring",
    "SecretKind",
    "constant_time_equal",
    "is_secret",
    "new_name",
    "new_secret",
]
