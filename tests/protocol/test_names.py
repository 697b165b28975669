"""Names that applications give themselves can't pass for words of ours."""

from __future__ import annotations

import pytest

from provider.protocol.names import LONGEST, shown_name


@pytest.mark.parametrize(
    "name, shown",
    [
        ("Acme Files", "Acme Files"),
        ("메모 앱", "메모 앱"),
        ("  Acme \t Files\n", "Acme Files"),
        ("Acme\u2028Files\u2029\u00a0now", "Acme Files now"),
        ("A" * LONGEST, "A" * LONGEST),
        ("A" * (LONGEST + 1), "A" * (LONGEST - 1) + "…"),
        ("가" * LONGEST, "가" * LONGEST),
        ("\u1100\u1161" * LONGEST, "가" * LONGEST),
        ("e\u0301" * LONGEST, "é" * LONGEST),
        ("ก\u0e34\u0e48" * LONGEST, "ก\u0e34\u0e48" * LONGEST),
        ("ก\u0e34\u0e48" * (LONGEST + 1), "ก\u0e34\u0e48" * (LONGEST - 1) + "…"),
        ("Z\u0489" + "\u0336" * 200 + "a", "Z\u0489" + "\u0336" * 5 + "a"),
        ("\u0301Acme", "Acme"),
        ("\u202egnp.exe", "gnp.exe"),
        ("Acme\u2066\u2069\u200bFiles", "Acme Files"),
        ("Acme” is safe. “Trust", "Acme' is safe. 'Trust"),
        ('"»「Acme」«"', "'''Acme'''"),
        ("Ana's notes", "Ana's notes"),
        ("Your password has expired. Sign in again at evil.example", "Your password has expired. Sign in agai…"),
    ],
)
def test_a_name_is_cut_as_people_count_and_cannot_close_its_quotation_marks(name: str, shown: str) -> None:
    assert shown_name(name) == shown
    assert shown_name(shown) == shown


@pytest.mark.parametrize("mark", list('"“”„‟«»「」『』＂″〝〞〟❝❞'))
def test_no_mark_that_looks_like_the_end_of_a_quotation_is_left(mark: str) -> None:
    assert mark not in shown_name(f"a{mark}b")
