"""``mcp-core user``."""

from __future__ import annotations

import pytest

from tests.cli.conftest import PASSWORD, Terminal

FIELDS = {
    "id", "username", "email", "display_name", "locale", "is_active", "is_verified", "is_admin", "two_factor_enabled",
    "last_login_at", "created_at", "updated_at", "confirm_by",
}  # fmt: skip


def create(*options: str, username: str = "ana", email: str = "ana@example.org") -> tuple[str, ...]:
    return ("user", "create", "--username", username, "--email", email, *options, "--password-stdin")


def test_a_user_is_made_as_asked_and_recorded_under_the_operators_name(terminal: Terminal) -> None:
    made = terminal.user("ana", "--admin", "--verified")
    assert set(made) == FIELDS
    assert (made["username"], made["email"]) == ("ana", "ana@example.org")
    assert (made["is_admin"], made["is_verified"], made["is_active"]) == (True, True, True)
    plain = terminal.user("bora")
    assert (plain["is_admin"], plain["is_verified"]) == (False, False)
    first, second = terminal.audit("user.created")
    assert (first["user_id"], second["user_id"]) == (made["id"], plain["id"])
    assert first["actor"].startswith("cli:")


def test_without_json_one_line_says_what_was_made_and_no_password(terminal: Terminal) -> None:
    shown = terminal.ok(*create(), given=PASSWORD + "\n")
    assert shown.startswith("Made the user ana (")
    assert shown.count("\n") == 1
    assert PASSWORD not in shown


def test_the_password_is_the_first_line_of_standard_input_without_its_end(terminal: Terminal) -> None:
    terminal.ok(*create(), given=f"{PASSWORD}\r\nanother line\n")
    assert terminal.rows("SELECT password_hash FROM users")[0]["password_hash"].startswith("$argon2id$")
    from argon2 import PasswordHasher

    assert PasswordHasher().verify(terminal.rows("SELECT password_hash FROM users")[0]["password_hash"], PASSWORD)


@pytest.mark.parametrize(
    "given, words",
    [
        ("", "The password is too short: 15 characters are needed."),
        ("fourteen-chars\n", "The password is too short: 15 characters are needed."),
        ("correct horse battery staple\n", "The password is easy to guess. Use several unrelated words."),
        ("비밀번호비밀번호비밀번호비밀번호\n", "The password is easy to guess. Use several unrelated words."),
        ("my name is anabel and it rains\n", "The password contains the user's own name or address."),
        ("x7 violet kettle " * 20 + "\n", "The password is too long: 256 characters at most."),
    ],
)
def test_a_weak_password_is_refused_with_its_reason(terminal: Terminal, given: str, words: str) -> None:
    assert terminal.refused(*create(username="anabel"), given=given) == words
    assert terminal.json("user", "list") == []


