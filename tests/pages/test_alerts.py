"""What people are told because it could have been somebody else: each kind once, few of a flood, and the link in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import pytest

from database.transaction import Transaction
from provider.accounts.alerts import Alert
from provider.accounts.watched import ALWAYS
from provider.audit import AuditEvent
from provider.protocol.errors import OAuthError
from provider.security.crypto import new_secret
from tests.granting import add_grant
from tests.letters import Letter, letters
from tests.pages.conftest import SiteFactory
from tests.pages.site import BROWSER, PASSWORD, SESSION, Account, Site, Visitor

DEVICE = "__Host-mcp_device"
TEMPLATE = re.compile(r"^alert_(\w+)$")


def told(site: Site, name: str | None = None) -> list[Letter]:
    return letters(site.engine, site.services.keyring, name=name)


def names(site: Site) -> dict[str, int]:
    return dict(Counter(letter.name for letter in told(site)))


def rendered(site: Site, letter: Letter, language: str = "en", time_zone: str | None = None) -> str:
    """As the person reads it."""
    written = site.services.letters.write(letter.name, language, letter.values, time_zone=time_zone)
    return f"Subject: {written.subject}\n{written.text}"


def signed_out(visitor: Visitor, *forgotten: str) -> Visitor:
    for cookie in (SESSION, *forgotten):
        visitor.set_cookie(cookie, "")
    return visitor


def test_who_signs_in_on_a_new_device_is_told_where_and_when(site: Site, ana: Account) -> None:
    own = Visitor(site)
    own.sign_in(ana)
    assert told(site) == [], "before the first time there is no device"
    signed_out(own).sign_in(ana)
    signed_out(own, BROWSER).sign_in(ana)
    signed_out(own, DEVICE).sign_in(ana)
    assert told(site) == [], "either cookie is enough to be known"
    signed_out(own, DEVICE, BROWSER).sign_in(ana)
    (letter,) = told(site)
    assert (letter.to, letter.name) == ("ana@example.com", "alert_new_device")
    assert "When: Jul 1, 2026, 12:00 UTC\nDevice: Firefox on Linux\n" in rendered(site, letter)


def test_times_are_those_of_the_person_and_so_is_the_language(site: Site, ana: Account) -> None:
    with Transaction(site.engine) as tx:
        site.services.users.set_time_zone(tx, site.now, ana.user.id, "Asia/Seoul")
        site.services.users.set_locale(tx, site.now, ana.user.id, "ko")
    for _ in range(2):
        Visitor(site).sign_in(ana)
    (letter,) = told(site)
    assert letter.language == "ko"
    text = rendered(site, letter, "ko", "Asia/Seoul")
    assert "전에 로그인한 적이 없는 기기에서 누군가 계정에 로그인했습니다." in text
    assert "시각: 2026년 7월 1일 21:00 KST" in text
    assert "시각: 2026년 7월 1일 12:00 UTC" in rendered(site, letter, "ko", "Mars/Olympus")


def used_recovery_code(site: Site, ana: Account) -> None:
    site.enrol(ana, codes=True)
    with Transaction(site.engine) as tx:
        assert site.services.login.check_code(tx, site.by, ana.user, ana.codes[0])[1] == 9


def turned_off(site: Site, ana: Account) -> None:
    site.enrol(ana)
    with Transaction(site.engine) as tx:
        assert site.services.totp.disable(tx, site.by, ana.user.id)


def allowed(site: Site, ana: Account, scope: str = "openid offline_access", *, vouched: bool = True) -> None:
    client = site.client("Acme Files", scope=tuple(scope.split()), is_vouched=vouched)
    visitor = Visitor(site)
    visitor.ask(client, scope=scope)
    visitor.sign_in(ana, visitor.page.url)
    visitor.follow()
    visitor.post(visitor.page.url, {"decision": "allow"})
    visitor.follow()


def replayed(site: Site, ana: Account) -> None:
    """A refresh token that was used up and comes back when the time for that is over."""
    services, client = site.services, site.client("Acme Files", token_endpoint_auth_method="none")
    with Transaction(site.engine) as tx:
        grant_id = add_grant(
            tx, site.now, user_id=ana.user.id, client_row_id=client.id, session_id=None, consent_id=None, scope=("openid",),
            resource_uri="https://id.example/oauth", authenticated_at=site.now, amr=("pwd",), acr="x",
        )  # fmt: skip
        token = services.refresh_tokens.start(tx, site.now, grant_id)
        for wait in (0, 600):
            site.later(seconds=wait)
            stored = services.refresh_tokens.find(tx, token)
            assert stored is not None
            try:
                services.refresh_tokens.redeem(tx, site.by, stored, token, rotate=True)
            except OAuthError:
                return
    raise AssertionError("a token worked twice")


def made_administrator(site: Site, ana: Account) -> None:
    root = site.account("root", is_admin=True)
    with Transaction(site.engine) as tx:
        group = site.services.groups.find(tx, "administrators")
        assert group is not None
        assert site.services.groups.add(tx, site.by, group, ana.user, actor="cli:root")
        assert not site.services.groups.add(tx, site.by, group, root.user), "who was made as one needs no letter"


KINDS: dict[Alert, Callable[[Site, Account], object]] = {
    Alert.SECOND_FACTOR_ON: lambda site, ana: site.enrol(ana),
    Alert.SECOND_FACTOR_OFF: turned_off,
    Alert.RECOVERY_CODE_USED: used_recovery_code,
    Alert.API_KEY_MADE: lambda site, ana: site.api_key(ana, "nightly"),
    Alert.OFFLINE_APP: allowed,
    Alert.TOKEN_REPLAYED: replayed,
    Alert.MADE_ADMINISTRATOR: made_administrator,
}


@pytest.mark.parametrize("alert", KINDS)
def test_each_kind_is_told_once_with_a_link_in_both_languages(site: Site, ana: Account, alert: Alert) -> None:
    KINDS[alert](site, ana)
    (letter,) = told(site, f"alert_{alert}")
    assert letter.to == "ana@example.com"
    assert letter.link.startswith("https://id.example/not-me/mcp_alert_")
    for language in ("en", "ko"):
        text = rendered(site, letter, language)
        assert text.startswith("Subject: ")
        assert f"\n{letter.link}\n" in text, "a button, on a line of its own"
        assert "None" not in text
        assert bool(re.search("[가-힣]", text)) == (language == "ko")
    assert "nightly" in rendered(site, letter) or alert is not Alert.API_KEY_MADE
    assert "Acme Files" in rendered(site, letter) or alert is not Alert.OFFLINE_APP


def test_who_joins_another_group_gets_no_letter(site: Site, ana: Account) -> None:
    site.group("developers", ana)
    assert told(site) == []


def test_every_kind_has_a_letter_that_says_when_and_where_and_has_the_link(site: Site) -> None:
    for alert in Alert:
        source = site.app.jinja_env.loader.get_source(site.app.jinja_env, f"mail/alert_{alert}.txt")[0]  # type: ignore[union-attr]
        assert source.startswith("Subject: "), alert
        assert '{% include "mail/parts/where_and_not_me.txt" %}' in source, alert
    assert set(ALWAYS) <= set(AuditEvent)


def test_an_app_is_told_of_when_it_first_keeps_its_access(site: Site, ana: Account) -> None:
    allowed(site, ana, "openid")
    assert told(site, "alert_offline_app") == []
    client = site.client("Editor", scope=("openid", "offline_access"), is_vouched=False)
    visitor = Visitor(site)
    visitor.sign_in(ana)
    for _ in range(3):
        visitor.ask(client, scope="openid offline_access")
        visitor.post(visitor.page.url, {"decision": "allow"})
        visitor.follow()
    (letter,) = told(site, "alert_offline_app")
    assert letter.values["app"] == "files.example", "nobody vouches for its name"


def guess(site: Site, bora: Account, times: int) -> None:
    """As ``check_code`` records it, without the limits of codes, which would stretch this over the hour."""
    with Transaction(site.engine) as tx:
        for _ in range(times):
            site.services.audit.record(tx, AuditEvent.SECOND_FACTOR_FAILED, site.by, user_id=bora.user.id)


def test_a_wrong_code_on_the_page_is_on_record_as_that(site: Site, bora: Account) -> None:
    visitor = Visitor(site)
    visitor.post("/login", {"username": "bora", "password": PASSWORD})
    for _ in range(3):
        visitor.post("/login/code", {"code": "000000"})
    assert names(site)["alert_wrong_codes"] == 1


def test_ten_wrong_codes_are_one_letter_from_the_third_on_and_one_more_an_hour_later(site: Site, bora: Account) -> None:
    guess(site, bora, 2)
    assert "alert_wrong_codes" not in names(site), "everybody mistypes"
    guess(site, bora, 8)
    assert names(site)["alert_wrong_codes"] == 1
    swept(site)
    assert "alerts_held" not in names(site), "the rest is told together, later"
    site.later(hours=1)
    swept(site)
    swept(site)
    (letter,) = told(site, "alerts_held")
    assert letter.values["wrong_codes"] == "7"
    assert "Wrong codes behind your right password: 7 more" in rendered(site, letter)
    assert letter.link.startswith("https://id.example/not-me/")


def swept(site: Site) -> None:
    with Transaction(site.engine) as tx:
        site.services.alerts.tell_held(tx, site.now, 100)


def test_a_flood_of_one_kind_is_three_letters_and_one_and_takes_away_no_other(site: Site, ana: Account) -> None:
    for number in range(10):
        site.api_key(ana, f"key {number}")
        Visitor(site).sign_in(ana)
    with Transaction(site.engine) as tx:
        site.services.alerts.tell(tx, site.by, ana.user, Alert.PASSWORD_CHANGED)
    assert names(site) == {"alert_api_key_made": 3, "alert_new_device": 3, "alert_password_changed": 1}
    site.later(hours=1, seconds=1)
    swept(site)
    (letter,) = told(site, "alerts_held")
    assert (letter.values["api_key_made"], letter.values["new_device"]) == ("7", "6")
    assert site.rows("held_alerts")["held_alerts"] == []


def test_what_repeats_is_bounded_for_a_person_over_all_kinds(site: Site, ana: Account) -> None:
    repeated = (Alert.NEW_DEVICE, Alert.API_KEY_MADE, Alert.OFFLINE_APP, Alert.TOKEN_REPLAYED)
    with Transaction(site.engine) as tx:
        for alert in repeated * 3:
            site.services.alerts.tell(tx, site.by, ana.user, alert)
        site.services.alerts.tell(tx, site.by, ana.user, Alert.SECOND_FACTOR_OFF)
    assert sum(names(site).values()) == 9
    assert names(site)["alert_second_factor_off"] == 1


def test_an_address_that_nobody_has_confirmed_gets_no_power_over_the_account(site: Site) -> None:
    with Transaction(site.engine) as tx:
        user = site.services.users.create(
            tx, site.by, username="cyrus", email="cyrus@example.com", password_hash=None, is_verified=False
        )
        site.services.alerts.tell(tx, site.by, user, Alert.PASSWORD_CHANGED)
    (letter,) = told(site)
    assert "not_me" not in letter.values


def test_a_letter_that_has_a_link_of_its_own_keeps_it_alone(site: Site, ana: Account) -> None:
    undo = f"https://id.example/undo/{new_secret('undo')}"
    with Transaction(site.engine) as tx:
        site.services.alerts.tell(tx, site.by, ana.user, Alert.PASSWORD_CHANGED, to="old@example.com", undo=undo)
    (letter,) = told(site)
    assert (letter.to, letter.link) == ("old@example.com", undo)


def test_an_operators_api_key_is_told_of_as_well(site_factory: SiteFactory) -> None:
    site = site_factory()
    ana = site.account("ana", locale="ko")
    with Transaction(site.engine) as tx:
        site.services.api_keys.create(
            tx, site.by, ana.user, name="ops", scope=None, expires_in_days=1, resource=None, actor="cli:root"
        )
    (letter,) = told(site, "alert_api_key_made")
    assert letter.language == "ko"
