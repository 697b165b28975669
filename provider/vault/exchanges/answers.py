"""What clouds answer, read without trust: JSON or XML, bounded, and their words cleaned before anybody sees them."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn
from xml.parsers import expat

from provider.protocol.sizes import cut
from provider.protocol.text import one_line, visible
from provider.vault.exchanges.exchange import Answer, Condition, ExchangeRefused

FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
JSON = {"Content-Type": "application/json", "Accept": "application/json"}
MAX_SAID_BYTES = 400
MAX_READ_CHARACTERS = 4096  # of words in which a reason is looked for
MAX_XML_DEPTH = 16
MAX_VALUE_CHARACTERS = 32_768
LONGEST_SECONDS = 43_200  # no cloud gives longer
SERVER_ERROR, TOO_MANY_REQUESTS = 500, 429
# Some clouds repeat what they were given: our token, and what they have given for it.
_TOKENS = re.compile(r"eyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)*")
# They also name what they have looked at: addresses, our subject, whatever stands between quotes or brackets. A host or a
# label can be called "audience" or "expired", and says nothing of what failed.
_NAMED = re.compile(
    r"//[^\s'\"\]]+|\buser:[0-9a-f-]{36}[^\s'\"\],]*|(?<!\w)'[^']{0,300}'(?!\w)|\[[^\]]{0,300}\]", re.IGNORECASE
)
_VALUE = re.compile(rf"[\x20-\x7E]{{1,{MAX_VALUE_CHARACTERS}}}")
Rules = Sequence[tuple[str, Condition]]


def json_object(answer: Answer) -> Mapping[str, Any]:
    """The object that an answer is, empty where it is none."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def xml_texts(answer: Answer) -> Mapping[str, str]:
    """The text of each element without children, by its name without a namespace; of several the first one.

    Empty where the answer is no XML, has a document type (no entity is ever read, our own least of all), or is deep.
    """
    found: dict[str, str] = {}
    open_elements: list[tuple[str, list[str]]] = []

    def begin(name: str, _attributes: object) -> None:
        if len(open_elements) >= MAX_XML_DEPTH:
            raise ValueError("too deep")
        open_elements.append((name.rpartition(" ")[2], []))

    def end(_name: str) -> None:
        name, pieces = open_elements.pop()
        text = "".join(pieces).strip()
        if text:
            found.setdefault(name, text)

    def text(piece: str) -> None:
        if open_elements:
            open_elements[-1][1].append(piece)

    def refuse(*_declared: object) -> None:
        raise ValueError("a document type")

    parser = expat.ParserCreate("utf-8", " ")
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = begin, end, text
    try:
        parser.Parse(answer.body, True)
    except (expat.ExpatError, ValueError):
        return {}
    return found


def cleaned(said: object) -> str:
    """A cloud's own words as its account's owner may see them: one line, printable, cut, without tokens."""
    if not isinstance(said, str):
        return ""
    return cut(visible(one_line(_TOKENS.sub("[token]", said[:MAX_VALUE_CHARACTERS]))), MAX_SAID_BYTES)


def refuse(answer: Answer, rules: Rules, code: object, said: object) -> NoReturn:
    """Raises ``ExchangeRefused`` with the first of ``rules`` whose pattern is found in ``code: said``, names left out."""
    words = f"{code if isinstance(code, str) else ''}: {said if isinstance(said, str) else ''}"
    text = cleaned(words.strip(": ")) or f"status {answer.status}"
    if answer.status == TOO_MANY_REQUESTS:
        raise ExchangeRefused(Condition.LIMIT, text)
    bare = _NAMED.sub("…", words[:MAX_READ_CHARACTERS])
    for pattern, condition in rules:
        if re.search(pattern, bare, re.IGNORECASE):
            raise ExchangeRefused(condition, text)
    raise ExchangeRefused(Condition.CLOUD_UNREACHABLE if answer.status >= SERVER_ERROR else Condition.OTHER, text)


def needed(values: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    """The texts of these names. Raises ``ExchangeRefused`` where the cloud has said yes and not given them."""
    found = [values.get(name) for name in names]
    if not all(isinstance(it, str) and _VALUE.fullmatch(it) for it in found):
        raise ExchangeRefused(Condition.OTHER, f"the answer has no {' and no '.join(names)}")
    return tuple(str(it) for it in found)


def moment(text: object, now: datetime.datetime) -> datetime.datetime:
    """When credentials end, said as a time (RFC 3339). An hour from now where it is not said so that it can be read."""
    try:
        at = datetime.datetime.fromisoformat(str(text))
    except ValueError:
        return now + datetime.timedelta(hours=1)
    aware = at if at.tzinfo is not None else at.replace(tzinfo=datetime.UTC)
    return min(aware.astimezone(datetime.UTC), now + datetime.timedelta(seconds=LONGEST_SECONDS))


def seconds_from(now: datetime.datetime, value: object, usual: int) -> datetime.datetime:
    """When credentials end, said in seconds: ``usual`` where they are not said."""
    try:
        seconds = int(str(value))
    except ValueError:
        seconds = usual
    return now + datetime.timedelta(seconds=min(max(seconds, 0), LONGEST_SECONDS))
