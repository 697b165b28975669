"""The style sheet: readable in both schemes, and nothing in it comes from elsewhere (WCAG 2.2: 1.4.3, 1.4.11, 2.3.3)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHEET = (ROOT / "provider" / "static" / "site.css").read_text(encoding="utf-8")
_HEX = re.compile(r"--([a-z-]+):\s*(#[0-9a-f]{6});")
LIGHT = dict(_HEX.findall(SHEET.partition("@media")[0]))
DARK = dict(_HEX.findall(SHEET.partition("@media (prefers-color-scheme: dark)")[2].partition("*, *::before")[0]))
# What is written on what, as the sheet pairs them.
TEXT = [
    *((ink, ground) for ink in ("ink", "soft", "accent") for ground in ("ground", "paper", "sunken")),
    ("ink", "tint"),
    ("accent-strong", "tint"),
    ("accent", "tint"),
    ("accent-strong", "paper"),
    ("accent-strong", "ground"),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("danger", "paper"),
    ("danger", "danger-tint"),
    ("warn", "warn-tint"),
    ("ink", "warn-tint"),
    ("soft", "warn-tint"),
]
OUTLINES = [("edge", "paper"), ("accent", "paper"), ("accent", "ground"), ("danger", "paper"), ("warn", "paper")]


def luminance(colour: str) -> float:
    def channel(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (channel(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_what_somebody_has_chosen_looks_as_the_device_s_own() -> None:
    own, chosen = (
        re.search(rf"{start} \{{\n(.*?)\}}", SHEET, re.DOTALL)
        for start in (r':root:not\(\[data-theme="light"\]\)', r':root\[data-theme="dark"\]')
    )
    assert own is not None
    assert chosen is not None
    lines = [line.strip() for line in own[1].splitlines() if line.strip()]
    assert [line.strip() for line in chosen[1].splitlines() if line.strip()] == ["color-scheme: dark;", *lines]
    assert len(lines) > 10


def test_the_measure_is_right() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_both_schemes_have_the_same_colours() -> None:
    assert set(LIGHT) == set(DARK)
    assert {name for pair in (*TEXT, *OUTLINES) for name in pair} <= set(LIGHT)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ink, ground", TEXT)
def test_text_can_be_read(scheme: dict[str, str], ink: str, ground: str) -> None:
    assert contrast(scheme[ink], scheme[ground]) >= 4.5


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("line, ground", OUTLINES)
def test_fields_and_focus_can_be_seen(scheme: dict[str, str], line: str, ground: str) -> None:
    assert contrast(scheme[line], scheme[ground]) >= 3


def test_colours_are_named_once_and_used_by_name() -> None:
    after = SHEET.partition("*, *::before")[2].partition("@media print")[0]
    assert set(re.findall(r"#[0-9a-fA-F]{3,8}\b", after)) <= {"#fff"}, "the white behind the QR code, in both schemes"
    used = set(re.findall(r"var\(--([a-z-]+)\)", SHEET))
    defined = set(re.findall(r"--([a-z-]+):", SHEET))
    assert used == defined


def test_nothing_comes_from_elsewhere_and_nothing_moves() -> None:
    assert not re.search(r"url\(|@import|@font-face", SHEET)
    assert not re.search(r"animation|transition|@keyframes", SHEET)
    assert ":focus-visible" in SHEET
    assert not re.search(r"outline:\s*(0|none)", SHEET)
    assert "forced-colors" in SHEET


def test_classes_in_templates_and_style_sheet_are_the_same() -> None:
    styled = set(re.findall(r"\.([a-z][a-z-]*)(?=[^{}]*\{)", re.sub(r"/\*.*?\*/", "", SHEET, flags=re.DOTALL)))
    written: set[str] = set()
    for template in (ROOT / "templates").rglob("*.html"):
        if template.parent.name == "mail":  # letters bring their own
            continue
        for value in re.findall(r'class="([^"]*)"', template.read_text(encoding="utf-8")):
            written |= set(re.sub(r"\{%.*?%\}", " ", value).split())
    written |= set(
        re.findall(r'className = "([a-z-]+)"', (ROOT / "provider/static/site.js").read_text(encoding="utf-8"))
    )
    written |= set(re.findall(r'class="([a-z-]+)"', (ROOT / "provider/web/rendering.py").read_text(encoding="utf-8")))
    assert written - styled == set(), "used and never styled"
    assert styled - written - {"box", "key"} == set(), "styled and never used"


@pytest.mark.parametrize(
    "template", sorted((ROOT / "templates").rglob("*.html")), ids=lambda it: f"{it.parent.name}/{it.name}"
)
def test_no_line_begins_with_a_dot_that_separates(template: Path) -> None:
    """``a&nbsp;· b``: where the line has no room, it ends with the dot."""
    assert " · " not in re.sub(r"\{#.*?#\}", "", template.read_text(encoding="utf-8"), flags=re.DOTALL)
