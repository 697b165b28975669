"""Cloud accounts on pages: connected, changed, removed by their owner alone, and no secret is ever sent back."""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit

import pytest
from flask import g
from sqlalchemy import update

from database.models import CloudAccount
from database.transaction import Transaction
from provider.audit import AuditEvent
from provider.pages import clouds_words
from provider.pages.clouds_conditions import outcome_of
from provider.protocol.messages import Origin
from provider.vault.exchanges import EXCHANGES
from provider.vault.exchanges.exchange import Condition
from provider.vault.fields import REASONS, InvalidCloudField
from provider.vault.providers import PROVIDERS
from tests.pages.conftest import SiteFactory
from tests.pages.every_cloud_page import CLOUD_GAVE, CLOUD_REFUSED, CLOUD_SECRET, answer_in_place_of_clouds
from tests.pages.site import ORIGIN, PASSWORD, SESSION, Account, Site, Visitor
from tests.vault.samples import fields_of

CLOUDS = "/account/clouds"
SECRET, KEYLESS = f"{CLOUDS}/new/aws/secret", f"{CLOUDS}/new/aws/keyless"
ROLE = "arn:aws:iam::123456789012:role/mcp-core"
AZURE = {"tenant_id": "00000000-0000-4000-8000-000000000000", "client_id": "00000000-0000-4000-8000-000000000001"}
GOOGLE = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/mcp-core/providers/mcp-core"
HANGUL = re.compile("[가-힣]")


@pytest.fixture
def owner(site: Site, ana: Account) -> Visitor:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    return visitor


def connect(visitor: Visitor, label: str = "work", **fields: str) -> str:
    """Connects AWS with a secret. Returns the path of its page."""
    page = visitor.post(SECRET, {**CLOUD_SECRET, "label": label, **fields})
    assert page.status == 303, page.text
    return visitor.to


def mistakes(visitor: Visitor) -> dict[str, str]:
    """What is wrong by field, each said at the field that it describes."""
    found = {
        it.get("id").removesuffix("-mistake"): it.text
        for it in visitor.document.all("p")
        if "mistake" in it.get("class")
    }
    for name in found:
        field = visitor.document.by_id(name)
        assert field.get("aria-invalid") == "true"
        assert f"{name}-mistake" in field.get("aria-describedby").split()
    return found


def rows(site: Site) -> list[tuple[object, ...]]:
    return site.rows("cloud_accounts")["cloud_accounts"]


# Words


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_field_and_every_reason_has_words(site: Site, language: str) -> None:
    with site.app.test_request_context("/", headers={"Accept-Language": language}):
        for cloud in PROVIDERS.values():
            for mode in ("secret", "keyless"):
                for field in cloud.kept_fields(mode):
                    words = clouds_words.of_field(cloud, field)
                    assert words.label, (cloud.name, field.name)
                    assert bool(HANGUL.search(words.hint)) == (language == "ko" and words.hint != ""), words
                    assert all(clouds_words.of_choice(value) for value in field.choices)
        sentences = [clouds_words.of_problem(InvalidCloudField("x", reason)) for reason in REASONS]
        assert len(set(sentences)) == len(REASONS), "each says something of its own"
        assert all(bool(HANGUL.search(sentence)) == (language == "ko") for sentence in sentences)


# The list


def test_an_empty_list_says_what_it_is_for_and_what_comes_first(owner: Visitor) -> None:
    owner.get(CLOUDS)
    assert "You have connected no cloud yet." in owner.page.text
    assert "/account/clouds/new" in [it.get("href") for it in owner.document.all("a")]


def test_the_list_says_how_each_is_connected_and_which_is_the_primary_one(owner: Visitor) -> None:
    connect(owner)
    owner.post(KEYLESS, {"label": "home", "role_arn": ROLE})
    owner.get(CLOUDS)
    home, work = [row.text for row in owner.document.all("tr")[1:]]
    assert "Without a secret" in home
    assert "Primary" not in home
    assert "With a secretsince Jul 1, 2026" in work, "on a line of its own"
    assert "Primary" in work
    owner.get("/account")
    assert "2 cloud accounts work is the primary one." in owner.page.text


