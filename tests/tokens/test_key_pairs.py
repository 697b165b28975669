"""Key pairs: what their names may look like."""

from __future__ import annotations

from provider.tokens.key_pairs import generate_key, key_id


def test_a_key_id_begins_with_no_hyphen() -> None:
    names = [key_id(generate_key("EdDSA")) for _ in range(500)]  # one thumbprint in 64 begins with one
    assert not [name for name in names if name.startswith("-")]
    assert {len(name) for name in names} == {22}
