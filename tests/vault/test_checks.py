"""The forms of fields, each with what has that form and what has not."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from provider.vault import checks

# What people paste, and what nobody should have to think of.
NEVER = ["\0", "가나다", "١٢٣", "１２３", "a\nb", "a b", "x" * 70_000]


def refused(check: Callable[[str], str], text: str) -> str:
    with pytest.raises(ValueError, match=r"\A[a-z_]+\Z") as wrong:
        check(text)
    return str(wrong.value)


@pytest.mark.parametrize(
    "text, value",
    [
        (" a ", "a"),
        ("a\r\n", "a"),
        ("\ufeffa", "a"),
        ("\u200ba\u200b", "a"),
        ("\u00a0a", "a"),
        ('"a"', "a"),
        ("'a'", "a"),
        ("`a`", "a"),
        ("“a”", "a"),
        ('" a "', "a"),
        ('"a', '"a'),
        ("'a\"", "'a\""),
        ('"', '"'),
        ('""', ""),
        ('""a""', '"a"'),
    ],
)
def test_what_comes_along_with_a_pasted_value_is_left_out(text: str, value: str) -> None:
    assert checks.pasted(text) == value


@pytest.mark.parametrize("text", ["abc", " abc ", '"abc"', "abc\n"])
def test_a_pattern_is_the_whole_value(text: str) -> None:
    assert checks.matching("[a-c]{3}")(text) == "abc"


@pytest.mark.parametrize("text", ["", "ab", "abcd", "abc\nabc", "ABC", "a bc", *NEVER])
def test_a_pattern_refuses_the_rest(text: str) -> None:
    assert refused(checks.matching("[a-c]{3}"), text) == "form"
    assert refused(checks.matching("[a-c]{3}", reason="choice"), text) == "choice"


@pytest.mark.parametrize(
    "text",
    [
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "0F8FAD5B-D9CB-469F-A165-70867728950E",
        "{0f8fad5b-d9cb-469f-a165-70867728950e}",
        ' "0f8fad5b-d9cb-469f-a165-70867728950e"\n',
    ],
)
def test_a_uuid_is_kept_in_small_letters(text: str) -> None:
    assert checks.uuid()(text) == "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.mark.parametrize(
    "text",
    [
        "0f8fad5bd9cb469fa16570867728950e",
        "0f8fad5b-d9cb-469f-a165-70867728950",
        "0f8fad5b-d9cb-469f-a165-70867728950g",
        "urn:uuid:0f8fad5b-d9cb-469f-a165-70867728950e",
        "０f8fad5b-d9cb-469f-a165-70867728950e",
        "ana@example.onmicrosoft.com",
        *NEVER,
    ],
)
def test_no_uuid(text: str) -> None:
    assert refused(checks.uuid(), text) == "form"


@pytest.mark.parametrize("text, value", [("rs256", "RS256"), (" RS256 ", "RS256"), ("eddsa", "EdDSA")])
def test_a_choice_is_found_in_any_case(text: str, value: str) -> None:
    assert checks.one_of("RS256", "EdDSA")(text) == value


@pytest.mark.parametrize("text", ["HS256", "none", "RS256,EdDSA", *NEVER])
def test_no_choice(text: str) -> None:
    assert refused(checks.one_of("RS256", "EdDSA"), text) == "choice"


@pytest.mark.parametrize("text, value", [("900", "900"), ("3600", "3600"), ("0901", "901"), (" 43200 ", "43200")])
def test_a_number_between_its_bounds(text: str, value: str) -> None:
    assert checks.number(900, 43_200)(text) == value


@pytest.mark.parametrize(
    "text", ["899", "43201", "-900", "9e2", "900.0", "0x384", "1_000", "９００", "9" * 5000, *NEVER]
)
def test_no_number(text: str) -> None:
    assert refused(checks.number(900, 43_200), text) == "form"


@pytest.mark.parametrize("text", ["api://AzureADTokenExchange", "a", "x" * 20, "~!{}"])
def test_a_word(text: str) -> None:
    assert checks.word(30)(f" {text}\n") == text


@pytest.mark.parametrize("text", ["x" * 31, "a\tb", "a\u00a0b", "\x7f", *NEVER])
def test_no_word(text: str) -> None:
    assert refused(checks.word(30), text) == "form"


@pytest.mark.parametrize("text, value", [("a", "a"), (" a  b\nc ", "a b c")])
def test_words_have_one_blank_between_them(text: str, value: str) -> None:
    assert checks.words(30)(text) == value


@pytest.mark.parametrize("text, reason", [("가", "form"), ("a\0", "form"), ("\x7f", "form"), ("a b " * 8, "too_long")])
def test_no_words(text: str, reason: str) -> None:
    assert refused(checks.words(30), text) == reason


@pytest.mark.parametrize("text", ['"quoted"', "a b", "비밀", "line\nline", "line\r\n\tline", "emoji 🔑"])
def test_a_secret_of_no_known_form_is_kept_as_it_is(text: str) -> None:
    assert checks.secret_text(f"  {text}\n") == text


@pytest.mark.parametrize("text", ["a\0b", "a\x1bb", "a\x7fb", "a\x08"])
def test_a_secret_has_no_control_characters(text: str) -> None:
    assert refused(checks.secret_text, text) == "form"


@pytest.mark.parametrize(
    "text, value",
    [
        ("https://api.example.com", "https://api.example.com"),
        (" https://api.example.com/ ", "https://api.example.com"),
        ("https://api.example.com/oauth/token", "https://api.example.com/oauth/token"),
        ("https://localhost:8443/sts", "https://localhost:8443/sts"),
        ("https://127.0.0.1:9000", "https://127.0.0.1:9000"),
        ("https://[::1]:9000", "https://[::1]:9000"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_address_of_a_server(text: str, value: str) -> None:
    assert checks.https_url(text) == value


@pytest.mark.parametrize(
    "text, reason",
    [
        ("http://api.example.com", "not_https"),
        ("http://localhost:8000", "not_https"),
        ("http://127.0.0.1", "not_https"),
        ("ftp://api.example.com", "not_https"),
        ("file:///etc/passwd", "not_https"),
        ("javascript:alert(1)", "not_https"),
        ("api.example.com", "not_https"),
        ("//api.example.com", "not_https"),
        ("https://", "form"),
        ("https:///path", "form"),
        ("https://ana@api.example.com", "form"),
        ("https://ana:hush@api.example.com", "form"),
        ("https://@api.example.com", "form"),
        ("https://api.example.com?x=1", "form"),
        ("https://api.example.com/?", "form"),
        ("https://api.example.com/#", "form"),
        ("https://api.example.com:0", "form"),
        ("https://api.example.com:99999", "form"),
        ("https://api.example.com:port", "form"),
        ("https://api..example.com", "form"),
        ("https://api.example.com\\@evil.example", "form"),
        ("https://api.exam\tple.com", "form"),
        ("https://api.example.com/a\\b", "form"),
        ("https://api example.com", "form"),
        ("https://예시.example", "form"),
        ("https://ｅxample.com", "form"),
        ("https://[::1", "form"),
        ("https://[fe80::1%25eth0]", "form"),
        ("https://[v1.a]", "form"),
        ("https://" + "a" * 64 + ".example", "form"),
        ("https://example.com/" + "a" * 2048, "form"),
        *((text, "form") for text in NEVER),
    ],
)
def test_no_address(text: str, reason: str) -> None:
    assert refused(checks.https_url, text) == reason


@pytest.mark.parametrize("text", ['{"a": 1}', '\ufeff{"a":1}', ' {\n"a" : 1}\n'])
def test_a_json_document_is_kept_on_one_line(text: str) -> None:
    assert checks.json_document(text) == '{"a":1}'


def test_text_of_any_script_stays_itself_in_json() -> None:
    assert checks.json_document('{"이름": "\\uac00\\u0000"}') == '{"이름":"가\\u0000"}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hush",
        "[1]",
        '"a"',
        "null",
        "{'a': 1}",
        '{"a": 1,}',
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": 1} {"b": 2}',
        '{"a": 1, "a": 2}',
        '{"a": "\\ud800"}',
        '{"a": ' + "9" * 5000 + "}",
        "[" * 5000,
        json.dumps({"a": [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}),
    ],
)
def test_no_json_document(text: str) -> None:
    assert refused(checks.json_document, text) == "not_json"