def test_the_list_comes_in_pages_and_is_found_by_a_word(owner: Visitor) -> None:
    for number in range(21):
        connect(owner, f"work-{number}")
    assert "Page 1 of 2" in owner.get(CLOUDS).text
    owner.get(f"{CLOUDS}?q=work-20")
    assert [it.text for it in owner.document.all("a") if it.get("class") == "name"] == ["work-20"]
    owner.get(f"{CLOUDS}?q=WORK&page=2")
    assert "Page 2 of 2" in owner.page.text
    assert "No cloud account of yours is called that." in owner.get(f"{CLOUDS}?q=%3Cscript%3E").text


def test_there_is_an_end_to_how_many_there_can_be(owner: Visitor) -> None:
    for number in range(50):
        connect(owner, f"work-{number}")
    page = owner.post(SECRET, {**CLOUD_SECRET, "label": "one-more"})
    assert page.status == 400
    assert "You have 50 cloud accounts, as many as there can be." in page.text
    owner.get(CLOUDS)
    assert "as many as there can be" in owner.page.text
    assert f"{CLOUDS}/new" not in [it.get("href") for it in owner.document.all("a")]


# Connecting


def test_every_cloud_can_be_chosen_by_each_of_its_ways(owner: Visitor) -> None:
    owner.get(f"{CLOUDS}/new")
    ways = {it.get("href") for it in owner.document.all("a") if f"{CLOUDS}/new/" in it.get("href")}
    expected = {f"{CLOUDS}/new/{it.name}/secret" for it in PROVIDERS.values()}
    assert ways == expected | {f"{CLOUDS}/new/{it.name}/keyless" for it in PROVIDERS.values() if it.keyless}
    assert len(PROVIDERS) == 7
    for path in sorted(ways):
        assert owner.get(path).status == 200, path


@pytest.mark.parametrize("path", ["aws/other", "ibm/keyless", "nimbus/secret", "AWS/secret", "aws/secret%0a"])
def test_what_cannot_be_connected_is_not_there(owner: Visitor, path: str) -> None:
    assert owner.get(f"{CLOUDS}/new/{path}").status == 404
    assert owner.post(f"{CLOUDS}/new/{path}", {**CLOUD_SECRET, "label": "work"}).status == 404


def test_a_name_is_offered_that_is_free(owner: Visitor) -> None:
    assert 'value="aws"' in owner.get(SECRET).html
    connect(owner, "aws")
    owner.get(SECRET)
    assert owner.document.by_id("label").get("value") == "aws-2"


@pytest.mark.parametrize("label", ["", "Work", "-work", "a" * 64, "작업", "work space", "work\n", "<b>"])
def test_a_name_that_no_program_could_ask_for_is_refused_at_its_field(site: Site, owner: Visitor, label: str) -> None:
    page = owner.post(SECRET, {**CLOUD_SECRET, "label": label})
    if label == "work\n":
        assert page.status == 303, "what surrounds it unseen is none of it"
        return
    assert page.status == 400
    assert "Use small letters" in mistakes(owner)["label"]
    assert rows(site) == []


def test_each_mistake_is_said_at_its_field_and_the_secret_has_to_be_entered_again(site: Site, owner: Visitor) -> None:
    secret = "S" * 39 + " "
    owner.post(
        SECRET, {"label": "work", "access_key_id": "ASIA" + "A" * 16, "secret_access_key": secret, "region": "x"}
    )
    assert owner.page.status == 400
    assert set(mistakes(owner)) == {"access_key_id", "secret_access_key", "region"}
    assert owner.document.by_id("access_key_id").get("value") == "ASIA" + "A" * 16
    assert owner.document.by_id("region").get("value") == "x"
    assert owner.document.by_id("secret_access_key").get("value") == ""
    assert "Enter it again: a secret is never sent back." in owner.page.text
    assert rows(site) == []


