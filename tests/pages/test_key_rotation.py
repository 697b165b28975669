"""A new secret for a key on its page: both secrets work for the hours that were chosen, and one form rotates once."""

from __future__ import annotations

import base64
import re

import pytest

from tests.pages.site import ORIGIN, Account, Site, Visitor
from tests.pages.test_api_keys import SECRET, make, secrets_on

FIELDS = {"name": "backup", "days": "90", "scope": ["reports:read"]}


@pytest.fixture
def owner(site: Site, ana: Account) -> Visitor:
    site.resource(scope=("reports:read",))
    visitor = Visitor(site)
    visitor.sign_in(ana)
    return visitor


@pytest.fixture
def path(owner: Visitor) -> str:
    return make(owner)


def works(site: Site, path: str, secret: str) -> bool:
    """Whether a program gets a token with it."""
    key = path.rpartition("/")[2]
    header = "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode()
    answer = Visitor(site).http.post(
        "/oauth/token",
        base_url=ORIGIN,
        data={"grant_type": "client_credentials"},
        headers={"Authorization": header},
        environ_overrides={"REMOTE_ADDR": "203.0.113.9"},
    )
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


def version(visitor: Visitor, path: str) -> str:
    visitor.get(f"{path}/rotate")
    return next(it.get("value") for it in visitor.document.all("input") if it.get("name") == "version")


def rotate(visitor: Visitor, path: str, hours: str = "24", **fields: str) -> None:
    given = {"version": version(visitor, path), "hours": hours, **fields}
    page = visitor.post(f"{path}/rotate", given)
    assert (page.status, visitor.to) == (303, path), page.text


@pytest.mark.parametrize("hours, until", [("0", 0), ("1", 3600), ("24", 86_400), ("72", 259_200)])
def test_the_old_secret_works_for_as_long_as_was_chosen(
    site: Site, owner: Visitor, path: str, hours: str, until: int
) -> None:
    (old,) = secrets_on(owner, path)
    site.later(seconds=60)
    rotate(owner, path, hours)
    page = owner.follow()
    assert "The key has a new secret." in page.text
    (new,) = SECRET.findall(page.html)
    assert new != old
    assert ("Secret before this one works until" in page.text) == bool(until)
    assert works(site, path, new)
    if until:
        site.later(seconds=until - 1)
        assert (works(site, path, old), works(site, path, new)) == (True, True)
        site.later(seconds=1)
    assert (works(site, path, old), works(site, path, new)) == (False, True)


def test_another_rotation_ends_what_was_left_of_the_one_before(site: Site, owner: Visitor, path: str) -> None:
    (first,) = secrets_on(owner, path)
    site.later(seconds=60)
    rotate(owner, path)
    (second,) = secrets_on(owner, path)
    site.later(seconds=60)
    owner.get(f"{path}/rotate")
    assert "A secret from before works until" in owner.page.text
    rotate(owner, path)
    (third,) = secrets_on(owner, path)
    assert [works(site, path, secret) for secret in (first, second, third)] == [False, True, True]


def test_a_form_sent_twice_rotates_once_and_shows_its_secret_again(site: Site, owner: Visitor, path: str) -> None:
    (old,) = secrets_on(owner, path)
    site.later(seconds=60)
    given = {"version": version(owner, path), "hours": "24"}
    for _ in range(3):
        assert owner.post(f"{path}/rotate", given).status == 303
    (new,) = secrets_on(owner, path)
    assert (works(site, path, old), works(site, path, new)) == (True, True)
    assert len([row for row in site.rows("user_audit_log")["user_audit_log"] if "api_key.rotated" in row]) == 1


def test_a_form_of_another_window_is_out_of_date(site: Site, owner: Visitor, ana: Account, path: str) -> None:
    site.later(seconds=60)
    stale = version(owner, path)
    other = Visitor(site)
    other.sign_in(ana)
    rotate(other, path)
    before = site.rows("oauth_clients")
    page = owner.post(f"{path}/rotate", {"version": stale, "hours": "0"})
    assert (page.status, "in another window" in page.text) == (400, True)
    assert secrets_on(owner, path) == [], "the new secret is for the session that made it"
    assert site.rows("oauth_clients") == before


@pytest.mark.parametrize("fields, field", [
    ({"hours": "2"}, "hours"), ({"hours": ""}, "hours"), ({"hours": "\u0661"}, "hours"), ({"hours": "x" * 9000}, "hours"),
    ({"hours": "24", "days": "1"}, "days"), ({"hours": "24", "days": "-30"}, "days"),
    ({"hours": "24", "days": "never"}, "days"),
])  # fmt: skip
def test_what_is_no_choice_changes_nothing(
    site: Site, owner: Visitor, path: str, fields: dict[str, str], field: str
) -> None:
    before = site.rows("oauth_clients")
    page = owner.post(f"{path}/rotate", {"version": version(owner, path), **fields})
    assert page.status == 400
    assert owner.document.by_id(f"{field}-mistake").text == "Choose one of these."
    assert site.rows("oauth_clients") == before


def test_a_key_that_expires_can_be_given_a_longer_life(site: Site, owner: Visitor, path: str) -> None:
    site.later(days=20)
    owner.sign_in(site_account(site))
    rotate(owner, path, days="365")
    assert "July 21, 2027" in re.sub(r"\s+", " ", owner.follow().text) or "Jul 21, 2027" in owner.page.text


def site_account(site: Site) -> Account:
    from database.transaction import Transaction

    with Transaction(site.engine) as tx:
        user = site.services.users.find_by_login(tx, "ana")
    assert user is not None
    return Account(user)


def test_somebody_else_s_key_and_a_revoked_one_are_not_there(site: Site, owner: Visitor, path: str) -> None:
    stranger = Visitor(site)
    stranger.sign_in(site.account("mallory"))
    given = {"version": version(owner, path), "hours": "0"}
    before = site.rows("oauth_clients")
    for visit in (lambda: stranger.get(f"{path}/rotate"), lambda: stranger.post(f"{path}/rotate", given)):
        assert visit().status == 404
    assert site.rows("oauth_clients") == before
    owner.post(f"{path}/revoke")
    assert owner.get(f"{path}/rotate").status == 404
    assert owner.post(f"{path}/rotate", given).status == 404


def test_a_new_secret_needs_a_recent_proof(site: Site, owner: Visitor, path: str) -> None:
    site.later(seconds=site.settings.recent_login_seconds + 1)
    assert owner.get(f"{path}/rotate").status == 303
    assert owner.to.startswith("/login/again")


def test_a_key_says_when_and_from_where_it_was_used(site: Site, owner: Visitor, path: str) -> None:
    assert "never used" in owner.get(path).text
    (secret,) = secrets_on(owner, path)
    assert works(site, path, secret)
    for where in (path, "/account/api-keys"):
        assert "203.0.113.9" in owner.get(where).text, where
