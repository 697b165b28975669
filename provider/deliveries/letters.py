"""What letters say: one text for each kind, in the language of the person, and HTML made of that text.

``templates/mail/<letter>.txt`` has the subject in its first line and plain text below. A line that is nothing but an
address of this server becomes a button in HTML; what that does is said by a line before it that ends in a colon, or by the
layout. Everything that people have chosen themselves (names, devices) is put in as one line that is text and nothing else.
"""

from __future__ import annotations

import datetime
import gettext
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import jinja2
from babel.dates import format_date
from jinja2.runtime import Context
from markupsafe import Markup, escape

from provider.program_files import templates_folder, translations_folder
from provider.protocol.text import one_line, visible

LANGUAGES = ("en", "ko")
MOST_VALUE = 2000
MOST_SUBJECT = 150
_SUBJECT = "Subject:"
_NAME = re.compile(r"[a-z0-9_-]{1,64}")
_HTML = "mail/layout.html"


class NoSuchLetter(Exception):
    """There is no template of that name, or it has no subject."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter as it is read."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class _Block:
    """A piece of the text in HTML: ``lines`` of a paragraph, or a button with its ``url``, which is the value ``key``."""

    lines: tuple[str, ...]
    url: str = ""
    key: str = ""


class Letters:
    """``origin`` is where addresses of ours begin, ``service`` the name of this server."""

    def __init__(self, *, origin: str, service: str, default_language: str) -> None:
        self._folder = templates_folder()
        self._origin = origin
        self._service = service
        self._default = default_language

    def names(self) -> list[str]:
        """All kinds of letters there are."""
        return sorted(path.stem for path in (self._folder / "mail").glob("*.txt"))

    def write(
        self, name: str, language: str | None, values: Mapping[str, str], *, time_zone: str | None = None
    ) -> Letter:
        """The letter ``name`` with ``values`` in it, in ``language`` where that is one of ours.

        The filters ``day``, ``clock_time`` and ``day_and_time`` write moments that are in ``values`` in ISO form, in
        ``time_zone``. Every letter knows ``service``, ``origin`` and ``language`` too. Raises ``NoSuchLetter``.
        """
        if not _NAME.fullmatch(name) or not (self._folder / "mail" / f"{name}.txt").is_file():
            raise NoSuchLetter(name)
        language = language if language in LANGUAGES else self._default
        environment = _environment(self._folder, language)
        given = {key: _one_line(value) for key, value in values.items()}
        known = {"service": self._service, "origin": self._origin, "language": language, "time_zone": time_zone}
        whole = environment.get_template(f"mail/{name}.txt").render({**known, **given})
        first, _, body = whole.partition("\n")
        if not first.startswith(_SUBJECT):
            raise NoSuchLetter(name)
        # Nor may a name be read as an encoded word (RFC 2047), which can hold an end of a line.
        subject = visible(one_line(first.removeprefix(_SUBJECT)))[:MOST_SUBJECT].replace("=?", "= ?")
        text = re.sub(r"\n{3,}", "\n\n", body).strip() + "\n"
        html = environment.get_template(_HTML).render(
            {**known, "subject": subject, "letter": name, "blocks": self._blocks(text, given)}
        )
        return Letter(subject, text, html)

    def _blocks(self, text: str, values: Mapping[str, str]) -> list[_Block]:
        keys = {value: key for key, value in values.items()}
        blocks: list[_Block] = []
        for paragraph in text.strip().split("\n\n"):
            lines: list[str] = []
            for line in paragraph.split("\n"):
                if not self._is_ours(line):
                    lines.append(line)
                    continue
                label = lines.pop().removesuffix(":") if lines and lines[-1].endswith(":") else ""
                blocks += [_Block(tuple(lines))] if lines else []
                blocks.append(_Block((label,) if label else (), line, keys.get(line, "")))
                lines = []
            blocks += [_Block(tuple(lines))] if lines else []
        return blocks

    def _is_ours(self, line: str) -> bool:
        return line.startswith(f"{self._origin}/") and " " not in line


def _one_line(value: str) -> str:
    """A value as text that can neither begin a line of its own nor hide anything."""
    return visible(one_line(value[:MOST_VALUE].replace("\r", " ").replace("\n", " ")))


def _with_breaks(lines: tuple[str, ...]) -> Markup:
    return Markup("<br>").join(escape(line) for line in lines)


@jinja2.pass_context
def _day(context: Context, value: str) -> str:
    moment = _local(context, value)
    if moment is None:
        return value
    way = "long" if context["language"] == "ko" else "medium"
    return format_date(moment.date(), way, locale=context["language"])


@jinja2.pass_context
def _clock_time(context: Context, value: str) -> str:
    """``14:32 KST``: a letter may be read anywhere, so the zone stands in it."""
    moment = _local(context, value)
    return value if moment is None else f"{moment:%H:%M %Z}"


@jinja2.pass_context
def _day_and_time(context: Context, value: str) -> str:
    between = " " if context["language"] == "ko" else ", "
    return between.join(dict.fromkeys((_day(context, value), _clock_time(context, value))))


def _local(context: Context, value: str) -> datetime.datetime | None:
    """The moment in the reader's zone, or None where the value is none."""
    try:
        zone: datetime.tzinfo = ZoneInfo(context["time_zone"] or "UTC")
    except (ValueError, OSError, ZoneInfoNotFoundError):  # chosen on a machine that knows more of them
        zone = datetime.UTC
    try:
        return datetime.datetime.fromisoformat(value).astimezone(zone)
    except (ValueError, OverflowError):
        return None


@cache
def _environment(folder: Path, language: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=jinja2.select_autoescape(("html",)),
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    texts = gettext.translation("messages", translations_folder(), [language], fallback=True)
    environment.install_gettext_translations(texts, newstyle=True)  # type: ignore[attr-defined]
    environment.filters |= {"day": _day, "clock_time": _clock_time, "day_and_time": _day_and_time}
    environment.filters["with_breaks"] = _with_breaks
    return environment