def test_eight_characters_are_enough_where_a_second_factor_is_required(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_REQUIRE_SECOND_FACTOR", "true")
    assert "8 characters" in terminal.refused(*create(), given="x7#kQ2p\n")
    terminal.ok(*create(), given="x7#kQ2pw\n")


@pytest.mark.parametrize(
    "username, email, words",
    [
        ("a", "ana@example.org", "A user name has 2 to 64 letters"),
        ("ana@home", "ana@example.org", "A user name has 2 to 64 letters"),
        ("ana", "ana", "This is not an e-mail address."),
        ("ana", "ana@home", "This is not an e-mail address."),
    ],
)
def test_a_wrong_name_is_refused(terminal: Terminal, username: str, email: str, words: str) -> None:
    assert words in terminal.refused(*create(username=username, email=email), given=PASSWORD + "\n")


@pytest.mark.parametrize(
    "username, email, words",
    [
        ("ANA", "other@example.org", "This user name is taken, or looks like one that is."),
        ("other", "Ana@Example.org", "This e-mail address belongs to another user."),
    ],
)
def test_names_and_addresses_are_unique_whatever_their_case(
    terminal: Terminal, username: str, email: str, words: str
) -> None:
    terminal.user("ana")
    assert terminal.refused(*create(username=username, email=email), given=PASSWORD + "\n") == words
    assert len(terminal.json("user", "list")) == 1


def test_list_shows_everybody_and_an_empty_list_says_what_to_do(terminal: Terminal) -> None:
    assert terminal.json("user", "list") == []
    assert "mcp-core setup-link" in terminal.ok("user", "list")
    terminal.user("ana", "--admin")
    terminal.user("bora")
    listed = terminal.json("user", "list")
    assert [(found["username"], set(found)) for found in listed] == [("ana", FIELDS), ("bora", FIELDS)]
    heading, first, second = terminal.ok("user", "list").splitlines()
    assert " ".join(heading.split()) == "USERNAME EMAIL IS ADMIN IS ACTIVE TWO FACTOR ENABLED LAST LOGIN AT ID"
    assert first.split()[:4] == ["ana", "ana@example.org", "yes", "yes"]
    assert second.split()[:4] == ["bora", "bora@example.org", "no", "yes"]


def test_show_finds_by_name_address_or_id_and_counts_what_belongs_to_the_user(terminal: Terminal) -> None:
    made = terminal.user("ana")
    terminal.ok("api-key", "create", "--user", "ana", "--name", "nightly")
    for text in ("ana", "ANA", "ana@example.org", made["id"]):
        shown = terminal.json("user", "show", text)
        assert set(shown) == FIELDS | {
            "sessions",
            "passkeys",
            "recovery_codes",
            "groups",
            "api_keys",
            "closed",
            "closed_at",
        }
        assert (shown["id"], shown["sessions"], shown["recovery_codes"], shown["api_keys"]) == (made["id"], 0, 0, 1)
    assert terminal.refused("user", "show", "nobody") == "There is no user nobody."
    assert "password" not in terminal.ok("user", "show", "ana")


def test_disable_and_enable_say_what_is_and_change_it_once(terminal: Terminal) -> None:
    terminal.user("ana")
    assert terminal.ok("user", "enable", "ana") == "ana was enabled already.\n"
    assert terminal.ok("user", "disable", "ana") == "ana is disabled.\n"
    assert terminal.ok("user", "disable", "ana") == "ana was disabled already.\n"
    assert terminal.json("user", "show", "ana")["is_active"] is False
    assert terminal.ok("user", "enable", "ana@example.org") == "ana is enabled.\n"
    assert [len(terminal.audit(f"user.{word}")) for word in ("disabled", "enabled")] == [1, 1]


def test_disabling_says_what_has_ended_for_good(terminal: Terminal) -> None:
    terminal.user("ana")
    key = terminal.json("api-key", "create", "--user", "ana", "--name", "nightly")["key_id"]
    assert terminal.ok("user", "disable", "ana") == "ana is disabled. Ended for good: api keys 1.\n"
    assert terminal.ok("user", "enable", "ana") == "ana is enabled.\n"
    (listed,) = terminal.json("api-key", "list", "--user", "ana")
    assert (listed["key_id"], listed["state"]) == (key, "revoked")


def test_the_last_active_administrator_cannot_be_disabled(terminal: Terminal) -> None:
    terminal.user("ana", "--admin")
    terminal.user("bora", "--admin")
    terminal.ok("user", "disable", "bora")
    assert terminal.refused("user", "disable", "ana") == "ana is the last active administrator."
    assert terminal.json("user", "show", "ana")["is_active"] is True


def test_unlock_opens_what_guesses_have_closed_and_says_what(terminal: Terminal) -> None:
    made = terminal.user("ana")
    nothing = "Nothing was closed for ana. Wrong guesses are counted from zero again.\n"
    assert terminal.ok("user", "unlock", "ana") == nothing
    assert terminal.json("user", "show", "ana")["closed"] == []
    terminal.close_password(made["id"])
    terminal.close_password(made["id"], is_known_device=True)
    ways = ["password on new devices", "password on known devices"]
    assert terminal.json("user", "show", "ana")["closed"] == ways
    opened = terminal.json("user", "unlock", "ana@example.org")
    assert opened == {"id": made["id"], "username": "ana", "opened": ways}
    assert terminal.json("user", "show", "ana")["closed"] == []
    assert terminal.ok("user", "unlock", "ana") == nothing
    terminal.close_password(made["id"])
    assert terminal.ok("user", "unlock", made["id"]) == "Opened for ana: password on new devices.\n"
    records = terminal.audit("login.opened")
    assert len(records) == 3
    assert {(record["user_id"], record["actor"][:4]) for record in records} == {(made["id"], "cli:")}
    assert terminal.refused("user", "unlock", "nobody") == "There is no user nobody."


def test_a_password_that_is_demanded_anew_is_not_taken_any_more_and_a_link_is_mailed(terminal: Terminal) -> None:
    made = terminal.user("ana")
    said = terminal.ok("user", "reset-password", "ana")
    assert said == "ana needs a new password. The link to it goes to ana@example.org.\n"
    assert [row["recipient"] for row in terminal.rows("SELECT recipient FROM mail_messages")] == ["ana@example.org"]
    assert terminal.rows("SELECT password_reset_required FROM users") == [{"password_reset_required": 1}]
    shown = terminal.json("user", "reset-password", "ana@example.org", "--print-link")
    assert shown["link"].startswith("http://localhost:8000/reset/mcp_reset_")
    assert (shown["id"], shown["mailed_to"], shown["sessions"]) == (made["id"], "ana@example.org", 0)
    assert terminal.json("user", "reset-password", "ana")["link"] is None
    assert len(terminal.rows("SELECT id FROM password_reset_tokens WHERE used_at IS NULL")) == 1, "the newest one"
    recorded = terminal.audit("user.password_required")
    assert len(recorded) == 3
    assert terminal.refused("user", "reset-password", "nobody") == "There is no user nobody."


def test_resetting_a_second_factor_that_is_not_there_is_refused(terminal: Terminal) -> None:
    terminal.user("ana")
    assert terminal.refused("user", "reset-second-factor", "ana") == "ana has no second factor."


def test_resetting_takes_the_second_factor_and_its_codes_away_and_ends_sessions(terminal: Terminal) -> None:
    made = terminal.user("ana")
    engine = terminal.engine()
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET two_factor_enabled = 1, two_factor_secret = 'v1.sealed'")
        connection.exec_driver_sql(
            "INSERT INTO recovery_codes (id, user_id, code_hash, created_at) VALUES ('1', ?, 'hash', '2026-07-01')",
            (made["id"],),
        )
        connection.exec_driver_sql(
            "INSERT INTO user_sessions (id, session_token, user_id, expires_at, created_at, last_seen_at, amr, acr,"
            " authenticated_at) VALUES ('1', 'h', ?, '2999-01-01', '2026-07-01', '2999-01-01', 'pwd', 'a', '2026-07-01')",
            (made["id"],),
        )
    engine.dispose()
    assert (
        terminal.ok("user", "reset-second-factor", "ana") == "ana has no second factor any more. Sessions ended: 1.\n"
    )
    shown = terminal.json("user", "show", "ana")
    assert (shown["two_factor_enabled"], shown["recovery_codes"], shown["sessions"]) == (False, 0, 0)
    assert len(terminal.audit("second_factor.removed")) == 1


ADD_PASSKEY = (
    "INSERT INTO passkeys (id, user_id, credential_hash, credential_id, public_key, user_handle, sign_count, aaguid,"
    " backup_eligible, backed_up, name, created_at) VALUES ('1', ?, 'h', 'c', 'k', 'u', 0, 'a', 0, 0, 'Phone', '2026-07-01')"
)


def test_resetting_takes_passkeys_away_and_says_what_opens_an_account_without_a_password(terminal: Terminal) -> None:
    made = terminal.user("ana")
    engine = terminal.engine()
    with engine.begin() as connection:
        connection.exec_driver_sql(ADD_PASSKEY, (made["id"],))
        connection.exec_driver_sql("UPDATE users SET password_hash = NULL")
    engine.dispose()
    assert terminal.json("user", "show", "ana")["passkeys"] == 1
    said = terminal.ok("user", "reset-second-factor", "ana")
    assert said.startswith("ana has no second factor any more.")
    assert "mcp-core user reset-password ana" in said
    assert terminal.json("user", "show", "ana")["passkeys"] == 0
    (record,) = terminal.audit("passkey.removed")
    assert record["actor"][:4] == "cli:"


def test_resetting_a_second_factor_forgets_the_wrong_codes_and_not_the_passwords(terminal: Terminal) -> None:
    made = terminal.user("ana")
    terminal.close_password(made["id"])
    engine = terminal.engine()
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET two_factor_enabled = 1, two_factor_secret = 'v1.sealed'")
        connection.exec_driver_sql(
            "INSERT INTO consecutive_failures (user_id, way, known_device, failures) VALUES (?, 'code', 0, 99)",
            (made["id"],),
        )
    engine.dispose()
    terminal.ok("user", "reset-second-factor", "ana")
    assert terminal.json("user", "show", "ana")["closed"] == ["password on new devices"]
    rows = terminal.rows("SELECT failures FROM consecutive_failures WHERE way = 'code'")
    assert [row["failures"] for row in rows] == [0]


@pytest.mark.parametrize("command", [("user", "show"), ("client", "show"), ("resource", "remove"), ("user", "disable")])
def test_bytes_that_are_no_text_are_wrong_usage(terminal: Terminal, command: tuple[str, ...]) -> None:
    assert "not text in UTF-8" in terminal.misused(*command, "\udcff")


@pytest.mark.parametrize(
    "given", [b"\xff\xfeviolet kettle 71 harbour paints\n", b"violet kettle 71 harbour p\xe9nts\n"]
)
def test_a_password_that_is_no_text_is_refused(terminal: Terminal, given: bytes) -> None:
    arguments = ("user", "create", "--username", "ana", "--email", "ana@example.org", "--password-stdin")
    assert terminal.refused(*arguments, given=given) == "The password is not text in UTF-8."


def test_a_name_of_any_script_and_either_spelling_of_an_address_are_found(terminal: Terminal) -> None:
    fields = ("--username", "지훈", "--email", "kim@한국.kr", "--password-stdin")
    terminal.json("user", "create", *fields, given=f"{PASSWORD}\n")
    for spelling in ("지훈", "kim@한국.kr", "kim@xn--3e0b707e.kr", "Kim＠한국。kr"):
        assert terminal.json("user", "show", spelling)["email"] == "kim@한국.kr"


def test_text_that_would_command_the_screen_is_shown_harmless(terminal: Terminal) -> None:
    terminal.user("ana")
    engine = terminal.engine()
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET display_name = ?", ("a\x1b[31m\nb\u202ec 👩\u200d💻",))
    engine.dispose()
    shown = terminal.ok("user", "show", "ana")
    assert "a?[31m?b?c 👩\u200d💻" in shown
    assert terminal.json("user", "show", "ana")["display_name"] == "a\x1b[31m\nb\u202ec 👩\u200d💻", (
        "JSON has its own escapes"
    )


def test_an_address_is_verified_once_and_on_record(terminal: Terminal) -> None:
    made = terminal.user("ana")
    assert terminal.ok("user", "verify", "ana") == "The address ana@example.org of ana is verified.\n"
    assert (
        terminal.ok("user", "verify", "ana@example.org") == "The address ana@example.org of ana was verified already.\n"
    )
    assert terminal.json("user", "verify", made["id"])["is_verified"] is True
    (record,) = terminal.audit("user.verified")
    assert (record["user_id"], record["actor"][:4]) == (made["id"], "cli:")
    assert terminal.refused("user", "verify", "nobody") == "There is no user nobody."
