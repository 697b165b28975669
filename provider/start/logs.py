"""Log lines: as text or JSON, on standard error, with the secrets taken out."""

from __future__ import annotations

import datetime
import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping
from typing import Any, ClassVar

from provider.protocol.text import visible
from provider.security.crypto import SECRET_PATTERN

LOGGERS = "mcp_core"
AUDIT = f"{LOGGERS}.audit"
_JWT = re.compile(r"\beyJ[\w-]{4,}\.[\w-]{4,}\.[\w-]*(?:\.[\w-]*){0,2}")
_CREDENTIALS = re.compile(r"(?i)\b(Basic|Bearer|DPoP)\s+[\w.~+/=-]{8,}")
_NAMED = re.compile(
    r"(?i)(\b(?:password|client_secret|code_verifier|(?:refresh|access|id|csrf)_token|id_token_hint|assertion|"
    r"client_assertion)[\"']?\s*[=:]\s*|[?&](?:code|state|nonce)=)([\"']?)[^\s&,;\"']+"
)
_URL_PASSWORD = re.compile(r"(?<=://)([^/\s:@]*):[^/\s@]+@")


def redact(text: str) -> str:
    """``text`` without secrets of ours, tokens, credentials, values of parameters that hold them, or passwords in URLs."""
    text = SECRET_PATTERN.sub(lambda match: match[0][: match[0].index("_", 4) + 1] + "…", text)
    text = _JWT.sub("[JWT]", text)
    text = _CREDENTIALS.sub(r"\1 […]", text)
    text = _URL_PASSWORD.sub(r"\1:***@", text)
    return _NAMED.sub(r"\1\2[…]", text)


class _OneLine(logging.Formatter):
    """What both forms share: one event is one line, whatever its text holds."""

    def describe(self, record: logging.LogRecord) -> tuple[str, str]:
        """The redacted message, and the redacted trace or ``""``."""
        trace = ""
        if record.exc_info and record.exc_info[1] is not None:
            trace = redact("".join(traceback.format_exception(record.exc_info[1])).rstrip())
        return redact(record.getMessage()), trace


class TextFormatter(_OneLine):
    """``2026-11-24 09:30:01Z info  mcp_core.doors: text``. A trace follows indented."""

    def format(self, record: logging.LogRecord) -> str:
        message, trace = self.describe(record)
        line = f"{_time(record):%Y-%m-%d %H:%M:%SZ} {record.levelname.lower():7} {record.name}: {visible(message, _escape)}"
        return line + "".join(f"\n    {visible(part, _escape)}" for part in trace.split("\n") if trace)


class JsonFormatter(_OneLine):
    """One JSON object for each event: ``time``, ``level``, ``logger``, ``message``, and ``request_id``, ``trace``.

    An audit event, whose message is a JSON object itself, becomes the object ``event``.
    """

    _REQUEST_ID: ClassVar[re.Pattern[str]] = re.compile(r"\[([0-9a-f]{16})\]")

    def format(self, record: logging.LogRecord) -> str:
        message, trace = self.describe(record)
        line: dict[str, Any] = {
            "time": _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        event = _json_object(message) if record.name == AUDIT else None
        if event is not None:
            line["event"] = event
        else:
            line["message"] = message
        request_id = (event or {}).get("request_id") or (self._REQUEST_ID.search(message) or [None, None])[1]
        if request_id:
            line["request_id"] = request_id
        if trace:
            line["trace"] = trace
        return visible(json.dumps(line, ensure_ascii=False), lambda character: json.dumps(character)[1:-1])


def configure_logs(level: str, form: str) -> None:
    """Sends every log line of this process to standard error. ``level`` as in ``MCP_LOG_LEVEL``, ``form`` text or json.

    Authlib's logger never goes below INFO: its debug lines hold tokens.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(LOGGERS).setLevel(level.upper())
    logging.getLogger("authlib").setLevel(max(logging.INFO, getattr(logging, level.upper())))
    logging.captureWarnings(capture=True)


def _escape(character: str) -> str:
    return ascii(character)[1:-1]


def _time(record: logging.LogRecord) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(record.created, datetime.UTC)


def _json_object(message: str) -> Mapping[str, Any] | None:
    if not message.startswith("{"):
        return None
    try:
        value = json.loads(message)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
