"""Who our tokens for clouds are about, in forms that trust policies can name for good."""

from __future__ import annotations


def subject_of(user_id: str, label: str, form: str = "") -> str:
    """``user:<id>``, or in all other cases ``user:<id>:cloud:<label>``. ``form`` is the account's field ``subject``."""
    return f"user:{user_id}" if form == "user" else f"user:{user_id}:cloud:{label}"
