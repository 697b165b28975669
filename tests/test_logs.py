"""Log lines: one event is one line, and no secret is in it."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import get_args

import pytest

from provider.security.crypto import SecretKind, new_secret
from provider.start.logs import JsonFormatter, TextFormatter, configure_logs, redact

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


@pytest.mark.parametrize("kind", get_args(SecretKind))
def test_every_kind_of_secret_of_ours_is_cut_to_its_prefix(kind: SecretKind) -> None:
    secret = new_secret(kind)
    assert redact(f"before {secret} after") == f"before mcp_{kind}_… after"
    assert redact(f"https://id.example/setup/{secret}?x=1") == f"https://id.example/setup/mcp_{kind}_…?x=1"


@pytest.mark.parametrize(
    "text, shown",
    [
        (f"token {JWT} end", "token [JWT] end"),
        ("Authorization: Basic YW5hOnNlY3JldA==", "Authorization: Basic […]"),
        ("authorization: bearer abcdefgh12345678", "authorization: bearer […]"),
        ("DPoP abcdefgh12345678", "DPoP […]"),
        ("mysql+pymysql://mcp_user:p%40ss@db/mcp", "mysql+pymysql://mcp_user:***@db/mcp"),
        ("password=violet&next=1", "password=[…]&next=1"),
        ("{'password': 'violet', 'name': 'ana'}", "{'password': '[…]', 'name': 'ana'}"),
        ('{"client_secret": "violet"}', '{"client_secret": "[…]"}'),
        ("code_verifier=abc refresh_token=def id_token_hint=ghi", "code_verifier=[…] refresh_token=[…] id_token_hint=[…]"),
        ("/callback?code=abc&state=def&iss=x", "/callback?code=[…]&state=[…]&iss=x"),
        ("csrf_token=abc; client_assertion: def", "csrf_token=[…]; client_assertion: […]"),
    ],
)  # fmt: skip
def test_what_may_hold_a_secret_is_taken_out(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "/oauth/token refused: invalid_grant (the code was used) [0123456789abcdef]",
        "client app_4fKxYz key_7Qd9",
        "http://localhost:8000/oauth/authorize?client_id=app_1&scope=openid",
        "status code=400",
    ],
)
def test_what_helps_stays(text: str) -> None:
    assert redact(text) == text


def record(
    message: str, *arguments: object, exc_info: bool = False, logger: str = "mcp_core.doors"
) -> logging.LogRecord:
    made = logging.LogRecord(logger, logging.INFO, __file__, 1, message, arguments, None)
    made.created = 1_800_000_000.25
    if exc_info:
        made.exc_info = sys.exc_info()
    return made


def test_text_is_one_line_that_nobody_can_forge() -> None:
    line = TextFormatter().format(record("name %s", "ana\n2027-01-15 08:00:00Z info    mcp_core.doors: forged\r"))
    assert line == (
        "2027-01-15 08:00:00Z info    mcp_core.doors: name ana\\n2027-01-15 08:00:00Z info    mcp_core.doors: forged\\r"
    )


UNPRINTABLE = [
    "\n",
    "\r",
    "\x0b",
    "\x0c",
    "\x1b[2J",
    "\x1c",
    "\x7f",
    "\x85",
    "\x9b",
    "\u2028",
    "\u2029",
    "\u202e",
    "\ud800",
    "\x00",
]


@pytest.mark.parametrize("hostile", UNPRINTABLE, ids=ascii)
def test_no_character_ends_a_line_or_moves_a_cursor(hostile: str) -> None:
    forged = f"ana{hostile}2027-01-15 08:00:00Z info    mcp_core.audit: forged 안녕"
    for formatter in (TextFormatter(), JsonFormatter()):
        line = formatter.format(record("name %s", forged))
        assert line.isprintable()
        assert "안녕" in line, "what people can read stays readable"
        trace = formatter.format(failed_with(forged))
        assert all(part.isprintable() for part in trace.split("\n"))
        assert len(trace.splitlines()) == len(trace.split("\n"))
        assert all(part.startswith("    ") for part in trace.split("\n")[1:])
    assert json.loads(JsonFormatter().format(record("name %s", forged)))["message"] == f"name {forged}"


@pytest.mark.parametrize("text", ["👩\u200d💻", "❤\ufe0f", "หญิง", "می\u200cخواهم"])
def test_what_joins_letters_and_emoji_stays_readable(text: str) -> None:
    for formatter in (TextFormatter(), JsonFormatter()):
        assert f"name {text} " in formatter.format(record("name %s in a line", text))


def test_only_the_audit_makes_events() -> None:
    forged = json.dumps({"action": "login.succeeded"})
    line = json.loads(JsonFormatter().format(record("%s", forged)))
    assert (line["message"], "event" in line) == (forged, False)


def failed_with(text: str) -> logging.LogRecord:
    try:
        raise ValueError(text)
    except ValueError:
        return record("an endpoint failed", exc_info=True)


def test_a_trace_is_indented_and_redacted() -> None:
    lines = TextFormatter().format(failed_with(f"bad {new_secret('cs')}\nforged")).splitlines()
    assert len(lines) > 3
    assert all(line.startswith("    ") for line in lines[1:])
    assert "bad mcp_cs_…" in "\n".join(lines)


def test_json_lines_have_fixed_members() -> None:
    line = json.loads(JsonFormatter().format(record("refused [0123456789abcdef]\nnext")))
    assert line == {
        "time": "2027-01-15T08:00:00.250Z",
        "level": "info",
        "logger": "mcp_core.doors",
        "message": "refused [0123456789abcdef]\nnext",
        "request_id": "0123456789abcdef",
    }
    assert "trace" in json.loads(JsonFormatter().format(failed_with("x")))


def test_an_audit_event_becomes_a_member_of_its_own() -> None:
    event = {"action": "login.failed", "request_id": "0123456789abcdef"}
    line = json.loads(JsonFormatter().format(record("%s", json.dumps(event), logger="mcp_core.audit")))
    assert (line["event"], line["request_id"]) == (event, "0123456789abcdef")
    assert "message" not in line
    for text in ("{ not JSON", "[1]"):
        assert json.loads(JsonFormatter().format(record(text, logger="mcp_core.audit")))["message"] == text


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    root, loggers = logging.getLogger(), [logging.getLogger(name) for name in ("mcp_core", "authlib")]
    handlers, levels = root.handlers[:], [logger.level for logger in (root, *loggers)]
    yield
    root.handlers[:] = handlers
    for logger, level in zip((root, *loggers), levels, strict=True):
        logger.setLevel(level)
    logging.captureWarnings(capture=False)


@pytest.mark.parametrize(
    "level, authlib",
    [
        ("debug", logging.INFO),
        ("info", logging.INFO),
        ("warning", logging.WARNING),
        ("error", logging.ERROR),
    ],
)
def test_levels_are_as_asked_and_authlib_never_logs_tokens(level: str, authlib: int, logging_as_before: None) -> None:
    configure_logs(level, "text")
    assert logging.getLogger("mcp_core.audit").getEffectiveLevel() == getattr(logging, level.upper())
    assert logging.getLogger("authlib.oauth2").getEffectiveLevel() == authlib
    assert logging.getLogger("sqlalchemy.engine").getEffectiveLevel() == logging.WARNING, "its INFO shows statements"
    assert len(logging.getLogger().handlers) == 1


def test_lines_go_to_standard_error_in_the_form_asked_for(
    logging_as_before: None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("info", "json")
    logging.getLogger("mcp_core.doors").info("hello %s", new_secret("rt"))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert json.loads(shown.err)["message"] == "hello mcp_rt_…"
