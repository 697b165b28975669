"""What people may say of themselves, field by field (OpenID Connect Core §5.1, §5.1.1)."""

from __future__ import annotations

import datetime

import pytest

from provider.protocol.profile import ADDRESS_FIELDS, FIELDS, InvalidFields, checked, formatted_address

TODAY = datetime.date(2026, 7, 1)
NAMES = ("given_name", "family_name", "middle_name", "nickname", "locality", "region", "postal_code", "country")
PAGES = ("profile", "website")
NEVER = [
    "a\x00b", "a\x07b", "a\x1bb", "e\u202evil", "a\u2066b", "\ue000", "\ud800", "\u3164", "\U000f0000", "x" * 65_536,
    "a\u0000",
]  # fmt: skip


def kept(name: str, text: str) -> str | None:
    return checked({name: text}, TODAY)[name]


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("text", NEVER, ids=ascii)
def test_what_is_not_drawn_and_what_is_far_too_long_is_refused_everywhere(name: str, text: str) -> None:
    with pytest.raises(InvalidFields) as refusal:
        kept(name, text)
    assert refusal.value.names == [name]


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("text", ["", " ", "\t\n", "\u200b", "\u3000"])
def test_nothing_is_nothing(name: str, text: str) -> None:
    assert kept(name, text) is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text, expected", [
    ("Ana", "Ana"), (" Ana  María ", "Ana María"), ("김지원", "김지원"), ("\u1100\u1161", "가"), ("न्यू", "न्यू"),
    ("<b>", "<b>"), ("a" * 32, "a" * 32), ("O'Brien-Smith, Jr.", "O'Brien-Smith, Jr."),
])  # fmt: skip
def test_names_are_one_line_in_any_script(name: str, text: str, expected: str) -> None:
    assert kept(name, text) == expected


@pytest.mark.parametrize("name, most", [*((name, 100) for name in NAMES if name != "postal_code"), ("postal_code", 32)])
def test_a_name_has_a_longest_length(name: str, most: int) -> None:
    assert kept(name, "가" * most) == "가" * most
    for text in ("가" * (most + 1), "two\nlines"):
        with pytest.raises(InvalidFields):
            kept(name, text)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("text, expected", [
    ("https://example.com", "https://example.com"),
    ("HTTP://Example.com:8080/A?b=c#d", "http://example.com:8080/A?b=c#d"),
    ("https://ko.example/한국", "https://ko.example/%ED%95%9C%EA%B5%AD"),
    ("https://한국.example/", "https://xn--3e0b707e.example/"),
    ("https://example.com/a%20b", "https://example.com/a%20b"),
    ("https://[2001:db8::1]/x", "https://[2001:db8::1]/x"),
    ('https://example.com/"><script>', "https://example.com/%22%3E%3Cscript%3E"),
])  # fmt: skip
def test_an_address_is_that_of_a_web_page_in_ascii(name: str, text: str, expected: str) -> None:
    assert kept(name, text) == expected


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("text", [
    "javascript:alert(1)", "JavaScript:alert(1)", " javascript://example.com/%0aalert(1)", "java\tscript:alert(1)",
    "data:text/html,x", "vbscript:x", "file:///etc/passwd", "ftp://example.com", "mailto:a@example.com", "//example.com",
    "example.com", "/profile", "https:", "https://", "https:///path", "https:example.com", "http:\\\\example.com",
    "https://user@example.com/", "https://a:b@example.com", "https://exa mple.com", "https://example.com/a b",
    "https://example.com\\@evil.example", "https://[::1", "https://example.com:port", "https://example.com:99999",
    "https://-.example.", "https://ex<ample.com", "https://%65xample.com", "https://ex\u2028ample.com",
    "https://example.com/" + "a" * 500, "https://example.com/" + "한" * 100, "https://" + "\u00ad.",
])  # fmt: skip
def test_an_address_that_is_none_of_a_web_page_is_refused(name: str, text: str) -> None:
    with pytest.raises(InvalidFields):
        kept(name, text)


