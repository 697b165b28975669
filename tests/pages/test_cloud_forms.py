"""What the forms and pages of cloud accounts say when something was typed before: what is kept, lost, old, or no name."""

from __future__ import annotations

import pytest

from tests.pages.every_cloud_page import CLOUD_REFUSED, CLOUD_SECRET, answer_in_place_of_clouds
from tests.pages.site import Account, Site, Visitor
from tests.vault.samples import ROLE, fields_of

CLOUDS = "/account/clouds"
ENTER_AGAIN = "Enter it again: a secret is never sent back."
KEEP = "Leave it empty to keep what is there."


@pytest.fixture
def owner(site: Site, ana: Account) -> Visitor:
    visitor = Visitor(site)
    visitor.sign_in(ana)
    return visitor


def connect(visitor: Visitor, provider: str, mode: str, **said: str) -> str:
    """Connects a cloud by its samples. Returns the path of its page."""
    page = visitor.post(f"{CLOUDS}/new/{provider}/{mode}", {"label": "work", **fields_of(provider, mode), **said})
    assert page.status == 303, page.text
    return visitor.to


def hint(visitor: Visitor, field: str) -> str:
    return visitor.document.by_id(f"{field}-hint").text


@pytest.mark.parametrize("secret", ["short", ""])
@pytest.mark.parametrize("way", ["refused", "changed meanwhile"])
def test_a_secret_has_to_be_entered_again_only_where_one_was_typed(owner: Visitor, way: str, secret: str) -> None:
    path = connect(owner, "aws", "secret")
    said = {"version": "1", "region": "nowhere at all"} if way == "refused" else {"version": "7"}
    owner.post(f"{path}/change", {**said, "secret_access_key": secret})
    assert owner.page.status == 400
    assert (ENTER_AGAIN in hint(owner, "secret_access_key")) == (secret != "")
    assert KEEP in hint(owner, "secret_access_key")


def test_a_secret_that_was_typed_into_a_new_form_has_to_be_entered_again(owner: Visitor) -> None:
    for fields, is_lost in ((CLOUD_SECRET, True), ({"access_key_id": "AKIA"}, False)):
        owner.post(f"{CLOUDS}/new/aws/secret", {**fields, "label": "work", "region": "nowhere at all"})
        assert (ENTER_AGAIN in hint(owner, "secret_access_key")) == is_lost
    owner.post(f"{CLOUDS}/new/aws/secret", {**CLOUD_SECRET, "label": "work", "language": "ko"})
    assert "다시 입력하세요" in hint(owner, "secret_access_key"), "a language was chosen in between"


@pytest.mark.parametrize("version", ["1", "7"])
def test_an_id_that_was_typed_stays_when_the_form_comes_back(owner: Visitor, version: str) -> None:
    """Otherwise the next attempt would keep the old id beside the new secret."""
    path = connect(owner, "aws", "secret")
    new = "AKIA" + "Z" * 16
    owner.post(f"{path}/change", {"version": version, "access_key_id": new, "region": "nowhere at all"})
    assert owner.page.status == 400
    assert owner.document.by_id("access_key_id").get("value") == new
    owner.get(f"{path}/change")
    assert owner.document.by_id("access_key_id").get("value") == ""


@pytest.mark.parametrize("label", ["Not So", "<script>alert(1)</script>", "작업", "$(id)"])
@pytest.mark.parametrize("action", ["name", ""])
def test_what_nothing_can_be_called_is_in_no_text_to_paste(owner: Visitor, label: str, action: str) -> None:
    owner.post(f"{CLOUDS}/new/aws/keyless", {"label": label, "action": action, "role_arn": ROLE})
    assert owner.page.status == 400
    assert owner.document.by_id("label").get("value") == label
    pasted = [it.text for it in owner.document.all("pre", "code")]
    assert len(pasted) > 5
    assert not [text for text in pasted if label in text]
    assert owner.page.form("label", "role_arn").fields["label"] == ["aws"], "the one in the texts"


def test_the_name_comes_before_the_texts_that_have_it_in_them(owner: Visitor) -> None:
    text = owner.get(f"{CLOUDS}/new/aws/keyless").text
    assert (
        text.index("The name of this account is") < text.index("Issuer") < text.index("Enter what you have made there")
    )


@pytest.mark.parametrize("mode, advice", [("secret", True), ("keyless", False)])
def test_who_has_connected_without_a_secret_is_not_told_to(
    site: Site, owner: Visitor, ana: Account, mode: str, advice: bool
) -> None:
    """Oracle's domain wants the secret of a client even where it trusts our tokens."""
    path = connect(owner, "oracle", mode)
    site.later(days=90)
    owner.sign_in(ana)
    assert "This secret is 90 days old." in owner.get(path).text
    assert ("Connected without a secret" in owner.page.text) == advice
    assert "Its secret is 90 days old" in owner.get(CLOUDS).text


def test_a_client_s_secret_has_no_date_beside_the_words_without_a_secret(owner: Visitor) -> None:
    connect(owner, "oracle", "keyless")
    owner.get(CLOUDS)
    assert "Without a secret" in owner.document.one("table").text
    assert "since" not in owner.document.one("table").text


@pytest.mark.parametrize(
    "provider, in_words, letter_by_letter",
    [("aws", "My account and this name", ROLE), ("other", "Token exchange (RFC 8693)", "https://api.example.com")],
)
def test_what_was_chosen_is_words_and_what_was_typed_is_code(
    owner: Visitor, provider: str, in_words: str, letter_by_letter: str
) -> None:
    owner.get(connect(owner, provider, "keyless"))
    assert in_words in [it.text for it in owner.document.all("dd")]
    code = [it.text for it in owner.document.all("code") if it.inside("dd")]
    assert letter_by_letter in code
    assert in_words not in code


def test_the_value_that_a_cloud_has_to_trust_stands_out_in_what_a_test_says(site: Site, owner: Visitor) -> None:
    path = connect(owner, "aws", "keyless")
    answer_in_place_of_clouds(site, CLOUD_REFUSED)
    owner.post(f"{path}/test")
    (value,) = [it.text for it in owner.document.all("code") if it.parents[1].get("role") == "alert"]
    assert value.endswith(":cloud:work")


@pytest.mark.parametrize("way", ["secret", "keyless"])
def test_a_service_without_a_name_is_none_in_a_sentence(owner: Visitor, way: str) -> None:
    for path in (f"{CLOUDS}/new/other/{way}", connect(owner, "other", way)):
        text = owner.get(path).text
        assert not [before for before in ("Connect", "Let", "asks", "set up in") if f"{before} Another service" in text]
