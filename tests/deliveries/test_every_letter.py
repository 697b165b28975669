"""Every letter there is, in both languages: its words, its button, its size, and no secret where others could see it."""

from __future__ import annotations

import datetime
import html
import re
from pathlib import Path

import jinja2
import pytest
from jinja2 import meta

from provider.deliveries.letters import LANGUAGES, Letter, Letters
from provider.deliveries.mail_addresses import Sender
from provider.deliveries.messages import MOST_BYTES, compose
from provider.program_files import templates_folder
from tests.deliveries.test_messages import Links

ORIGIN = "https://id.example"
LETTERS = Letters(origin=ORIGIN, service="MCP Core", default_language="en")
NAMES = LETTERS.names()
SECRET = "mcp_reset_" + "x" * 49
HANGUL = re.compile("[가-힣]")
# What a template is given without being told: by the renderer, or by Jinja itself.
KNOWN = {"service", "origin", "language", "time_zone", "_"}
ADDRESSES = ("link", "page", "not_me")


def wanted(name: str) -> set[str]:
    """The values that a letter and its parts ask for."""
    environment = jinja2.Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
    environment.filters |= dict.fromkeys(("day", "clock_time", "day_and_time"), str)
    folder, pending, found = templates_folder(), [f"mail/{name}.txt"], set[str]()
    while pending:
        parsed = environment.parse((folder / pending.pop()).read_text("utf-8"))
        found |= meta.find_undeclared_variables(parsed)
        pending += [it for it in meta.find_referenced_templates(parsed) if it]
    return found - KNOWN


def values(name: str) -> dict[str, str]:
    made = {key: f"«{key}»" for key in wanted(name)}
    made |= {key: f"{ORIGIN}/{key}/{SECRET}" for key in ADDRESSES if key in made}
    return made | ({"left": "2"} if "left" in made else {})


def write(name: str, language: str) -> Letter:
    return LETTERS.write(name, language, values(name))


def test_there_are_letters() -> None:
    assert "test" in NAMES
    files = {
        path.relative_to(templates_folder() / "mail").as_posix() for path in Path(templates_folder()).glob("mail/**/*")
    }
    assert {f"{name}.txt" for name in NAMES} | {"layout.html"} == {it for it in files if "/" not in it and "." in it}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_letter_says_all_that_it_is_given_in_its_language(name: str, language: str) -> None:
    letter = write(name, language)
    assert 3 <= len(letter.subject) <= 100
    for text in (letter.subject, letter.text, letter.html):
        assert bool(HANGUL.search(text)) is (language == "ko"), text
        assert "{{" not in text
        assert "{%" not in text
        assert "%(" not in text
    paragraphs = letter.text.strip().split("\n\n")
    assert all(paragraphs), "an empty line too many"
    if language == "ko":
        english = re.compile(r"[A-Za-z]{3,} [a-z]{2,} [a-z]{2,}")
        assert not english.search(re.sub(r"https?://\S+|MCP Core", "", letter.text))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_addresses_are_buttons_and_no_secret_is_in_the_subject(name: str, language: str) -> None:
    letter = write(name, language)
    assert SECRET not in letter.subject
    assert "http" not in letter.subject
    links = Links(letter.html)
    offered = [given for key, given in values(name).items() if key in ADDRESSES]
    assert set(offered) <= set(links.links)
    assert all(link.startswith(f"{ORIGIN}/") for link in links.links)
    assert links.tags <= {"html", "head", "meta", "title", "style", "body", "div", "p", "a", "br"}
    assert "src=" not in letter.html


@pytest.mark.parametrize("name", NAMES)
def test_no_korean_word_is_cut_at_the_end_of_a_line(name: str) -> None:
    """By ``keep-all``; addresses are cut anywhere. What has a class has words."""
    _service, *paragraphs = re.findall(r'<p class="[^>]*>', write(name, "ko").html)
    assert paragraphs
    assert [it for it in paragraphs if not re.search("word-break:(keep-all|break-all)", it)] == []


@pytest.mark.parametrize("language, moment", [("en", "Jul 9, 2026, 05:00 KST"), ("ko", "2026년 7월 9일 05:00 KST")])
@pytest.mark.parametrize("name", [it for it in NAMES if "over_at" in wanted(it)])
def test_when_the_second_step_goes_is_said_by_the_clock_of_its_owner(name: str, language: str, moment: str) -> None:
    said = {**values(name), "over_at": "2026-07-08T20:00:00+00:00"}
    assert moment in LETTERS.write(name, language, said, time_zone="Asia/Seoul").text


@pytest.mark.parametrize("name, words", [
    ("password_reset", ["Choose a new password"]), ("alert_new_device", ["This wasn't me"]),
    ("alert_account_closed", ["Keep the account", "This wasn't me"]), ("test", ["See where it came from"]),
    ("key_expires", ["Open the page"]),
])  # fmt: skip
def test_a_button_says_what_it_does(name: str, words: list[str]) -> None:
    shown = re.findall(r'class="button"[^>]*>([^<]*)</a>', write(name, "en").html)
    assert [html.unescape(text) for text in shown] == words


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_longest_letter_is_small(language: str) -> None:
    sender, now = Sender("MCP Core", "id@id.example"), datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)
    for name in NAMES:
        long = {key: given if key in ADDRESSES else given + "x" * 300 for key, given in values(name).items()}
        long |= {"left": "9"} if "left" in long else {}
        made = compose(LETTERS.write(name, language, long), sender, "ana@example.com", identifier="x", written=now)
        assert len(made) < MOST_BYTES / 2
