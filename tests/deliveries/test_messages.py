"""What goes over the wire: headers that nothing breaks, both forms of a letter, what people chose as text."""

from __future__ import annotations

import datetime
import email
import email.policy
import re
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

import pytest

from provider.deliveries import letters as letters_module
from provider.deliveries.letters import Letter, Letters, NoSuchLetter
from provider.deliveries.mail_addresses import BadAddress, Sender, envelope_address
from provider.deliveries.messages import MOST_BYTES, TooLong, compose
from provider.program_files import templates_folder

ORIGIN = "https://id.example"
WRITTEN = datetime.datetime(2026, 7, 1, 12, 0, tzinfo=datetime.UTC)
ROW = "01980000-0000-7000-8000-000000000001"
LETTER = Letter("A subject", "Hello\n", "<p>Hello</p>\n")
SENDER = Sender("Example", "id@id.example")


def message(letter: Letter = LETTER, sender: Sender = SENDER, to: str = "ana@example.com") -> EmailMessage:
    made = compose(letter, sender, to, identifier=ROW, written=WRITTEN)
    assert all(len(line) <= 998 for line in made.split(b"\r\n"))
    assert b"\n" not in made.replace(b"\r\n", b"")
    parsed = email.message_from_bytes(made, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def test_the_headers_are_these() -> None:
    assert dict(message().items()) == {
        "From": "Example <id@id.example>",
        "To": "ana@example.com",
        "Subject": "A subject",
        "Date": "Wed, 01 Jul 2026 12:00:00 +0000",
        "Message-ID": f"<{ROW}@id.example>",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "MIME-Version": "1.0",
        "Content-Type": f'multipart/alternative; boundary="=_{ROW}"',
    }


def test_a_row_makes_the_same_bytes_each_time() -> None:
    first, second = (compose(LETTER, SENDER, "ana@example.com", identifier=ROW, written=WRITTEN) for _ in range(2))
    assert first == second


def test_both_forms_are_there_in_seven_bits_whatever_the_language() -> None:
    korean = Letter("제목", "안녕하세요. " * 40 + "\n", "<p>안녕하세요</p>\n")
    made = message(korean)
    assert made["Subject"] == "제목"
    assert [part.get_content_type() for part in made.iter_parts()] == ["text/plain", "text/html"]
    assert [part.get_content().replace("\r", "") for part in made.iter_parts()] == [korean.text, korean.html]
    assert compose(korean, SENDER, "ana@example.com", identifier=ROW, written=WRITTEN).isascii()


HOSTILE = [
    "x\r\nBcc: eve@example.com", "x\nBcc: eve@example.com", "x\rBcc: eve@example.com", "x\r\n\r\n<b>body</b>",
    "x\x00y", "x\u2028Bcc: y", "x\u0085Bcc: y", '"x" <eve@example.com>', "x, eve@example.com", "=?utf-8?q?x=0ABcc:?=",
    "\u202egro.live\u202c", "x" * 70_000, "",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_no_name_and_no_subject_makes_a_header(text: str) -> None:
    written = Letters(origin=ORIGIN, service=text[:64] or "x", default_language="en").write("test", None, {})
    made = message(written, Sender(written.subject[:64], "id@id.example"))
    assert "Bcc" not in made
    assert made["To"].addresses[0].addr_spec == "ana@example.com"
    assert [it.addr_spec for it in made["From"].addresses] == ["id@id.example"]
    assert len(made["Subject"]) <= 151
    assert "\n" not in made["Subject"] + made["From"]
    assert len(made.items()) == 9


@pytest.mark.parametrize("text", [
    "", "ana", "@example.com", "ana@", "ana@example.com, eve@example.com", "ana@example.com\r\nBcc: eve@example.com",
    "ana@example.com\n", "a b@example.com", "<ana@example.com>", "Ana <ana@example.com>", '"ana"@example.com',
    "ana@exam ple.com", "ana@[192.0.2.1]", "ana\u202e@example.com", "ana@example.com\x00", "a@b@c", "a;b@example.com",
    "ana@" + "x" * 300, "a" * 200 + "@example.com", "ana@ex\u00ad\u200bample\u3002\u3002com", "ana(x)@example.com",
])  # fmt: skip
def test_what_is_no_address_gets_nothing(text: str) -> None:
    with pytest.raises(BadAddress):
        envelope_address(text)
    with pytest.raises(BadAddress):
        message(to=text)


@pytest.mark.parametrize("text, address", [
    ("ana@example.com", "ana@example.com"), ("ana+x.y'z@example.com", "ana+x.y'z@example.com"),
    ("ana@한국.example", "ana@xn--3e0b707e.example"), ("지훈@한국.example", "지훈@xn--3e0b707e.example"),
    ("ana@bücher.example", "ana@xn--bcher-kva.example"),
])  # fmt: skip
def test_an_address_is_written_with_its_domain_in_ascii(text: str, address: str) -> None:
    assert envelope_address(text) == address
    made = compose(LETTER, SENDER, text, identifier=ROW, written=WRITTEN)
    assert f"\r\nTo: {address}\r\n".encode() in made


@pytest.mark.parametrize("text, name, address", [
    ("id@id.example", "MCP Core", "id@id.example"), ("Acme <id@id.example>", "Acme", "id@id.example"),
    (" 회사  로그인 <id@한국.example> ", "회사 로그인", "id@xn--3e0b707e.example"),
    ("Acme, Inc. <id@id.example>", "Acme, Inc.", "id@id.example"),
])  # fmt: skip
def test_whom_letters_come_from(text: str, name: str, address: str) -> None:
    sender = Sender.parse(text, "MCP Core")
    assert sender == Sender(name, address)
    (told,) = message(sender=sender)["From"].addresses
    assert (told.display_name, told.addr_spec) == (name, address)


@pytest.mark.parametrize(
    "text", ["", "Acme", "a@b.example\nBcc: x", "x <a@b.example> y", "지훈@id.example", '"A" <a@b.c>']
)
def test_nobody_else_is_a_sender(text: str) -> None:
    with pytest.raises(BadAddress):
        Sender.parse(text, "MCP Core")


def test_a_letter_has_a_most() -> None:
    with pytest.raises(TooLong):
        message(Letter("x", "x" * MOST_BYTES, ""))


# Letters


class Links(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def write(monkeypatch: Any, tmp_path: Any, source: str, language: str = "en", **values: str) -> Letter:
    """A letter of our own making."""
    folder = tmp_path / "mail"
    folder.mkdir(exist_ok=True)
    kept = templates_folder() / "mail" / "layout.html"
    (folder / "layout.html").write_text(kept.read_text("utf-8"), "utf-8")
    (folder / "ours.txt").write_text(source, "utf-8")
    monkeypatch.setattr(letters_module, "templates_folder", lambda: tmp_path)
    made = Letters(origin=ORIGIN, service="MCP Core", default_language="en")
    return made.write("ours", language, values, time_zone=values.pop("zone", None))


SOURCE = """Subject: Hello {{ name }}

Hello {{ name }}, this is it.

Go on:
{{ link }}

{{ name }}
"""


def test_the_first_line_is_the_subject_and_an_address_of_ours_is_a_button(monkeypatch: Any, tmp_path: Any) -> None:
    letter = write(monkeypatch, tmp_path, SOURCE, name="Ana", link=f"{ORIGIN}/verify/abc")
    assert letter.subject == "Hello Ana"
    assert letter.text == f"Hello Ana, this is it.\n\nGo on:\n{ORIGIN}/verify/abc\n\nAna\n"
    assert Links(letter.html).links == [f"{ORIGIN}/verify/abc"] * 2
    assert re.search(r'class="button"[^>]*>Go on</a>', letter.html)
    assert "Go on:" not in letter.html


@pytest.mark.parametrize("name", [
    "https://evil.example/x", "x\n\nhttps://evil.example/x\n", f"x\n\n{ORIGIN}.evil.example/\n", "<script>alert(1)</script>",
    "</p><a href='https://evil.example'>x</a>", "{{ 7*7 }}", "%(name)s", "\u202eabc",
    'x" onload="y', f"{ORIGIN}@evil.example/",
])  # fmt: skip
def test_a_name_is_text_and_never_a_button_a_line_or_markup(monkeypatch: Any, tmp_path: Any, name: str) -> None:
    letter = write(monkeypatch, tmp_path, SOURCE, name=name, link=f"{ORIGIN}/verify/abc")
    assert letter.text.count("\n") == 6, "it made a line of its own"
    links = Links(letter.html)
    assert links.links == [f"{ORIGIN}/verify/abc"] * 2
    assert links.tags <= {"html", "head", "meta", "title", "style", "body", "div", "p", "a", "br"}
    assert "49" not in letter.subject
    assert "\u202e" not in letter.text + letter.html


@pytest.mark.parametrize("value, zone, language, shown", [
    ("2026-07-01T12:00:00+00:00", None, "en", "Jul 1, 2026, 12:00 UTC"),
    ("2026-07-01T12:00:00+00:00", "Asia/Seoul", "en", "Jul 1, 2026, 21:00 KST"),
    ("2026-07-01T20:00:00+00:00", "Asia/Seoul", "ko", "2026년 7월 2일 05:00 KST"),
    ("2026-07-01T12:00:00+00:00", "Nowhere/At_All", "en", "Jul 1, 2026, 12:00 UTC"),
    ("some day", None, "en", "some day"),
])  # fmt: skip
def test_moments_are_written_in_the_readers_zone(
    monkeypatch: Any, tmp_path: Any, value: str, zone: str | None, language: str, shown: str
) -> None:
    values = {"at": value} | ({"zone": zone} if zone else {})
    made = write(monkeypatch, tmp_path, "Subject: x\n{{ at|day_and_time }}\n", language, **values)
    assert made.text == f"{shown}\n"


@pytest.mark.parametrize("name", ["", "nothing", "../mail/test", "test.txt", "layout", "Test", "a/b"])
def test_a_letter_that_is_none(name: str) -> None:
    with pytest.raises(NoSuchLetter):
        Letters(origin=ORIGIN, service="x", default_language="en").write(name, None, {})
