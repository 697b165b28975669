"""Every rule about settings: what is taken, what is refused and with which words."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from provider.deliveries.mail_server import FORM, MailServer, Protection
from provider.settings import Settings, SettingsError, load_settings

HTTPS = {"MCP_ISSUER": "https://id.example/oauth"}
BOUNDS = [
    ("AUDIT_DAYS", 0, 36500),
    ("TRUSTED_PROXY_COUNT", 0, 8), ("ACCESS_TOKEN_SECONDS", 30, 900), ("ID_TOKEN_SECONDS", 30, 3600),
    ("CODE_SECONDS", 10, 60), ("AUTHORIZATION_REQUEST_SECONDS", 60, 7200), ("REFRESH_TOKEN_IDLE_SECONDS", 600, None),
    ("REFRESH_TOKEN_SECONDS", 600, None), ("REFRESH_GRACE_SECONDS", 0, 60), ("SESSION_IDLE_SECONDS", 60, None),
    ("SESSION_SECONDS", 300, None), ("RECENT_LOGIN_SECONDS", 60, None), ("SETUP_LINK_SECONDS", 60, None),
    ("SECOND_FACTOR_WAIT_DAYS", 0, 60),
    ("ARGON2_MEMORY_KIB", 19456, None), ("ARGON2_TIME_COST", 1, None), ("ARGON2_PARALLELISM", 1, 8),
    ("ARGON2_CONCURRENCY", 1, 64), ("PASSWORD_MIN_LENGTH", 8, 64), ("SIGNING_KEY_PUBLISH_SECONDS", 0, None),
    ("CLOCK_SKEW_SECONDS", 0, 60), ("REGISTRATION_UNUSED_DAYS", 1, 366), ("CLIENT_ASSERTION_SECONDS", 60, 3600),
    ("PUSHED_REQUEST_SECONDS", 10, 600), ("SECOND_FACTOR_GRACE_DAYS", 0, 90),
]  # fmt: skip


def refused(environment: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as refusal:
        load_settings(environment)
    return str(refusal.value)


def test_without_any_variable_the_defaults_are_those_of_the_documents() -> None:
    settings = load_settings({})
    assert settings.issuer == "http://localhost:8000/oauth"
    assert settings.home == Path("instance")
    assert (settings.access_token_seconds, settings.code_seconds, settings.refresh_grace_seconds) == (600, 60, 30)
    assert (settings.refresh_token_idle_seconds, settings.refresh_token_seconds) == (14 * 86400, 30 * 86400)
    assert (settings.session_idle_seconds, settings.session_seconds) == (3600, 86400)
    assert (settings.password_min_length, settings.require_second_factor, settings.rate_limits) == (15, False, True)
    assert settings.algorithms == ("RS256", "ES256", "EdDSA")
    assert (settings.behind_tls_proxy, settings.trusted_proxy_count) == (False, 0)


def test_every_number_with_a_limit_is_in_the_table_here() -> None:
    limited = {name.upper() for name, field in Settings.model_fields.items() if field.annotation is int}
    assert limited == {name for name, _, _ in BOUNDS}


@pytest.mark.parametrize("name, least, most", BOUNDS)
def test_numbers_are_taken_up_to_their_limits_and_not_beyond(name: str, least: int, most: int | None) -> None:
    field, variable = name.lower(), f"MCP_{name}"
    others = {"MCP_REFRESH_TOKEN_IDLE_SECONDS": "600"} if name == "REFRESH_TOKEN_SECONDS" else {}
    assert getattr(load_settings({**others, variable: str(least)}), field) == least
    assert refused({variable: str(least - 1)}).startswith(f"{variable}: ")
    if most is not None:
        assert getattr(load_settings({variable: str(most)}), field) == most
        assert refused({variable: str(most + 1)}).startswith(f"{variable}: ")
    for text in ("", "many", "1.5", "10s"):
        assert refused({variable: text}).startswith(f"{variable}: ")


@pytest.mark.parametrize(
    "issuer, origin, path",
    [
        ("https://id.example/oauth", "https://id.example", "/oauth"),
        ("https://id.example", "https://id.example", ""),
        ("https://id.example:8443/a/b-c_d.e~f", "https://id.example:8443", "/a/b-c_d.e~f"),
        ("http://localhost:8000/oauth", "http://localhost:8000", "/oauth"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1", ""),
        ("http://[::1]:8000/oauth", "http://[::1]:8000", "/oauth"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example", ""),
    ],
)
def test_an_issuer_is_kept_byte_for_byte(issuer: str, origin: str, path: str) -> None:
    settings = load_settings({"MCP_ISSUER": issuer})
    assert (settings.issuer, settings.origin, settings.issuer_path) == (issuer, origin, path)


@pytest.mark.parametrize(
    "issuer, words",
    [
        ("", "http(s) URL"),
        ("id.example/oauth", "http(s) URL"),
        ("ftp://id.example/oauth", "http(s) URL"),
        ("https:///oauth", "http(s) URL"),
        ("https://ana@id.example/oauth", "without user"),
        ("https://id.example/oauth?a=b", "query"),
        ("https://id.example/oauth#a", "fragment"),
        ("https://id.example/oauth?", "'?'"),
        ("https://id.example/oauth#", "'#'"),
        ("https://id.example/oauth/", "must not end in '/'"),
        ("https://id.example/", "must not end in '/'"),
        ("https://id.example/o auth", "without blanks"),
        ("https://id.example/oauth ", "without blanks"),
        ("https://bücher.example", "ASCII"),
        ("http://id.example/oauth", "must be https"),
        ("http://127.0.0.2:8000/oauth", "must be https"),
        ("http://localhost.example/oauth", "must be https"),
        ("http://0.0.0.0:8000/oauth", "must be https"),
        ("https://ID.example/oauth", "lower case"),
        ("HTTPS://ID.example/oauth", "lower case"),
        ("https://id.example:443/oauth", "no port"),
        ("http://localhost:80/oauth", "no port"),
        ("https://id.example:/oauth", "no port"),
        ("http://localhost:0/oauth", "no port"),
        ("http://localhost:65536/oauth", "a port up to 65535"),
        ("http://localhost:port/oauth", "a port up to 65535"),
        ("http://[::1/oauth", "IPv6"),
        ("https://id.example//oauth", "single slashes"),
        ("https://id.example/a//b", "single slashes"),
        ("https://id.example/../oauth", "path of letters"),
        ("https://id.example/./oauth", "path of letters"),
        ("https://id.example/%6Fauth", "path of letters"),
        ("https://id.example/<handle>", "path of letters"),
    ],
)
def test_what_is_no_issuer_is_refused_with_its_reason(issuer: str, words: str) -> None:
    shown = refused({"MCP_ISSUER": issuer})
    assert shown.startswith("MCP_ISSUER: ")
    assert words in shown


@pytest.mark.parametrize(
    "text, expected", [("true", True), ("1", True), ("yes", True), ("on", True), ("false", False), ("0", False)]
)
def test_switches(text: str, expected: bool) -> None:
    assert load_settings({"MCP_BEHIND_TLS_PROXY": text}).behind_tls_proxy is expected
    assert load_settings({"MCP_REQUIRE_SECOND_FACTOR": text}).require_second_factor is expected


@pytest.mark.parametrize("name", ["BEHIND_TLS_PROXY", "REQUIRE_SECOND_FACTOR", "RATE_LIMITS"])
def test_a_switch_is_on_or_off(name: str) -> None:
    assert refused({f"MCP_{name}": "maybe"}).startswith(f"MCP_{name}: ")


@pytest.mark.parametrize(
    "name, good, bad",
    [
        ("DEFAULT_LOCALE", ["en", "ko"], ["de", "EN", ""]),
        ("LOG_LEVEL", ["debug", "info", "warning", "error"], ["critical", "INFO", ""]),
        ("LOG_FORMAT", ["text", "json"], ["xml", ""]),
        ("SERVICE_NAME", ["Acme", "가" * 64, "👩\u200d💻 Co"], ["x" * 65, "", "a\nb", "\u202ea\u202eb"]),
    ],
)
def test_choices(name: str, good: list[str], bad: list[str]) -> None:
    for text in good:
        assert getattr(load_settings({f"MCP_{name}": text}), name.lower()) == text
    for text in bad:
        assert refused({f"MCP_{name}": text}).startswith(f"MCP_{name}: ")


@pytest.mark.parametrize("text, words", [
    ("ES256 EdDSA", "must contain RS256"), ("", "must contain RS256"), ("RS256 HS256", "unknown values: HS256"),
    ("RS256 none", "unknown values: none"), ("rs256", "must contain RS256"),
])  # fmt: skip
def test_algorithms_that_cannot_be_are_refused(text: str, words: str) -> None:
    assert words in refused({"MCP_SIGNING_ALGORITHMS": text})


# One wrong value of each setting, and what is allowed instead. The two keys: tests/test_key_files.py.
WRONG = {
    "ISSUER": ("id.example", "must be an http(s) URL without user, query or fragment"),
    "HOME": ("", "must name a folder"),
    "METADATA_DOCUMENT_HOSTS": (
        "a.example https://b.example",
        'must have hosts of the form name or name:port, with blanks between them, and "https://b.example" is none',
    ),
    "OUTBOUND_ALLOWED_HOSTS": (
        "a.example:8443,b.example",
        'must have hosts of the form name or name:port, with blanks between them, and "a.example:8443,b.example" is none',
    ),
    "OUTBOUND_CA_FILE": ("nowhere.pem", "must name a PEM file that is there"),
    "SMTP_URL": ("mail.example:587", f"must be of the form {FORM}"),
    "SMTP_PASSWORD_FILE": ("nowhere.txt", "must name a file with a password in its first line"),
    "MAIL_FROM": ("nobody", "must be an address in ASCII, or a name and an address: Example <id@example.org>"),
    "TRANSIT_URL": (
        "http://vault.example/v1/transit/keys/k",
        "must begin with https:// beyond this machine: a token and keys go there",
    ),
    "TRANSIT_TOKEN_FILE": ("token", "and MCP_TRANSIT_URL are needed together"),
    "TRANSIT_NAMESPACE": ("team a", "must be a path of letters, digits and _ . / -"),
    "SERVICE_NAME": ("x" * 65, f'must be a text of 64 characters at most, and is "{"x" * 60}…"'),
    "SIGNING_ALGORITHMS": ("ES256", "must contain RS256: OpenID Connect requires it"),
    "SIGN_UP": ("yes", 'must be one of off, invitation, open, and is "yes"'),
    "DYNAMIC_REGISTRATION": ("on", 'must be one of open, token, off, and is "on"'),
    "METADATA_DOCUMENTS": ("yes", 'must be one of open, listed, off, and is "yes"'),
    "DEFAULT_LOCALE": ("de", 'must be one of en, ko, and is "de"'),
    "LOG_LEVEL": ("INFO", 'must be one of debug, info, warning, error, and is "INFO"'),
    "LOG_FORMAT": ("xml\x1b", 'must be one of text, json, and is "xml?"'),
    **{
        name: (
            "many",
            f'must be a whole number {f"from {least} to {most}" if most else f"of at least {least}"}, and is "many"',
        )
        for name, least, most in BOUNDS
    },
    **dict.fromkeys(
        ("BEHIND_TLS_PROXY", "REQUIRE_SECOND_FACTOR", "RATE_LIMITS"), ("maybe", 'must be true or false, and is "maybe"')
    ),
}


def test_every_setting_has_a_wrong_value_in_the_table() -> None:
    untold = {"HASHING_KEY", "ENCRYPTION_KEYS"}
    assert {name.upper() for name in Settings.model_fields} - untold == set(WRONG)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_told_by_name_with_what_is_allowed(name: str) -> None:
    value, words = WRONG[name]
    assert refused({f"MCP_{name}": value}).replace(": must", " must") == f"MCP_{name} {words}"


def test_algorithms_may_be_fewer() -> None:
    assert load_settings({"MCP_SIGNING_ALGORITHMS": "RS256"}).algorithms == ("RS256",)


def test_limits_on_guesses_can_be_off_on_loopback_alone() -> None:
    assert load_settings({"MCP_RATE_LIMITS": "false"}).rate_limits is False
    assert "only for an issuer on loopback" in refused({**HTTPS, "MCP_RATE_LIMITS": "false"})


def test_anybody_may_sign_up_beyond_loopback_only_where_mail_can_be_sent() -> None:
    assert load_settings({}).sign_up == "invitation"
    assert load_settings({"MCP_SIGN_UP": "open"}).mail_way == "mailbox"
    assert "MCP_SIGN_UP=open needs a mail server (MCP_SMTP_URL)" in refused({**HTTPS, "MCP_SIGN_UP": "open"})
    mail = {"MCP_SMTP_URL": "smtps://mail.example", "MCP_MAIL_FROM": "id@id.example"}
    assert load_settings({**HTTPS, **mail, "MCP_SIGN_UP": "open"}).mail_way == "server"


def test_an_idle_limit_beyond_the_absolute_one_is_refused() -> None:
    words = refused({"MCP_REFRESH_TOKEN_IDLE_SECONDS": "7200", "MCP_REFRESH_TOKEN_SECONDS": "3600"})
    assert words == "MCP_REFRESH_TOKEN_IDLE_SECONDS must not exceed MCP_REFRESH_TOKEN_SECONDS"


def test_all_that_is_wrong_is_said_at_once() -> None:
    shown = refused({"MCP_ISSUER": "nothing", "MCP_CODE_SECONDS": "0"})
    assert [line.partition(":")[0] for line in shown.splitlines()] == ["MCP_ISSUER", "MCP_CODE_SECONDS"]


@pytest.mark.parametrize(
    "name, suggestion",
    [
        ("MCP_ISUER", "MCP_ISSUER"), ("MCP_HASH_KEY", "MCP_HASHING_KEY"), ("MCP_ENCRYPTION_KEY", "MCP_ENCRYPTION_KEYS"),
        ("mcp_isuer", "MCP_ISSUER"), ("Mcp_q", None), ("MCP_TLS_PROXY", "MCP_BEHIND_TLS_PROXY"),
        ("MCP_Q", None), ("MCP_", None),
    ],
)  # fmt: skip
def test_an_unknown_variable_is_refused_with_a_suggestion_where_one_is_near(name: str, suggestion: str | None) -> None:
    assert refused({name: "x"}) == f"{name} is not a setting." + (f" Did you mean {suggestion}?" if suggestion else "")


def test_names_are_read_in_any_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings({"mcp_code_seconds": "30"}).code_seconds == 30
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("mcp_code_seconds", "40")
    assert load_settings().code_seconds == 40
    monkeypatch.setenv("mcp_code_secounds", "50")
    with pytest.raises(SettingsError, match=r"mcp_code_secounds is not a setting\. Did you mean MCP_CODE_SECONDS\?"):
        load_settings()


def test_variables_of_others_are_none_of_our_business() -> None:
    assert load_settings({"PATH": "/bin", "MCPX": "1", "MYSQL_HOST": "x"}).issuer == "http://localhost:8000/oauth"


def test_an_override_wins_over_the_environment() -> None:
    assert load_settings({"MCP_CODE_SECONDS": "30"}, code_seconds=20).code_seconds == 20


def test_settings_cannot_be_changed_afterwards() -> None:
    settings: Any = load_settings({})
    with pytest.raises(ValidationError):
        settings.issuer = "https://other.example"


def test_keys_never_show_in_what_is_printed_of_the_settings() -> None:
    key = base64.b64encode(bytes(range(32))).decode()
    settings = load_settings({"MCP_HASHING_KEY": key, "MCP_ENCRYPTION_KEYS": f"k1:{key}"})
    assert key not in repr(settings) + str(settings) + settings.model_dump_json()


MAIL = {"MCP_SMTP_URL": "smtps://mcp@mail.example", "MCP_MAIL_FROM": "id@id.example"}


def test_a_mail_servers_password_stands_in_the_url_or_in_a_file_and_is_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("from a file\nand more\n")
    settings = load_settings({**MAIL, "MCP_SMTP_PASSWORD_FILE": str(path)})
    assert settings.mail_server == MailServer("mail.example", 465, Protection.TLS, "mcp", "from a file")
    assert "from a file" not in repr(settings)
    url = "smtps://mcp:sesame@mail.example"
    assert "sesame" not in repr(load_settings({**MAIL, "MCP_SMTP_URL": url}))
    both = refused({**MAIL, "MCP_SMTP_URL": url, "MCP_SMTP_PASSWORD_FILE": str(path)})
    assert both == "MCP_SMTP_URL must have no password where MCP_SMTP_PASSWORD_FILE has one"
    path.write_text("\n")
    assert refused({**MAIL, "MCP_SMTP_PASSWORD_FILE": str(path)}).startswith("MCP_SMTP_PASSWORD_FILE: must name a file")


def test_letters_come_from_somebody() -> None:
    assert "MCP_MAIL_FROM is needed" in refused({"MCP_SMTP_URL": "smtps://mail.example"})
    settings = load_settings({**MAIL, "MCP_SMTP_URL": "smtps://mail.example", "MCP_SERVICE_NAME": "Acme"})
    assert (settings.mail_sender.name, settings.mail_sender.address) == ("Acme", "id@id.example")


@pytest.mark.parametrize(
    "environment, way",
    [
        ({}, "mailbox"),
        (HTTPS, "nowhere"),
        ({**HTTPS, "MCP_SMTP_URL": "smtps://mail.example", "MCP_MAIL_FROM": "id@id.example"}, "server"),
        ({"MCP_SMTP_URL": "smtp+plain://localhost", "MCP_MAIL_FROM": "id@id.example"}, "server"),
    ],
)
def test_where_letters_go(environment: dict[str, str], way: str) -> None:
    assert load_settings(environment).mail_way == way


@pytest.mark.parametrize(
    "environment, is_admin, required",
    [
        ({}, True, False),
        ({}, False, False),
        (HTTPS, True, True),
        (HTTPS, False, False),
        ({"MCP_REQUIRE_SECOND_FACTOR": "true"}, False, True),
    ],
)
def test_who_needs_a_second_factor(environment: dict[str, str], is_admin: bool, required: bool) -> None:
    assert load_settings(environment).second_factor_required(is_admin=is_admin) is required


@pytest.mark.parametrize(
    "issuer, name",
    [
        ("https://id.example/oauth", "__Host-mcp_session"),
        ("https://id.example:8443", "__Host-mcp_session_8443"),
        ("https://localhost:8443/oauth", "__Host-mcp_session_8443"),
        ("http://localhost:8000/oauth", "mcp_session_8000"),
        ("http://127.0.0.1:8001", "mcp_session_8001"),
        ("http://[::1]:9000/oauth", "mcp_session_9000"),
        ("http://localhost/oauth", "mcp_session"),
    ],
)
def test_cookies_have_the_host_prefix_where_there_is_tls_and_the_port_where_there_is_one(
    issuer: str, name: str
) -> None:
    assert load_settings({"MCP_ISSUER": issuer}).cookie_name("session") == name


def test_every_setting_has_a_meaning_in_one_sentence_or_more() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert re.search(r"[.]$", field.description), name