@pytest.mark.parametrize("audience", [f"{ORIGIN}/oauth", f"{ORIGIN}/anything", "https://reports.example/api/"])
def test_a_token_for_a_cloud_is_never_one_for_us(site: Site, owner: Visitor, audience: str) -> None:
    site.resource()
    owner.post(KEYLESS, {"label": "work", "role_arn": ROLE, "audience": audience})
    assert owner.page.status == 400
    assert "This means this service itself." in mistakes(owner)["audience"]
    assert rows(site) == []


SECRETS = [
    ("aws", "secret", "secret_access_key"),
    ("azure", "secret", "client_secret"),
    ("gcp", "secret", "service_account_json"),
    ("alibaba", "secret", "access_key_secret"),
    ("oracle", "secret", "private_key"),
    ("oracle", "keyless", "client_secret"),
    ("ibm", "secret", "api_key"),
    ("other", "secret", "secret_key"),
    ("other", "secret", "config_json"),
]


def test_the_table_of_secrets_has_every_one() -> None:
    ways = [
        (cloud, mode, field)
        for cloud in PROVIDERS.values()
        for mode in ("secret", "keyless")
        for field in cloud.fields(mode)
    ]
    assert {(cloud.name, mode, field.name) for cloud, mode, field in ways if field.is_secret} == set(SECRETS)


@pytest.mark.parametrize("cloud, mode, name", SECRETS)
def test_a_secret_that_was_typed_is_never_sent_back(owner: Visitor, cloud: str, mode: str, name: str) -> None:
    marker = "tellnobody" * 3
    for label in ("work", "No Name"):  # wrong fields, and a wrong name alone
        owner.post(f"{CLOUDS}/new/{cloud}/{mode}", {"label": label, "region": "\u200b", name: marker})
        assert owner.page.status == 400 or name == "secret_key", "which has no form that would be wrong"
        assert marker not in owner.follow().html