@pytest.mark.parametrize("text, is_kept", [
    ("1990-03-01", True), ("2024-02-29", True), ("0000-02-29", True), ("1990", True), ("2026-07-01", True),
    ("2026", True), ("1850-01-01", True),
    ("2026-07-02", False), ("2027", False), ("1849-12-31", False), ("1849", False), ("2023-02-29", False),
    ("1990-13-01", False), ("1990-00-10", False), ("1990-01-00", False), ("0000-13-01", False), ("0000", False),
    ("01.03.1990", False), ("1990-3-1", False), ("1990-03", False), ("-1990-03-01", False), ("99990-01-01", False),
    ("\u0661\u0669\u0669\u0660-03-01", False), ("1990-03-01T00:00:00", False), ("yesterday", False),
])  # fmt: skip
def test_a_day_of_birth_is_one_that_was(text: str, is_kept: bool) -> None:
    if is_kept:
        assert kept("birthdate", text) == text
    else:
        with pytest.raises(InvalidFields):
            kept("birthdate", text)


@pytest.mark.parametrize("text, expected", [
    ("+821012345678", "+821012345678"), ("+82 10-1234-5678", "+821012345678"), ("+1 (604) 555.1234", "+16045551234"),
    ("+44 (0)20 7946 0018", "+442079460018"), ("\uff0b\uff18\uff12 10 1234 5678", "+821012345678"),
    ("010-1234-5678", None), ("821012345678", None), ("+0123456789", None), ("+82", None), ("+8210123456789012", None),
    ("+82 10 CALL ME", None), ("+82\u200b1012345678", None), ("+1;ext=5", None), ("++821012345678", None),
    ("+82" + " " * 100 + "1012345678", None), ("tel:+821012345678", None),
])  # fmt: skip
def test_a_phone_number_is_kept_as_e164_writes_it(text: str, expected: str | None) -> None:
    if expected is not None:
        assert kept("phone_number", text) == expected
    else:
        with pytest.raises(InvalidFields):
            kept("phone_number", text)


@pytest.mark.parametrize("text, is_kept", [
    ("female", True), ("male", True), ("non-binary", True), ("Female", False), ("x", False), ("1", False),
])  # fmt: skip
def test_a_gender_is_one_of_the_list(text: str, is_kept: bool) -> None:
    if is_kept:
        assert kept("gender", text) == text
    else:
        with pytest.raises(InvalidFields):
            kept("gender", text)


def test_a_street_has_up_to_four_lines() -> None:
    assert kept("street_address", "  1 Main St \r\n\r\n Flat  2 ") == "1 Main St\nFlat 2"
    assert kept("street_address", "a\nb\nc\nd") == "a\nb\nc\nd"
    for text in ("a\nb\nc\nd\ne", "x" * 101, "\n".join(["y" * 100] * 3), "a\n\x00"):
        with pytest.raises(InvalidFields):
            kept("street_address", text)


def test_all_that_is_wrong_is_told_at_once_and_unknown_fields_are_nothing() -> None:
    with pytest.raises(InvalidFields) as refusal:
        checked({"website": "x", "birthdate": "x", "given_name": "Ana", "is_admin": "1"}, TODAY)
    assert refusal.value.names == ["birthdate", "website"]
    assert set(checked({"is_admin": "1", "sub": "x"}, TODAY)) == set(FIELDS)


def test_an_address_is_read_in_lines() -> None:
    values = dict(zip(ADDRESS_FIELDS, ("세종대로 110\n2층", "서울", "서울특별시", "04524", "대한민국"), strict=True))
    assert formatted_address(values) == "세종대로 110\n2층\n04524 서울\n서울특별시\n대한민국"
    assert formatted_address(dict.fromkeys(ADDRESS_FIELDS) | {"country": "Korea"}) == "Korea"
