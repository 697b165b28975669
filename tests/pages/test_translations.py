"""Every text that a page says exists in Korean, and the compiled catalogue is the written one."""

from __future__ import annotations

import io
import re
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).parents[2]
TRANSLATIONS = ROOT / "provider" / "translations"
KOREAN = TRANSLATIONS / "ko" / "LC_MESSAGES"
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]")


def korean() -> Catalog:
    with (KOREAN / "messages.po").open("rb") as written:
        return read_po(written, locale="ko")


def said_by_pages() -> set[str]:
    with (TRANSLATIONS / "babel.cfg").open() as mapping:
        methods, options = parse_mapping_cfg(mapping)
    found = set()
    for folder in ("provider/pages", "provider/web", "templates"):
        wanted = [(pattern, method) for pattern, method in methods if pattern.startswith(folder)]
        assert wanted, f"babel.cfg says nothing about {folder}"
        relative = [(pattern.removeprefix(f"{folder}/"), method) for pattern, method in wanted]
        renamed = {pattern.removeprefix(f"{folder}/"): options.get(pattern, {}) for pattern, _ in wanted}
        for _file, _line, message, _comments, _context in extract_from_dir(ROOT / folder, relative, renamed):
            found.add(message[0] if isinstance(message, tuple) else message)
    return found


def texts(message_string: object) -> list[str]:
    return list(message_string) if isinstance(message_string, (tuple, list)) else [str(message_string)]


def test_every_text_is_in_the_korean_catalogue_and_no_other_is() -> None:
    written = {message.id[0] if isinstance(message.id, tuple) else message.id for message in korean() if message.id}
    assert said_by_pages() - written == set(), "run: pybabel extract, then translate what is new"
    assert written - said_by_pages() == set(), "these texts are said nowhere any more"


def test_nothing_is_left_untranslated_or_uncertain() -> None:
    for message in korean():
        if message.id:
            assert not message.fuzzy, message.id
            assert all(text.strip() for text in texts(message.string)), message.id
    assert not korean().obsolete


def test_a_translation_has_the_placeholders_of_its_original() -> None:
    for message in korean():
        if not message.id:
            continue
        originals = {name for text in texts(message.id) for name in PLACEHOLDER.findall(text)}
        for text in texts(message.string):
            assert set(PLACEHOLDER.findall(text)) <= originals, message.id
            assert originals <= set(PLACEHOLDER.findall(text)), message.id


def test_the_compiled_catalogue_is_fresh() -> None:
    compiled = io.BytesIO()
    write_mo(compiled, korean())
    assert (KOREAN / "messages.mo").read_bytes() == compiled.getvalue(), "run: pybabel compile -d provider/translations"


def test_korean_never_joins_a_particle_to_a_value() -> None:
    """``을/를`` and the like depend on the last letter of the value, which nobody knows here."""
    joined = re.compile(r"%\(\w+\)s(?:을|를|은|는|이(?!\S)|가(?!\S)|와|과|으로|로(?!\S))")
    for message in korean():
        for text in texts(message.string) if message.id else []:
            assert not joined.search(text), text


def test_korean_has_no_particle_for_either_case_nor_one_after_a_bracket() -> None:
    """``(으)로`` is what a machine writes, and a line can break between a bracket and a particle."""
    either = re.compile(r"\((?:으|은|는|이|가|을|를|와|과)\)|(?:은|을|이|과)/(?:는|를|가|와)")
    after_a_bracket = re.compile(r"\)(?:을|를|은|는|이|가|와|과|의|에|으로|로)(?![가-힣])")
    assert either.search("%(host)s(으)로")
    assert after_a_bracket.search("주체(subject)를 받아들이지")
    for message in korean():
        for text in texts(message.string) if message.id else []:
            assert not either.search(text), text
            assert not after_a_bracket.search(PLACEHOLDER.sub("", text)), text


def test_quotation_marks_are_in_pairs() -> None:
    for message in korean():
        for text in (*texts(message.id), *texts(message.string)) if message.id else []:
            assert text.count("“") == text.count("”"), text
            assert text.count("‘") <= text.count("’"), text
