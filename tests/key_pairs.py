"""The provider's RSA keys in this process, made and checked once for many tests: either takes longer than most of them.

They are real, and a database never sees the same one twice unless it asks for more than ``DIFFERENT``. Servers in processes
of their own make their own.
"""

from __future__ import annotations

import functools
import itertools
import json
from typing import Any

from provider.tokens import key_pairs

DIFFERENT = 24
_turns = itertools.count()


def generate_key(algorithm: str) -> key_pairs.AsymmetricKey:
    """In place of the function of this name that signing keys are made with."""
    return _rsa_key(next(_turns) % DIFFERENT) if algorithm == "RS256" else key_pairs.generate_key(algorithm)


def import_key(algorithm: str, private: dict[str, Any]) -> key_pairs.AsymmetricKey:
    """In place of the function of this name that signing keys are read in with."""
    return _imported(algorithm, json.dumps(private))


@functools.cache
def _rsa_key(_number: int) -> key_pairs.AsymmetricKey:
    return key_pairs.generate_key("RS256")


@functools.lru_cache(maxsize=256)
def _imported(algorithm: str, private: str) -> key_pairs.AsymmetricKey:
    return key_pairs.import_key(algorithm, json.loads(private))
