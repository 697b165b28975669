"""``mcp-core invite``, ``invitation`` and ``user create --invite``."""

from __future__ import annotations

import pytest

from provider.accounts import invitations
from tests.cli.conftest import Terminal

FIELDS = {
    "id", "email", "username", "locale", "is_admin", "invited_by", "created_at", "expires_at", "user_id", "state", "link",
}  # fmt: skip


def test_an_invitation_is_made_posted_and_its_link_printed_where_no_mail_can_be_sent(terminal: Terminal) -> None:
    made = terminal.json("invite", "bob@example.org", "--admin", "--expires-in-days", "3", "--language", "ko")
    assert set(made) == FIELDS
    assert (made["email"], made["is_admin"], made["locale"], made["state"]) == ("bob@example.org", True, "ko", "open")
    assert made["link"].startswith("http://localhost:8000/invitation/mcp_invite_")
    assert made["invited_by"].startswith("cli:")
    (letter,) = terminal.rows("SELECT * FROM mail_messages")
    assert (letter["recipient"], letter["letter"], letter["language"]) == ("bob@example.org", "invitation", "ko")
    (event,) = terminal.audit("invitation.created")
    assert event["actor"].startswith("cli:")
    assert made["link"].rpartition("/")[2] not in str(terminal.rows("SELECT * FROM user_audit_log"))


def test_for_people_it_says_whom_and_until_when_and_gives_the_link(terminal: Terminal) -> None:
    shown = terminal.ok("invite", "bob@example.org")
    assert shown.startswith("Invited bob@example.org. The invitation works once.\n")
    assert "http://localhost:8000/invitation/mcp_invite_" in shown


def test_where_mail_can_be_sent_the_link_is_the_mailboxs_alone(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_SMTP_URL", "smtps://mail.example")
    monkeypatch.setenv("MCP_MAIL_FROM", "id@mail.example")
    assert terminal.json("invite", "bob@example.org")["link"] is None


def test_a_user_may_be_invited_instead_of_being_given_a_password(terminal: Terminal) -> None:
    made = terminal.json("user", "create", "--username", "bob", "--email", "bob@example.org", "--invite")
    assert (made["username"], made["email"]) == ("bob", "bob@example.org")
    assert terminal.json("user", "list") == []
    create = ("user", "create", "--username", "bob", "--email", "bob@example.org")
    assert "either --password-stdin or --invite" in terminal.misused(*create)
    assert "either --password-stdin or --invite" in terminal.misused(*create, "--invite", "--password-stdin")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("bob",), "This is not an e-mail address."),
        (("bob@example.org\r\nBcc: eve@example.org",), "This is not an e-mail address."),
        (("ana@example.org",), "Somebody with this address has an account."),
        (("bob@example.org", "--username", "ana"), "This user name is taken, or looks like one that is."),
        (("bob@example.org", "--username", "аnа"), "This user name is taken, or looks like one that is."),
        (("bob@example.org", "--username", "a b"), "A user name has 2 to 64 letters"),
    ],
)
def test_what_cannot_be_is_refused(terminal: Terminal, arguments: tuple[str, ...], words: str) -> None:
    terminal.user("ana")
    assert words in terminal.refused("invite", *arguments)
    assert terminal.json("invitation", "list") == []


def test_the_number_of_days_is_bounded(terminal: Terminal) -> None:
    for days in ("0", "61", "x"):
        terminal.misused("invite", "bob@example.org", "--expires-in-days", days)


def test_with_sign_up_off_nobody_is_invited(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_SIGN_UP", "off")
    assert terminal.refused("invite", "bob@example.org") == "MCP_SIGN_UP is off: nobody can be invited."


def test_invitations_are_listed_and_withdrawn_by_address_or_id(terminal: Terminal) -> None:
    assert "Nobody is invited." in terminal.ok("invitation", "list")
    bob, cyrus = (terminal.json("invite", f"{name}@example.org") for name in ("bob", "cyrus"))
    assert [it["email"] for it in terminal.json("invitation", "list")] == ["cyrus@example.org", "bob@example.org"]
    assert terminal.ok("invitation", "withdraw", "Bob@Example.org") == "Withdrew the invitation of bob@example.org.\n"
    assert terminal.json("invitation", "withdraw", cyrus["id"])["state"] == "withdrawn"
    assert {it["state"] for it in terminal.json("invitation", "list")} == {"withdrawn"}
    for which in (bob["id"], "bob@example.org", "nobody@example.org", "x"):
        assert "There is no open invitation of" in terminal.refused("invitation", "withdraw", which)
    assert len(terminal.audit("invitation.withdrawn")) == 2


def test_a_long_list_is_shown_a_page_at_a_time_and_searched(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invitations, "PER_PAGE", 2)
    names = ["anna@example.org", "bob@example.org", "cy_us@example.net", "dora@example.org", "eve@example.org"]
    for name in names:
        terminal.json("invite", name, "--username", name[:3])
    pages = [terminal.json("invitation", "list", "--page", str(number)) for number in (1, 2, 3, 4)]
    assert [it["email"] for page in pages for it in page] == names[::-1]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    for word, found in (("EXAMPLE.NET", 1), ("bob", 1), ("_", 1), ("%", 0), ("example.org", 2), ("cli:", 2)):
        assert len(terminal.json("invitation", "list", "--search", word)) == found, word
    assert "No invitation is like that." in terminal.ok("invitation", "list", "--search", "zoe")
    told = terminal.ok("invitation", "list", "--search", "example.org", "--page", "2")
    assert told.endswith("\nPage 2 of 2. Another with: --page N\n")
    assert "anna@example.org" in told
    assert "bob@example.org" in told
    for wrong in ("0", "-1", "x", "1000001"):
        terminal.misused("invitation", "list", "--page", wrong)
