"""Text of people: what is drawn, what is compared, and what counts as one character, in every script."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provider.protocol.text import (
    characters,
    columns_of,
    folded,
    is_name,
    is_plain,
    one_line,
    trimmed,
    typed_code,
    visible,
    written,
)

ORDINARY = [
    "Acme Files",
    "메모 앱",
    "ㅋㅋㅋ",
    "山田太郎",
    "葛\U000e0100城",  # an ideograph in the drawing of a family's name
    "หญิง",
    "น้ำ",
    "हिन्दी",
    "தமிழ்",
    "বাংলা",
    "র\u200d্যাব",  # Bengali writes the joiner before the virama
    "ශ්\u200dරී",
    "അനില്\u200d",
    "မြွှို့",
    "שָׁלוֹם",
    "می\u200cخواهم",
    "Nguyễn",
    "İstanbul",
    "👩🏽\u200d💻",
    "❤\ufe0f\u200d🔥",
    "🏳\ufe0f\u200d🌈",
    "🙂\u200d↔\ufe0f",
    "👨🏻\u200d❤\ufe0f\u200d💋\u200d👨🏻",
    "🇰🇷",
    "1\ufe0f\u20e3",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "\U0001faeb",  # no version of Unicode has assigned it; the block is kept for emoji
]
# One or more characters that nobody sees, or that move what others see.
HIDDEN = {
    "control": "\x00 \x07 \x1b \x7f \x80 \x9b \n \r \t",
    "end of line": "\u0085 \u2028 \u2029",
    "direction": "\u061c \u200e \u200f \u202a \u202b \u202c \u202d \u202e \u2066 \u2067 \u2068 \u2069",
    "filler": "\u034f \u115f \u1160 \u17b4 \u17b5 \u2800 \u3164 \uffa0 \U0001d159",
    "zero width": "\u00ad \u200b \u2060 \u2064 \u206a \ufeff",
    "joiner": "\u200c \u200d",
    "tag": "\U000e0001 \U000e0041 \U000e007f",
    "private": "\ue000 \U000f0000 \U0010fffd",
    "no character": "\ufdd0 \ufffe \uffff \U0001ffff \u0378 \U000e0fff",
    "half of a pair": "\ud800 \udfff \udc80",
}
EACH_HIDDEN = [(kind, letter) for kind, letters in HIDDEN.items() for letter in letters.split(" ")]


@pytest.mark.parametrize("text", ORDINARY)
def test_what_people_write_is_plain_and_stays_what_it_is(text: str) -> None:
    assert is_plain(text)
    assert is_name(text, 40)
    assert visible(text) == trimmed(text) == one_line(text) == text


@pytest.mark.parametrize("kind, letter", EACH_HIDDEN, ids=ascii)
def test_what_nobody_sees_is_never_plain(kind: str, letter: str) -> None:
    for text in (f"an{letter}a", f"가{letter}나", f"{letter}ana", f"ana{letter}"):
        assert not is_plain(text)
        assert not is_name(text, 40)
        assert visible(text) == text.replace(letter, "?")


@pytest.mark.parametrize(
    "text",
    [
        "\u200dana",
        "ana\u200d",
        "e\u0301\u200da",  # a mark is no virama
        "हि\u200dन",
        "م\u200c",
        "م\u200ca",
        "🏳\u200cx",
        "x\u200d🌈",
        "+\u200d+",
        "🌈\u200c🌈",  # a non-joiner joins no emoji
        "\ufe0fana",
        "a\ufe0f\ufe0f",  # one after the other they carry what nobody sees
        "葛\U000e0100\U000e0101",
        "🏴\U000e0067\U000e0062",
        "x\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    ],
    ids=ascii,
)
def test_a_joiner_or_selector_stands_only_where_it_does_something(text: str) -> None:
    assert not is_plain(text)


@pytest.mark.parametrize("blank", list("\u00a0\u1680\u2000\u2007\u200a\u202f\u205f\u3000"), ids=ascii)
def test_blanks_of_every_kind_become_one_of_the_ordinary_kind(blank: str) -> None:
    assert not is_plain(f"a{blank}b")
    assert one_line(f"{blank}a{blank}{blank}b {blank}") == "a b"


@pytest.mark.parametrize(
    "around", ["\r\n", "\t", "\u00a0", "\u3000", "\ufeff", "\u202a", "\u202c", "\u200e", "\u200b"], ids=ascii
)
def test_what_comes_along_when_text_is_copied_is_left_out(around: str) -> None:
    assert trimmed(f"{around}a b{around}{around}") == "a b"


def test_a_name_has_something_to_be_seen_in_it() -> None:
    assert [name for name in ("", " ", "\u0301", "\ufe0f", "\u0301\u0301") if is_name(name, 40)] == []
    assert is_name("☂", 1)
    assert not is_name("abc", 2)


@pytest.mark.parametrize(
    "text, count",
    [
        ("", 0),
        ("Bo", 2),
        ("지훈", 2),
        ("李", 1),
        ("ㅋㅋㅋ", 3),
        ("e\u0301", 1),
        ("หญิง", 3),
        ("தமிழ்", 3),
        ("မြွှို့", 1),
        ("שָׁלוֹם", 4),
        ("👩🏽\u200d💻", 1),
        ("👨🏻\u200d❤\ufe0f\u200d💋\u200d👨🏻", 1),
        ("🇰🇷🇺🇸", 2),
        ("1\ufe0f\u20e3a", 2),
        ("👩\u200d" * 100, 17),  # no emoji is as long as a chain of joiners
    ],
)
def test_characters_are_counted_as_people_count_them(text: str, count: int) -> None:
    assert len(characters(text)) == count
    assert "".join(characters(text)) == text


@pytest.mark.parametrize(
    "typed, kept",
    [
        ("ＡＮＡ", "ANA"),
        ("ana＠example．com", "ana@example.com"),
        ("ｶﾞｰ", "ガー"),
        ("ﾻ", "ㅋ"),
        ("ㅋㅋㅋ", "ㅋㅋㅋ"),
        ("①", "①"),
    ],
)
def test_an_identifier_is_kept_in_one_width_and_otherwise_as_it_was_written(typed: str, kept: str) -> None:
    assert written(typed) == kept


@given(st.text(max_size=12))
def test_what_is_compared_and_kept_is_found_again(text: str) -> None:
    for form in (written, one_line, trimmed, visible):
        assert form(form(text)) == form(text)
    if is_plain(text):
        assert folded(folded(text)) == folded(text)
        assert unicodedata.is_normalized("NFKC", folded(text))


@given(st.text(max_size=12) | st.lists(st.sampled_from("".join(ORDINARY) + "".join(HIDDEN.values()))).map("".join))
@example("a\u3164\u200d\u094d")
def test_what_was_made_visible_is_plain(text: str) -> None:
    assert is_plain(visible(text))


DASHES = list("-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d\u30fc\u00ad")
BLANKS = list(" \t\n\r\u00a0\u2007\u2009\u200b\u202f\u2060\u3000\ufeff\u200e\u202c")


@pytest.mark.parametrize("between", [*DASHES, *BLANKS], ids=ascii)
def test_dashes_and_blanks_are_no_part_of_a_code(between: str) -> None:
    assert typed_code(f"{between}123{between}{between}456{between}") == "123456"


@pytest.mark.parametrize(
    "typed", ["１２３４５６", "١٢٣٤٥٦", "۱۲۳۴۵۶", "१२३४५६", "๑๒๓๔๕๖", "১২৩৪৫৬", "𝟏𝟐𝟑𝟒𝟓𝟔"]
)  # as keyboards of those scripts write them
def test_digits_of_every_script_are_digits_of_a_code(typed: str) -> None:
    assert typed_code(typed) == "123456"


@pytest.mark.parametrize("typed", ["123.456", "123_456", "12345六", "12a456", "", "½23456"])
def test_nothing_else_becomes_a_digit(typed: str) -> None:
    assert typed_code(typed) != "123456"


@pytest.mark.parametrize(
    "text, columns",
    [
        ("ana", 3),
        ("지훈", 4),
        (unicodedata.normalize("NFD", "지훈"), 4),
        ("ana\uff20", 5),
        ("José", 4),
        (unicodedata.normalize("NFD", "José"), 4),
        ("日本 a", 6),
        ("", 0),
    ],
)
def test_the_columns_of_a_terminal(text: str, columns: int) -> None:
    assert columns_of(text) == columns