def test_what_is_secret_is_on_no_page_and_in_no_log(
    site: Site, owner: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    path = connect(owner)
    for shown in (path, f"{path}/change", f"{path}/remove", CLOUDS, "/account", "/account/activity"):
        html = owner.get(shown).html
        assert CLOUD_SECRET["secret_access_key"] not in html, shown
        assert CLOUD_SECRET["access_key_id"] not in html, shown
        assert owner.page.headers["Cache-Control"] == "no-store"
    owner.post(f"{path}/change", {"version": "7", **CLOUD_SECRET})
    assert CLOUD_SECRET["secret_access_key"] not in owner.page.html
    assert CLOUD_SECRET["secret_access_key"] not in caplog.text
    assert CLOUD_SECRET["secret_access_key"] not in repr(site.rows())


def test_choosing_a_language_keeps_what_was_typed_but_for_secrets(site: Site, owner: Visitor) -> None:
    owner.post(SECRET, {**CLOUD_SECRET, "label": "mine", "region": "eu-central-1", "language": "ko"})
    assert owner.page.status == 200
    assert owner.document.one("html").get("lang") == "ko"
    assert owner.document.by_id("label").get("value") == "mine"
    assert owner.document.by_id("region").get("value") == "eu-central-1"
    assert CLOUD_SECRET["secret_access_key"] not in owner.page.html
    assert rows(site) == []


def test_the_same_form_sent_twice_connects_once(site: Site, owner: Visitor) -> None:
    first = connect(owner)
    assert connect(owner) == first
    assert len(rows(site)) == 1


@pytest.mark.parametrize("changed", [{"secret_access_key": "t" * 40}, {"region": "us-east-1"}])
def test_another_account_of_the_same_name_is_refused(site: Site, owner: Visitor, changed: dict[str, str]) -> None:
    connect(owner)
    owner.post(SECRET, {**CLOUD_SECRET, "label": "work", **changed})
    assert owner.page.status == 400
    assert mistakes(owner) == {"label": "You already have a cloud account of this name. Choose another."}
    assert len(rows(site)) == 1


@pytest.mark.parametrize("size, status", [(16_385, 400), (65_000, 400), (70_000, 413)])
def test_a_field_has_an_end(site: Site, owner: Visitor, size: int, status: int) -> None:
    page = owner.post(f"{CLOUDS}/new/gcp/secret", {"label": "work", "service_account_json": "x" * size})
    assert page.status == status
    assert rows(site) == []
    if status == 400:
        assert mistakes(owner)["service_account_json"] == "This is too long. Paste only what belongs here."


@pytest.mark.parametrize("value", ["\0", "\ud800", "é" * 40, "s" * 39 + "\n", "'" + "s" * 38 + "'"])
def test_what_no_secret_looks_like_is_refused_and_never_an_error_of_the_server(owner: Visitor, value: str) -> None:
    body = value.encode("utf-8", "surrogatepass").decode("latin-1")
    for text in (value if "\ud800" not in value else body, "middle\0earth"):
        assert owner.post(SECRET, {**CLOUD_SECRET, "label": "work", "secret_access_key": text}).status == 400


# Without a secret


def test_the_texts_to_paste_name_this_person_and_this_account(owner: Visitor, ana: Account) -> None:
    owner.get(f"{KEYLESS}?label=prod")
    values = [it.text for it in owner.document.all("code") if it.get("class") == "secret"]
    assert values == ["https://id.example/oauth", "sts.amazonaws.com", f"user:{ana.user.id}:cloud:prod"]
    policy = json.loads(owner.document.all("pre")[0].text)
    assert f"user:{ana.user.id}:cloud:prod" in repr(policy)
    owner.post(f"{KEYLESS}?label=prod", {"label": "prod", "role_arn": ROLE})
    owner.follow()
    assert f"user:{ana.user.id}:cloud:prod" in owner.page.text
    assert "123456789012:oidc-provider" in owner.page.text, "what is known by now is filled in"


def test_a_name_is_chosen_before_the_texts_and_stays_with_them(owner: Visitor, ana: Account) -> None:
    owner.post(KEYLESS, {"action": "name", "label": "staging"})
    assert owner.to == f"{KEYLESS}?label=staging"
    owner.follow()
    assert f"user:{ana.user.id}:cloud:staging" in owner.page.text
    owner.post(KEYLESS, {"action": "name", "label": "Not So&label=x"})
    assert owner.page.status == 400
    assert "Use small letters" in mistakes(owner)["label"]


@pytest.mark.parametrize("label", ["Not%20so", "a%0Ab", "%3Cscript%3E", "x" * 64, ""])
def test_a_name_in_the_address_that_nothing_can_be_called_is_none(owner: Visitor, label: str) -> None:
    assert "cloud:aws" in owner.get(f"{KEYLESS}?label={label}").text


def test_the_subject_that_was_chosen_is_the_one_that_is_shown(owner: Visitor, ana: Account) -> None:
    owner.post(KEYLESS, {"label": "prod", "role_arn": "wrong", "subject": "user"})
    values = [it.text for it in owner.document.all("code") if it.get("class") == "secret"]
    assert values[-1] == f"user:{ana.user.id}"


@pytest.mark.parametrize(
    "issuer, words",
    [
        ("http://localhost:8000/oauth", "it is an address of this computer alone"),
        ("https://10.0.0.7/oauth", "it is an address of a private network"),
        ("https://id.example:8443/oauth", "trust no address with a port"),
    ],
)
def test_an_issuer_that_no_cloud_can_reach_is_named_before_all_else(
    site_factory: SiteFactory, issuer: str, words: str
) -> None:
    site = site_factory(issuer=issuer)
    visitor = Visitor(site, origin=issuer.removesuffix("/oauth"))
    with Transaction(site.engine) as tx:
        token = site.services.sessions.start(tx, site.by, site.account("ana").user.id, ("pwd",))
    visitor.http.set_cookie(site.settings.cookie_name("session"), token, domain=urlsplit(issuer).hostname or "")
    for path, is_about_it in ((f"{CLOUDS}/new", True), (KEYLESS, True), (SECRET, False)):
        text = visitor.get(path).text
        assert visitor.page.status == 200
        assert (words in text) == is_about_it, path
        assert not is_about_it or text.index(words) < text.index("Amazon Web Services" if path != KEYLESS else "Issuer")


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_condition_that_can_fail_has_words_and_something_to_do(
    site: Site, owner: Visitor, language: str, ana: Account
) -> None:
    owner.post(KEYLESS, {"label": "work", "role_arn": ROLE})
    with Transaction(site.engine) as tx:
        (account,) = site.services.cloud_accounts.list(tx, ana.user.id)
    headers = {"Accept-Language": language, "Cookie": f"{SESSION}={owner.cookie(SESSION)}"}
    asked = site.app.test_request_context("/account/clouds", base_url="https://id.example", headers=headers)
    with asked, Transaction(site.engine) as tx:
        g.tx, g.origin = tx, site.by
        found = [outcome_of(account, condition, "its words") for condition in Condition]
        fine = outcome_of(account, None)
    assert fine.works
    assert len({it.sentence for it in found}) == len(Condition)
    for it in found:
        assert not it.works
        assert it.remedy
        assert it.said == "its words"
        assert bool(HANGUL.search(it.sentence)) == (language == "ko")
        assert bool(HANGUL.search(it.remedy)) == (language == "ko")


# Testing


def keyless(visitor: Visitor, label: str = "work") -> str:
    """Connects AWS without a secret. Returns the path of its page."""
    visitor.post(KEYLESS, {"label": label, "role_arn": ROLE})
    assert visitor.page.status == 303, visitor.page.text
    return visitor.to


def test_a_test_says_what_failed_and_what_to_change_then_that_it_works(site: Site, owner: Visitor) -> None:
    path = keyless(owner)
    assert "and throws them away" in owner.follow().text
    answer_in_place_of_clouds(site, CLOUD_REFUSED)
    page = owner.post(f"{path}/test")
    assert page.status == 200
    [alert] = [it for it in owner.document.all("div") if it.get("role") == "alert"]
    assert "Amazon Web Services did not let this service take the role or account." in alert.text
    assert ":cloud:work" in alert.text, "the subject that its trust policy has to name"
    assert "AccessDenied: Not you" in page.text
    answer_in_place_of_clouds(site, CLOUD_GAVE)
    page = owner.post(f"{path}/test")
    [status] = [it for it in owner.document.all("div") if it.get("role") == "status"]
    assert "It works: Amazon Web Services gave credentials" in status.text
    for secret in ("ASIA1", "secret-1", "session-1"):
        assert secret not in page.html
    assert "The last test worked" in owner.get(path).text
    answer_in_place_of_clouds(site, CLOUD_REFUSED)
    owner.post(f"{path}/test")
    assert "The last test worked" not in owner.get(path).text


def test_a_test_too_many_says_to_wait(site: Site, owner: Visitor) -> None:
    path = keyless(owner)
    answer_in_place_of_clouds(site, CLOUD_GAVE)
    for _ in range(20):
        assert "It works" in owner.post(f"{path}/test").text
    assert "Wait some minutes, then test again." in owner.post(f"{path}/test").text


def test_only_what_is_the_persons_own_and_without_a_secret_is_tested(site: Site, owner: Visitor) -> None:
    answer_in_place_of_clouds(site, CLOUD_GAVE)
    path, with_secret = keyless(owner), connect(owner, "old")
    erin, stranger = Visitor(site), Visitor(site)
    erin.sign_in(site.account("erin"))
    before = site.rows()
    assert owner.post(f"{with_secret}/test").status == 404
    assert "/test" not in owner.get(with_secret).html
    assert erin.post(f"{path}/test").status == 404
    stranger.post(f"{path}/test")
    assert stranger.to == "/login?to=clouds"
    assert site.rows() == before


def test_what_cannot_be_read_any_more_is_not_tested(
    site: Site, owner: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.post(f"{CLOUDS}/new/oracle/keyless", {"label": "ocean", **fields_of("oracle", "keyless")})
    path = owner.to
    with Transaction(site.engine) as tx:
        tx.execute(update(CloudAccount).values(secret_key_encrypted="damaged"))
    monkeypatch.setitem(EXCHANGES, "oracle", EXCHANGES["aws"])
    assert "can't be read any more" in owner.post(f"{path}/test").text
    assert [row for row in rows(site) if "damaged" in row], "as it was"
    assert len([it for it in site.rows("user_audit_log")["user_audit_log"] if AuditEvent.DECRYPTION_FAILED in it]) == 1


# Changing


def test_a_secret_that_is_left_empty_stays_and_a_new_one_is_dated(site: Site, owner: Visitor, ana: Account) -> None:
    path = connect(owner, region="eu-central-1")
    site.later(days=3)
    owner.sign_in(ana)
    owner.post(f"{path}/change", {"version": "1", "region": "us-east-1"})
    assert owner.to == path
    assert "since Jul 1, 2026" in owner.follow().text
    assert "us-east-1" in owner.page.text
    owner.post(f"{path}/change", {"version": "2", "region": "us-east-1", "secret_access_key": "t" * 40})
    assert "since Jul 4, 2026" in owner.follow().text


def test_of_two_windows_the_second_is_told_and_changes_nothing(site: Site, owner: Visitor) -> None:
    path = connect(owner)
    owner.post(f"{path}/change", {"version": "1", "region": "us-east-1"})
    before = rows(site)
    owner.post(f"{path}/change", {"version": "1", "region": "eu-central-1", "secret_access_key": "t" * 40})
    assert owner.page.status == 400
    assert "was changed in another window" in owner.page.text
    assert owner.document.by_id("region").get("value") == "us-east-1", "what is there now"
    assert rows(site) == before
    version = owner.page.form("version").fields["version"][0]
    assert owner.post(f"{path}/change", {"version": version, "region": "eu-central-1"}).status == 303


def test_the_first_is_the_primary_one_until_another_is_made_so(site: Site, owner: Visitor) -> None:
    first, second = connect(owner), connect(owner, "home")
    assert "Primary" in owner.get(first).text
    owner.post(f"{second}/primary")
    assert "This is the primary cloud account now." in owner.follow().text
    assert "Make it the primary one" not in owner.page.text
    assert "Make it the primary one" in owner.get(first).text


def test_removing_asks_first_and_is_for_good(site: Site, owner: Visitor) -> None:
    path = connect(owner)
    assert "In the cloud it goes on working until you delete it there too." in owner.get(f"{path}/remove").text
    owner.post(f"{path}/remove")
    assert "The cloud account is removed." in owner.follow().text
    assert rows(site) == []
    for method in ("GET", "POST"):
        assert (
            owner.request(
                method, f"{path}/remove", f"csrf_token={owner.token()}", {"Origin": "https://id.example"}
            ).status
            == 404
        )
    assert owner.get(path).status == 404, "by the back button"
    assert connect(owner) != path, "the name is free"


def test_a_secret_that_is_old_is_marked(site: Site, owner: Visitor, ana: Account) -> None:
    path = connect(owner)
    assert "90 days" not in owner.get(path).text
    site.later(days=90)
    owner.sign_in(ana)
    assert "This secret is 90 days old." in owner.get(path).text
    assert "90 days old" in owner.get(CLOUDS).text


# Uses and programs


def used(
    site: Site, account: Account, path: str, event: AuditEvent = AuditEvent.CLOUD_CREDENTIALS_GIVEN, **said: str
) -> None:
    """As when a program has asked for credentials of the account whose page ``path`` is."""
    by = Origin(source="192.0.2.77", user_agent="python-httpx", request_id="r", now=site.now)
    row_id = path.rpartition("/")[2]
    details = {"label": "work", "client": "Backup", "purpose": "nightly copy", **said}
    with Transaction(site.engine) as tx:
        site.services.audit.record(
            tx,
            event,
            by,
            user_id=account.user.id,
            actor="key_1",
            resource_type="cloud_accounts",
            resource_id=row_id,
            **details,
        )
        tx.execute(update(CloudAccount).where(CloudAccount.id == row_id).values(last_used_at=site.now))


def test_each_use_is_seen_with_program_and_purpose_here_and_in_activity(
    site: Site, owner: Visitor, ana: Account
) -> None:
    path, other = connect(owner), connect(owner, "home")
    assert "No program has asked for credentials of this account yet." in owner.get(path).text
    used(site, ana, path)
    used(site, ana, path, AuditEvent.CLOUD_CREDENTIALS_REFUSED, client="Guess", purpose="it”s <b>me</b>")
    for page in (path, "/account/activity?kind=clouds"):
        text = owner.get(page).text
        assert "A program got credentials of a cloud account" in text, page
        assert "by the program “Backup”, for “nightly copy”" in text, page
        assert "by the program “Guess”, for “it's <b>me</b>”" in text, page
        assert "192.0.2.77" in text
    assert "“work”" in owner.page.text, "which account it was"
    assert "Backup" not in owner.get(other).text


def test_a_use_without_the_name_of_its_program_says_its_id(site: Site, owner: Visitor, ana: Account) -> None:
    path = connect(owner)
    used(site, ana, path, client="", purpose="x" * 200)
    text = owner.get(path).text
    assert "by the program “key_1”" in text
    assert "x" * 200 in text, "all of it, since it is what the person judges by"


@pytest.mark.parametrize(
    "provider, mode, said, expected",
    [
        ("aws", "keyless", {"role_arn": ROLE, "region": "eu-central-1"}, "region = eu-central-1"),
        ("aws", "secret", CLOUD_SECRET, "credential_process = mcp-core-cloud credentials work --format aws"),
        ("azure", "keyless", AZURE, "--format azure --output $HOME/.azure/assertion"),
        ("gcp", "keyless", {"provider": f"https:{GOOGLE}"}, f'"audience": "{GOOGLE}"'),
        (
            "gcp",
            "keyless",
            {"provider": GOOGLE, "service_account": "me@house-of-ana-1.iam.gserviceaccount.com"},
            '-/serviceAccounts/me@house-of-ana-1.iam.gserviceaccount.com:generateAccessToken"',
        ),
        (
            "gcp",
            "keyless",
            {"provider": GOOGLE, "endpoint": "https://sts.example.com"},
            "https://sts.example.com/v1/token",
        ),
        (
            "alibaba",
            "keyless",
            fields_of("alibaba", "keyless"),
            '"process_command": "mcp-core-cloud credentials work --format',
        ),
        (
            "oracle",
            "keyless",
            fields_of("oracle", "keyless"),
            "oci --config-file $HOME/.oci/work/config --auth security_token",
        ),
        ("oracle", "secret", fields_of("oracle", "secret"), "oci --config-file $HOME/.oci/work/config os ns get"),
        (
            "other",
            "keyless",
            {"preset": "kubernetes", "endpoint": "https://cluster.example", "audience": "cluster"},
            'args: ["credentials", "work", "--format", "kubernetes"]',
        ),
        ("ibm", "secret", {"api_key": "k" * 44}, 'eval "$(mcp-core-cloud credentials work --format env)"'),
    ],
)
def test_programs_find_the_lines_of_their_own_cloud(
    owner: Visitor, provider: str, mode: str, said: dict[str, str], expected: str
) -> None:
    owner.post(f"{CLOUDS}/new/{provider}/{mode}", {**said, "label": "work"})
    assert owner.page.status == 303, owner.page.text
    path = owner.to
    owner.get(path)
    texts = [it.text for it in owner.document.all("pre")]
    assert any(" ".join(expected.split()) in text for text in texts), texts
    assert f"https://id.example/api/cloud-accounts/{path.rpartition('/')[2]}/credentials" in texts[-1]
    assert not any(secret in owner.page.html for secret in CLOUD_SECRET.values())


# Whose it is


WAYS = [
    ("GET", ""),
    ("GET", "/change"),
    ("POST", "/change"),
    ("POST", "/primary"),
    ("POST", "/test"),
    ("GET", "/remove"),
    ("POST", "/remove"),
]


@pytest.mark.parametrize("method, way", WAYS)
def test_another_person_s_account_and_an_unknown_one_look_alike(
    site: Site, owner: Visitor, method: str, way: str
) -> None:
    path = connect(owner)
    mallory = Visitor(site)
    mallory.sign_in(site.account("mallory"))
    before = rows(site)
    shown = []
    for there in (path, f"{CLOUDS}/01900000-0000-7000-8000-000000000000", f"{CLOUDS}/x"):
        page = mallory.get(there + way) if method == "GET" else mallory.post(there + way, {"version": "1"})
        assert page.status == 404
        shown.append(re.sub("Reference [0-9a-f]+", "", page.text))
    assert len(set(shown)) == 1
    assert "work" not in mallory.get(CLOUDS).text
    assert rows(site) == before


PATHS = [("GET", f"{CLOUDS}/new"), ("GET", SECRET), ("POST", SECRET), *((method, way) for method, way in WAYS if way)]
# A test asks the cloud and shows what it said. It changes nothing, and who proves anew comes back without having asked.
CHANGING = [it for it in PATHS if it != ("POST", "/test")]


@pytest.mark.parametrize("method, way", CHANGING)
def test_what_changes_needs_a_fresh_proof(site: Site, owner: Visitor, method: str, way: str) -> None:
    made = connect(owner)
    path, before = way if way.startswith("/account") else made + way, rows(site)
    site.later(minutes=20)
    page = owner.get(path) if method == "GET" else owner.post(path, {**CLOUD_SECRET, "label": "home"})
    assert page.status == 303
    assert owner.to.startswith("/login/again?to=")
    assert rows(site) == before
    assert owner.get(CLOUDS).status == 200, "looking does not"


@pytest.mark.parametrize("method, way", PATHS)
def test_a_session_that_was_ended_meanwhile_leads_to_sign_in(site: Site, owner: Visitor, method: str, way: str) -> None:
    made = connect(owner)
    path, before = way if way.startswith("/account") else made + way, rows(site)
    token = owner.token()
    owner.set_cookie(SESSION, "")
    page = owner.get(path) if method == "GET" else owner.post(path, {**CLOUD_SECRET, "label": "home"}, token=token)
    assert page.status in (303, 403)
    assert page.status == 403 or owner.to.startswith("/login?to=")
    assert rows(site) == before


def test_an_address_that_is_not_confirmed_connects_nothing(site: Site) -> None:
    site.account("ana")  # before there is anybody, nobody signs up
    made = Visitor(site)
    site.services.sign_ups._policy = "open"
    made.post("/signup", {"username": "dana", "email": "dana@example.com", "password": PASSWORD})
    for method in ("GET", "POST"):
        page = made.get(SECRET) if method == "GET" else made.post(SECRET, {**CLOUD_SECRET, "label": "work"})
        assert page.status == 303
        assert made.to == "/signup/address?to=new-cloud"
    assert rows(site) == []
