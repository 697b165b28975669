"""Only our own forms change anything, and only by POST (A-76)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyotp
import pytest

from database.transaction import Transaction
from provider.accounts.alerts import Alert
from tests.authenticator import Authenticator
from tests.letters import letters
from tests.pages.every_cloud_page import CLOUD_GAVE, CLOUD_SECRET, answer_in_place_of_clouds
from tests.pages.every_page import ROUTES
from tests.pages.site import BROWSER, ORIGIN, OURS, PASSWORD, SESSION, Site, Visitor, handle_in
from tests.vault.cloud_world import ROLE


@dataclass
class Prepared:
    """A visitor for whom this very post would work."""

    visitor: Visitor
    path: str
    fields: Mapping[str, str]


def setup(site: Site) -> Prepared:
    fields = {"username": "root", "email": "root@example.com", "password": PASSWORD}
    return Prepared(Visitor(site), site.setup_link(), fields)


def sign_up(site: Site) -> Prepared:
    site.account("ana")
    site.services.sign_ups._policy = "open"
    return Prepared(Visitor(site), "/signup", {"username": "dana", "email": "dana@example.com", "password": PASSWORD})


def address(site: Site) -> Prepared:
    made = sign_up(site)
    made.visitor.post(made.path, made.fields)
    site.later(minutes=2)  # within one nothing is written twice
    return Prepared(made.visitor, "/signup/address", {"action": "send"})


def confirm_address(site: Site) -> Prepared:
    made = address(site)
    (letter,) = letters(site.engine, site.services.keyring)
    return Prepared(made.visitor, letter.link.removeprefix(ORIGIN), {"action": "confirm"})


def invitation(site: Site) -> Prepared:
    with Transaction(site.engine) as tx:
        _made, link = site.services.invitations.create(tx, site.by, email="dana@example.com")
    return Prepared(Visitor(site), link.removeprefix(ORIGIN), {"username": "dana", "password": PASSWORD})


def login(site: Site) -> Prepared:
    site.account("ana")
    return Prepared(Visitor(site), "/login", {"username": "ana", "password": PASSWORD})


def code(site: Site) -> Prepared:
    bora, visitor = site.account("bora", second_factor=True), Visitor(site)
    visitor.post("/login", {"username": "bora", "password": PASSWORD})
    return Prepared(visitor, "/login/code", {"code": site.fresh_code(bora)})


def signed_in(site: Site) -> Visitor:
    visitor = Visitor(site)
    visitor.sign_in(site.account("ana"))
    return visitor


def again(site: Site) -> Prepared:
    return Prepared(signed_in(site), "/login/again", {"password": PASSWORD})


def demanded(site: Site) -> Prepared:
    visitor = Visitor(site)
    visitor.sign_in(site.account("root", is_admin=True))
    return Prepared(visitor, "/login/second-factor", {"action": "begin"})


def sign_out(site: Site) -> Prepared:
    return Prepared(signed_in(site), "/sign-out", {})


def members_only(site: Site) -> Prepared:
    visitor = signed_in(site)
    visitor.ask(site.client(only_groups=[site.group("developers")]))
    return Prepared(visitor, visitor.page.url, {})


def consent(site: Site) -> Prepared:
    visitor = signed_in(site)
    page = visitor.ask(site.client())
    return Prepared(visitor, page.url, {"decision": "allow"})


def second_factor(site: Site) -> Prepared:
    return Prepared(signed_in(site), "/account/second-factor", {"action": "begin"})


def recovery_codes(site: Site) -> Prepared:
    path, visitor = "/account/second-factor", signed_in(site)
    visitor.post(path, {"action": "begin"})
    visitor.follow()
    secret = next(it.text for it in visitor.document.all("code") if "secret" in it.get("class")).replace(" ", "")
    visitor.post(path, {"action": "confirm", "code": pyotp.TOTP(secret).at(site.now)})
    visitor.follow()
    typed = next(it.text for it in visitor.document.all("li") if it.inside("main"))
    return Prepared(visitor, f"{path}/recovery-codes", {"code": typed})


def sessions(site: Site) -> Prepared:
    visitor = signed_in(site)
    with_phone = Visitor(site)
    with_phone.post("/login", {"username": "ana", "password": PASSWORD})
    return Prepared(visitor, "/account/sessions", {"action": "end-others"})


def apps(site: Site) -> Prepared:
    made = consent(site)
    made.visitor.post(made.path, made.fields)
    made.visitor.follow()
    page = made.visitor.get("/account/apps")
    return Prepared(made.visitor, "/account/apps", {"consent": page.form("consent").fields["consent"][0]})


def new_key(site: Site) -> Prepared:
    visitor = signed_in(site)
    site.resource()
    return Prepared(visitor, "/account/api-keys/new", {"name": "backup", "days": "30"})


def revoke(site: Site) -> Prepared:
    ana, visitor = site.account("ana"), Visitor(site)
    visitor.sign_in(ana)
    site.resource()
    return Prepared(visitor, f"/account/api-keys/{site.api_key(ana)}/revoke", {})


def passkeys(site: Site) -> Prepared:
    visitor = signed_in(site)
    visitor.get("/account/passkeys")
    answer = Authenticator(ORIGIN).create(visitor.asked())
    return Prepared(visitor, "/account/passkeys", {"credential": answer, "name": "Phone"})


def passkey(site: Site) -> Prepared:
    visitor = signed_in(site)
    visitor.add_passkey()
    visitor.get("/account/passkeys")
    path = next(it.get("href") for it in visitor.document.all("a") if "/passkeys/" in it.get("href"))
    return Prepared(visitor, path, {"action": "remove"})


def rotate(site: Site) -> Prepared:
    ana, visitor = site.account("ana"), Visitor(site)
    visitor.sign_in(ana)
    path = f"/account/api-keys/{site.api_key(ana)}/rotate"
    version = visitor.get(path).form("version").fields["version"][0]
    return Prepared(visitor, path, {"version": version, "hours": "24"})


def cloud(site: Site) -> Prepared:
    return Prepared(signed_in(site), "/account/clouds/new/aws/secret", {**CLOUD_SECRET, "label": "work"})


def change_cloud(site: Site) -> Prepared:
    made = cloud(site)
    made.visitor.post(made.path, made.fields)
    return Prepared(made.visitor, f"{made.visitor.to}/change", {"version": "1", "region": "eu-central-1"})


def second_cloud(site: Site) -> Prepared:
    made = cloud(site)
    made.visitor.post(made.path, made.fields)
    made.visitor.post(made.path, {**made.fields, "label": "home"})
    return Prepared(made.visitor, f"{made.visitor.to}/primary", {})


def remove_cloud(site: Site) -> Prepared:
    made = second_cloud(site)
    return Prepared(made.visitor, made.path.replace("/primary", "/remove"), {})


def tried_cloud(site: Site) -> Prepared:
    visitor = signed_in(site)
    answer_in_place_of_clouds(site, CLOUD_GAVE)
    visitor.post("/account/clouds/new/aws/keyless", {"label": "work", "role_arn": ROLE})
    return Prepared(visitor, f"{visitor.to}/test", {})


def profile(site: Site) -> Prepared:
    visitor = signed_in(site)
    visitor.get("/account/profile")
    return Prepared(visitor, "/account/profile", {"given_name": "Ana"})


def picture(site: Site) -> Prepared:
    ana, visitor = site.account("ana"), Visitor(site)
    visitor.sign_in(ana)
    with Transaction(site.engine) as tx:
        site.services.profiles.set_picture(tx, site.by, ana.user.id, b"x")
    return Prepared(visitor, "/account/profile/picture", {"action": "remove"})


def preferences(site: Site) -> Prepared:
    return Prepared(signed_in(site), "/account/preferences", {"time_zone": "Asia/Seoul"})


def language(site: Site) -> Prepared:
    return Prepared(signed_in(site), "/language", {"language": "ko", "back": "/account"})


def password(site: Site) -> Prepared:
    return Prepared(
        signed_in(site), "/account/password", {"present": PASSWORD, "password": "marble otter 92 quiet lanterns"}
    )


def email(site: Site) -> Prepared:
    return Prepared(signed_in(site), "/account/email", {"email": "ana@elsewhere.example"})


def username(site: Site) -> Prepared:
    return Prepared(signed_in(site), "/account/username", {"username": "anna"})


def forgot(site: Site) -> Prepared:
    return Prepared(Visitor(site), "/forgot", {"username": "ana"})


def reset(site: Site) -> Prepared:
    ana = site.account("ana")
    with Transaction(site.engine) as tx:
        link = site.services.new_passwords.send_link(tx, site.by, ana.user, letter="password_reset")
    return Prepared(Visitor(site), link.removeprefix(ORIGIN), {"password": "marble otter 92 quiet lanterns"})


def confirm(site: Site) -> Prepared:
    made = email(site)
    made.visitor.post(made.path, made.fields)
    return Prepared(made.visitor, site.letters("address_confirm")[-1].link.removeprefix(ORIGIN), {})


def undo(site: Site) -> Prepared:
    made = confirm(site)
    made.visitor.post(made.path)
    return Prepared(made.visitor, site.letters("address_changed")[-1].link.removeprefix(ORIGIN), {})


def lost(site: Site) -> Prepared:
    visitor = Visitor(site)
    site.account("bora", second_factor=True)
    visitor.post("/login", {"username": "bora", "password": PASSWORD})
    return Prepared(visitor, "/login/lost", {})


def wait(site: Site) -> Prepared:
    made = lost(site)
    made.visitor.post(made.path)
    link = site.letters("second_factor_wait_asked")[-1].link.removeprefix(ORIGIN)
    return Prepared(made.visitor, link, {"action": "begin"})


def stop_wait(site: Site) -> Prepared:
    made = wait(site)
    made.visitor.post(made.path, made.fields)
    return Prepared(made.visitor, site.letters("second_factor_wait_begun")[-1].link.removeprefix(ORIGIN), {})


def stop_wait_signed_in(site: Site) -> Prepared:
    bora, owner, visitor = site.account("bora", second_factor=True), Visitor(site), Visitor(site)
    owner.sign_in(bora)
    visitor.post("/login", {"username": "bora", "password": PASSWORD})
    visitor.post("/login/lost")
    visitor.post(site.letters("second_factor_wait_asked")[-1].link.removeprefix(ORIGIN), {"action": "begin"})
    return Prepared(owner, "/account/second-factor/stop-wait", {})


def lock_down(site: Site) -> Prepared:
    return Prepared(signed_in(site), "/account/lock-down", {})


def not_me(site: Site) -> Prepared:
    visitor = signed_in(site)
    with Transaction(site.engine) as tx:
        ana = site.services.users.find_by_login(tx, "ana")
        assert ana is not None
        site.services.alerts.tell(tx, site.by, ana, Alert.NEW_DEVICE)
    return Prepared(visitor, letters(site.engine, site.services.keyring)[-1].link.removeprefix(ORIGIN), {})


def own_data(site: Site) -> Prepared:
    return Prepared(signed_in(site), "/account/data", {})


def close(site: Site) -> Prepared:
    return Prepared(signed_in(site), "/account/close", {"username": "ana"})


def reopen(site: Site) -> Prepared:
    visitor = signed_in(site)
    visitor.post("/account/close", {"username": "ana"})
    visitor.post("/login", {"username": "ana", "password": PASSWORD})
    assert visitor.to == "/login/reopen"
    return Prepared(visitor, "/login/reopen", {})


FORMS: dict[str, Callable[[Site], Prepared]] = {
    "/setup/<token>": setup,
    "/signup": sign_up,
    "/signup/address": address,
    "/confirm/<token>": confirm_address,
    "/invitation/<token>": invitation,
    "/login": login,
    "/login/code": code,
    "/login/again": again,
    "/login/second-factor": demanded,
    "/sign-out": sign_out,
    "/consent": consent,
    "/members-only": members_only,
    "/account/second-factor": second_factor,
    "/account/second-factor/recovery-codes": recovery_codes,
    "/account/sessions": sessions,
    "/account/apps": apps,
    "/account/api-keys/new": new_key,
    "/account/api-keys/<client_id>/revoke": revoke,
    "/account/passkeys": passkeys,
    "/account/passkeys/<passkey_id>": passkey,
    "/account/api-keys/<client_id>/rotate": rotate,
    "/account/clouds/new/<provider>/<mode>": cloud,
    "/account/clouds/<account_id>/primary": second_cloud,
    "/account/clouds/<account_id>/change": change_cloud,
    "/account/clouds/<account_id>/remove": remove_cloud,
    "/account/clouds/<account_id>/test": tried_cloud,
    "/account/profile": profile,
    "/account/profile/picture": picture,
    "/account/preferences": preferences,
    "/account/password": password,
    "/account/email": email,
    "/account/username": username,
    "/forgot": forgot,
    "/reset/<token>": reset,
    "/email/<token>": confirm,
    "/email/undo/<token>": undo,
    "/login/lost": lost,
    "/second-factor-wait/<token>": wait,
    "/second-factor-wait/stop/<token>": stop_wait,
    "/account/second-factor/stop-wait": stop_wait_signed_in,
    "/language": language,
    "/account/data": own_data,
    "/account/close": close,
    "/login/reopen": reopen,
    "/account/lock-down": lock_down,
    "/not-me/<token>": not_me,
}
# For whoever has a session, an out-of-date form of our own origin is a visit of its page, and nothing is done.
AS_VISITED = {"/login/again": 303, "/consent": 200}
FOREIGN_ORIGINS = {
    "no statement at all": {},
    "no origin": {"Origin": ""},
    "an opaque origin": {"Origin": "null"},
    "an opaque origin from another site": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    "an opaque origin from a sister site": {"Origin": "null", "Sec-Fetch-Site": "same-site"},
    "an opaque origin from the address bar": {"Origin": "null", "Sec-Fetch-Site": "none"},
    "another origin": {"Origin": "https://evil.example"},
    "our name as a prefix": {"Origin": f"{ORIGIN}.evil.example"},
    "our host without TLS": {"Origin": ORIGIN.replace("https", "http")},
    "our host on another port": {"Origin": f"{ORIGIN}:8443"},
    "another site": {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
    "a sister site": {"Origin": ORIGIN, "Sec-Fetch-Site": "same-site"},
    "the address bar": {"Origin": ORIGIN, "Sec-Fetch-Site": "none"},
    "a statement that no browser makes": {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin, same-origin"},
    "only a referrer": {"Referer": f"{ORIGIN}/login"},
}


def test_the_table_has_every_form() -> None:
    assert set(FORMS) == {rule for rule, methods in ROUTES.items() if methods - {"GET"}}
    assert {method for methods in ROUTES.values() for method in methods} == {"GET", "POST"}


@pytest.mark.parametrize("rule", FORMS)
def test_a_forged_post_is_refused_and_changes_nothing(site: Site, rule: str) -> None:
    form = FORMS[rule](site)
    stranger = Visitor(site)
    visitor, right = form.visitor, form.visitor.token()
    before, held = site.rows(), (visitor.cookie(SESSION), visitor.cookie(BROWSER))
    tokens = {
        "no token": "",
        "another browser's token": stranger.token(),
        "a token cut short": right[:-1],
        "a token in capitals": right.upper(),
        "a token that is no ASCII": "é" * 64,
    }
    for what, token in tokens.items():
        page = visitor.post(form.path, form.fields, token=token)
        assert page.status == AS_VISITED.get(rule, 403), what
        assert page.status == 303 or "out of date" in page.text, what
    for method in ("GET", "HEAD"):
        visitor.request(method, form.path, headers=OURS)
    in_the_address = f"{form.path}{'&' if '?' in form.path else '?'}csrf_token={right}"
    assert visitor.post(in_the_address, form.fields, token="").status == AS_VISITED.get(rule, 403)
    for what, headers in FOREIGN_ORIGINS.items():
        assert visitor.post(form.path, form.fields, token=right, headers=headers).status == 403, what
    assert site.rows() == before
    assert (visitor.cookie(SESSION), visitor.cookie(BROWSER)) == held


BEHIND_A_PROXY = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}  # of a page with "Referrer-Policy: no-referrer"


@pytest.mark.parametrize(
    "headers", [{"Origin": ORIGIN}, {"Sec-Fetch-Site": "same-origin"}, OURS, BEHIND_A_PROXY], ids=str
)
@pytest.mark.parametrize("rule", FORMS)
def test_the_same_post_from_our_own_page_works(site: Site, rule: str, headers: dict[str, str]) -> None:
    form = FORMS[rule](site)
    before = site.rows(), form.visitor.cookie(BROWSER)
    page = form.visitor.post(form.path, form.fields, token=form.visitor.token(), headers=headers)
    assert page.status in (200, 303), page.text
    assert page.status == 303 or rule in ("/account/api-keys/new", "/account/clouds/<account_id>/test")
    if rule != "/language":
        assert site.rows() != before[0]
    else:
        assert site.rows("users") != {"users": before[0]["users"]}


def test_a_token_from_before_signing_in_is_worth_nothing_afterwards(site: Site) -> None:
    form = login(site)
    visitor, early = form.visitor, form.visitor.token()
    visitor.post(form.path, form.fields, token=early)
    assert visitor.cookie(SESSION)
    assert visitor.post("/account/sessions", {"action": "end-others"}, token=early).status == 403
    now = visitor.token()
    assert now != early
    visitor.post("/sign-out", token=now)
    assert visitor.post("/login", form.fields, token=now).status == 403


def test_no_other_method_reaches_a_page(site: Site) -> None:
    form = sign_out(site)
    before = site.rows()
    for rule, methods in ROUTES.items():
        path = rule.replace("<token>", "x").replace("<client_id>", "x").replace("<passkey_id>", "x")
        for method in {"POST", "PUT", "PATCH", "DELETE", "TRACE"} - methods:
            page = form.visitor.request(method, path, f"csrf_token={form.visitor.token()}", OURS)
            assert page.status == 405, (method, rule)
            assert "POST" in page.headers["Allow"] or "GET" in page.headers["Allow"]
    assert site.rows() == before


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_changes_nothing(site: Site, method: str) -> None:
    """Every page, for somebody to whom it would show something, with the fields that a POST would act upon."""
    form = apps(site)
    site.resource()
    visitor = form.visitor
    visitor.post("/account/api-keys/new", {"name": "backup", "days": "30"})
    key = visitor.to.rpartition("/")[2]
    visitor.post("/account/second-factor", {"action": "begin"})
    handle = handle_in(visitor.ask(site.client("Another")).url)
    before = site.rows()
    query = (
        f"action=begin&action=end-others&decision=allow&consent={form.fields['consent']}&csrf_token={visitor.token()}"
    )
    for rule in ROUTES:
        path = rule.replace("<token>", "x").replace("<client_id>", key).replace("<passkey_id>", "x")
        for more in ("", f"?{query}", f"?request={handle}&{query}"):
            answer = visitor.request(method, path + more, headers={"Sec-Fetch-Site": "same-origin"})
            assert answer.status in (200, 303, 404, 400, 405), (rule, answer.text)
            assert method == "GET" or not answer.html, rule
    assert site.rows() == before
