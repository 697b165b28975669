"""Names of groups, and what of them stands in a token."""

from __future__ import annotations

import pytest

from provider.protocol.groups import (
    MAX_CLAIM_BYTES,
    MAX_NAME_BYTES,
    NOBODY,
    InvalidGroupName,
    Membership,
    canonical_group_name,
    claim_bytes,
    groups_digest,
    written_group_name,
)
from provider.tokens.signed_tokens import MAX_TOKEN_CHARACTERS

MEMBER = Membership(3, is_admin=False, ids=frozenset({"a", "b"}), names=("eins", "zwei"))


@pytest.mark.parametrize(
    "text, written, canonical",
    [
        ("developers", "developers", "developers"),
        ("Developers", "Developers", "developers"),
        (" team:backend ", "team:backend", "team:backend"),
        ("org/team-1_x.y", "org/team-1_x.y", "org/team-1_x.y"),
        ("devs@example.org", "devs@example.org", "devs@example.org"),
        ("개발팀", "개발팀", "개발팀"),
        ("ｄｅｖ", "dev", "dev"),
        ("1", "1", "1"),
        ("x" * 64, "x" * 64, "x" * 64),
        ("가" * 21, "가" * 21, "가" * 21),
        ("systems", "systems", "systems"),
    ],
)
def test_a_name_and_the_form_in_which_it_is_compared(text: str, written: str, canonical: str) -> None:
    assert (written_group_name(text), canonical_group_name(text)) == (written, canonical)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "a b", "a,b", 'a"b', "a'b", "a\nb", "a\x00b", "a\u200bb", "a\u202eb", "a(b", "a=b", "a*b", "<b>"),
        *("-a", ".a", ":a", "/a", "@a", "x" * 65, "가" * 22, "system:masters", "System:masters", "SYSTEM:x", "\ud800"),
        *("a\u0300" + "\u0300" * 7, "\u0300a", "x" * 65_536),
    ],
)
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(InvalidGroupName):
        canonical_group_name(text)


def test_what_is_reserved_for_nobody_is_open_to_all() -> None:
    assert MEMBER.is_in_one_of(())
    assert NOBODY.is_in_one_of(())
    assert MEMBER.is_in_one_of(("x", "b"))
    assert not MEMBER.is_in_one_of(("x",))
    assert not NOBODY.is_in_one_of(("a",))


def test_the_most_names_that_somebody_can_have_fit_into_a_token() -> None:
    longest = ["x" * MAX_NAME_BYTES] * 50
    assert claim_bytes(longest) <= MAX_CLAIM_BYTES
    assert claim_bytes(["x" * 14] * 200) <= MAX_CLAIM_BYTES
    in_base64 = MAX_CLAIM_BYTES * 4 // 3
    assert in_base64 + 2500 < MAX_TOKEN_CHARACTERS


@pytest.mark.parametrize("claim", [[], ["a"], ["a", "b"], ["b", "a"], "a", 1, {"a": 1}, [["a"]], ["개"], ["\ud800"]])
def test_another_claim_has_another_digest(claim: object) -> None:
    digests = {groups_digest(other) for other in ([], ["a"], ["a", "b"], ["b", "a"], "a", None, claim)}
    assert groups_digest(claim) in digests
    assert len({groups_digest(["a", "b"]), groups_digest(["b", "a"]), groups_digest([]), groups_digest(None)}) == 4
