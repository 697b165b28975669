"""Every page there is, and a walk that shows each of them: what a crawl checks, and what it must not forget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from database.transaction import Transaction
from provider.accounts.alerts import Alert
from provider.protocol.client import ClientDetails
from provider.sign_in.consecutive_failures import Way
from provider.upkeep.reset_answers import ResetAnswers
from tests.letters import letters
from tests.pages.every_cloud_page import clouds
from tests.pages.site import CALLBACK, LOOPBACK, ORIGIN, PASSWORD, SESSION, STEP, Account, Site, Visitor, close
from tests.pages.walking import HOSTILE, Visit, Walk

# Each rule of each page with its methods. A new page is added here and to the walk below.
ROUTES = {
    "/": {"GET"},
    "/.well-known/change-password": {"GET"},
    "/.well-known/passkey-endpoints": {"GET"},
    "/account": {"GET"},
    "/account/activity": {"GET"},
    "/account/api-keys": {"GET"},
    "/account/api-keys/<client_id>": {"GET"},
    "/account/api-keys/<client_id>/revoke": {"GET", "POST"},
    "/account/api-keys/<client_id>/rotate": {"GET", "POST"},
    "/account/api-keys/new": {"GET", "POST"},
    "/account/apps": {"GET", "POST"},
    "/account/clouds": {"GET"},
    "/account/clouds/<account_id>": {"GET"},
    "/account/clouds/<account_id>/change": {"GET", "POST"},
    "/account/clouds/<account_id>/primary": {"POST"},
    "/account/clouds/<account_id>/remove": {"GET", "POST"},
    "/account/clouds/<account_id>/test": {"POST"},
    "/account/clouds/new": {"GET"},
    "/account/clouds/new/<provider>/<mode>": {"GET", "POST"},
    "/account/email": {"GET", "POST"},
    "/account/password": {"GET", "POST"},
    "/account/close": {"GET", "POST"},
    "/account/data": {"GET", "POST"},
    "/account/data/<export_id>": {"GET"},
    "/account/lock-down": {"GET", "POST"},
    "/account/passkeys": {"GET", "POST"},
    "/account/passkeys/<passkey_id>": {"GET", "POST"},
    "/account/preferences": {"GET", "POST"},
    "/account/profile": {"GET", "POST"},
    "/account/profile/picture": {"GET", "POST"},
    "/account/second-factor": {"GET", "POST"},
    "/account/second-factor/recovery-codes": {"GET", "POST"},
    "/account/second-factor/stop-wait": {"POST"},
    "/account/security": {"GET"},
    "/account/sessions": {"GET", "POST"},
    "/account/username": {"GET", "POST"},
    "/consent": {"GET", "POST"},
    "/email/<token>": {"GET", "POST"},
    "/email/undo/<token>": {"GET", "POST"},
    "/forgot": {"GET", "POST"},
    "/forgot/sent": {"GET"},
    "/confirm/<token>": {"GET", "POST"},
    "/invitation/<token>": {"GET", "POST"},
    "/language": {"POST"},
    "/locked-down": {"GET"},
    "/login": {"GET", "POST"},
    "/login/again": {"GET", "POST"},
    "/login/code": {"GET", "POST"},
    "/login/lost": {"GET", "POST"},
    "/login/reopen": {"GET", "POST"},
    "/login/second-factor": {"GET", "POST"},
    "/mailbox": {"GET"},
    "/mailbox/<letter_id>": {"GET"},
    "/mailbox/<letter_id>/html": {"GET"},
    "/reset/<token>": {"GET", "POST"},
    "/second-factor-wait/<token>": {"GET", "POST"},
    "/second-factor-wait/stop/<token>": {"GET", "POST"},
    "/not-me/<token>": {"GET", "POST"},
    "/members-only": {"GET", "POST"},
    "/setup/<token>": {"GET", "POST"},
    "/sign-out": {"GET", "POST"},
    "/signup": {"GET", "POST"},
    "/signup/address": {"GET", "POST"},
}
ACCOUNT_PAGES = (
    "/profile", "/profile/picture", "/security", "/second-factor", "/sessions", "/apps", "/api-keys", "/api-keys/new",
    "/preferences", "/clouds", "/clouds/new",
)  # fmt: skip


def walk(make: Callable[..., Site], language: str = "en") -> list[Visit]:
    """Shows every page in every state that has markup of its own."""
    seen = Walk()
    _setting_up(seen, make(), language)
    _getting_in(seen, make(sign_up="open", smtp_url="smtps://mail.example", mail_from="id@mail.example"), language)
    site = make()
    _signing_in(seen, site, language)
    _account(seen, site, language)
    clouds(seen, site, language)
    _recovery(seen, make(), language)
    _passkeys(seen, site, language)
    _applications(seen, site, language)
    _grace(seen, make(require_second_factor=True, second_factor_grace_days=14), language)
    _watching(seen, site, language)
    _errors(seen, site, language)
    return seen.visits


def _setting_up(seen: Walk, site: Site, language: str) -> None:
    visitor = Visitor(site, language=language)
    link = site.setup_link()
    visitor.get(link)
    seen.saw("setup", visitor)
    visitor.post(link, {"username": "x", "email": "x", "password": "short"})
    seen.saw("setup with mistakes", visitor, 400)
    visitor.post(link, {"username": "root", "email": "root@example.com", "password": PASSWORD})
    seen.saw("setup done", visitor, 303)
    visitor.follow()
    seen.saw("second factor demanded", visitor)
    visitor.post("/login/second-factor", {"action": "begin"})
    seen.saw("second factor begun", visitor, 303)
    visitor.follow()
    seen.saw("second factor demanded, QR code", visitor)
    visitor.post("/login/second-factor", {"action": "confirm", "code": "1"})
    seen.saw("second factor demanded, wrong code", visitor, 400)
    visitor.get("/setup/gone")
    seen.saw("setup link gone", visitor, 404)


def _getting_in(seen: Walk, site: Site, language: str) -> None:
    site.account("ana")
    visitor, stranger = Visitor(site, language=language), Visitor(site, language=language)
    visitor.get("/login")
    seen.saw("login, open to everybody", visitor)
    visitor.get("/signup")
    seen.saw("sign-up", visitor)
    visitor.post("/signup", {"username": "admin", "email": HOSTILE, "password": "short"})
    seen.saw("sign-up with mistakes", visitor, 400)
    visitor.post("/signup", {"username": HOSTILE, "email": "dana@example.com", "credential": "{}"})
    seen.saw("sign-up with a passkey and mistakes", visitor, 400)
    visitor.post("/signup", {"username": "dana", "email": "dana@example.com", "credential": "{}"})
    seen.saw("sign-up, wrong passkey", visitor, 400)
    visitor.ask(site.client(HOSTILE), prompt="create")
    seen.saw("sign-up for an application", visitor)
    site.later(seconds=1)
    visitor.post(visitor.page.url, {"username": "dana", "email": "dana@example.com", "password": PASSWORD})
    seen.saw("signed up", visitor, 303)
    visitor.follow()
    seen.saw("waiting for an address", visitor)
    visitor.post("/signup/address", {"action": "send"})
    seen.saw("letter sent again", visitor, 303)
    visitor.follow()
    seen.saw("waiting for an address, told", visitor)
    visitor.post("/signup/address", {"action": "change", "email": HOSTILE})
    seen.saw("address with mistakes", visitor, 400)
    visitor.get("/account")
    seen.saw("account, unconfirmed", visitor)
    link = letters(site.engine, site.services.keyring)[-1].link.removeprefix(ORIGIN).partition("?")[0]
    stranger.get(link)
    seen.saw("link to confirm", stranger)
    stranger.post(link, {"action": "confirm"})
    seen.saw("confirmed elsewhere", stranger)
    stranger.get(link)
    seen.saw("link over", stranger, 404)
    _not_getting_in(seen, site, stranger)


def _not_getting_in(seen: Walk, site: Site, visitor: Visitor) -> None:
    """What a link says that finds things changed."""
    for name in ("eve", "mallory"):
        with Transaction(site.engine) as tx:
            site.services.sign_ups.create(
                tx, site.by, username=name, email="eve@example.com", password_hash="x", locale="en"
            )
    first, second = (it.link.removeprefix(ORIGIN) for it in letters(site.engine, site.services.keyring)[-2:])
    with Transaction(site.engine) as tx:
        site.services.confirmations.confirm(tx, site.by, first.rpartition("/")[2])
    visitor.post(second, {"action": "confirm"})
    seen.saw("address of another account by now", visitor, 400)
    visitor.post(second, {"action": "disown"})
    seen.saw("account deleted by its address", visitor)
    with Transaction(site.engine) as tx:
        _made, address = site.services.invitations.create(tx, site.by, email="frank@example.com", is_admin=True)
    invitation = address.removeprefix(ORIGIN)
    visitor.get(invitation)
    seen.saw("invitation", visitor)
    visitor.post(invitation, {"username": "", "password": ""})
    seen.saw("invitation with mistakes", visitor, 400)
    site.account("frank")
    visitor.get(invitation)
    seen.saw("invitation of somebody who has an account", visitor, 400)
    visitor.get("/invitation/gone")
    seen.saw("invitation gone", visitor, 404)


def _signing_in(seen: Walk, site: Site, language: str) -> None:
    bora = site.account("bora", second_factor=True)
    visitor = Visitor(site, language=language)
    visitor.get("/login")
    seen.saw("login", visitor)
    visitor.post("/login", {"username": "", "password": ""})
    seen.saw("login, nothing typed", visitor, 400)
    visitor.post("/login", {"username": HOSTILE, "password": "wrong"})
    seen.saw("login, wrong", visitor, 400)
    for _ in range(11):
        visitor.post("/login", {"username": "nobody", "password": "wrong"})
    seen.saw("login, throttled", visitor, 429)
    visitor.post("/login", {"username": "bora", "password": PASSWORD})
    seen.saw("password right", visitor, 303)
    visitor.get("/login/code")
    seen.saw("code", visitor)
    visitor.get("/login/code?with=recovery-code")
    seen.saw("recovery code", visitor)
    visitor.post("/login/code", {"code": "000000"})
    seen.saw("code, wrong", visitor, 400)
    visitor.post("/login/code", {"code": site.fresh_code(bora), "remember": "yes"})
    seen.saw("signed in", visitor, 303)
    visitor.get("/account/sessions")
    seen.saw("sessions, remembered", visitor)
    visitor.get("/account/second-factor")
    seen.saw("second factor on", visitor)
    visitor.post("/account/second-factor", {"action": "turn-off", "code": ""})
    seen.saw("second factor, no code", visitor, 400)
    site.later(minutes=20)
    visitor.get("/account/api-keys/new")
    seen.saw("sent to prove it again", visitor, 303)
    visitor.get("/login/again?to=new-api-key")
    seen.saw("again", visitor)
    visitor.post("/login/again", {"password": "", "code": ""})
    seen.saw("again, nothing typed", visitor, 400)
    visitor.post("/login/again", {"code": "1"}, token="0" * 64)
    seen.saw("again, out of date", visitor)
    visitor.set_cookie(SESSION, "")
    visitor.post("/login", {"username": "bora", "password": PASSWORD})
    seen.saw("signed in on a remembered device", visitor, 303)
    visitor.ask(site.client("Cautious"), acr_values="urn:mcp-core:two-factor")
    seen.saw("again, for an application", visitor)
    visitor.get("/sign-out")
    seen.saw("sign out?", visitor)
    visitor.post("/sign-out")
    seen.saw("signed out", visitor, 303)
    elsewhere = Visitor(site, language=language)
    elsewhere.sign_in(bora)
    elsewhere.get("/account/sessions")
    seen.saw("sessions, remembered where nobody is signed in", elsewhere)
    for device in elsewhere.page.forms:
        if device.has("session"):
            elsewhere.post("/account/sessions", {"session": device.fields["session"][0]})
    seen.saw("device forgotten", elsewhere, 303)
    elsewhere.follow()
    seen.saw("sessions, after forgetting", elsewhere)
    site.later(seconds=1)
    visitor.follow()
    seen.saw("login, after signing out", visitor)
    _closed(seen, site, bora, visitor)


def _closed(seen: Walk, site: Site, bora: Account, visitor: Visitor) -> None:
    """What a hundred wrong passwords and codes leave behind."""
    for way in Way:
        close(site, bora, way)
    visitor.post("/login", {"username": "bora", "password": PASSWORD})
    stranger = Visitor(site, language=visitor.language)
    stranger.set_cookie(STEP, visitor.cookie(STEP))
    stranger.post("/login/code", {"code": site.fresh_code(bora)})
    seen.saw("code, not taken", stranger, 400)
    visitor.post("/login/code", {"code": site.fresh_code(bora)})
    seen.saw("signed in and told of closings", visitor)
    close(site, bora, Way.CODE)
    visitor.get("/account")
    seen.saw("account, closed elsewhere", visitor)
    close(site, bora, Way.CODE, is_known_device=True)
    visitor.get("/account")
    seen.saw("account, closed everywhere", visitor)


def _account(seen: Walk, site: Site, language: str) -> None:
    ana = site.account("ana")
    other = Visitor(site, language=language)
    other.sign_in(ana)
    visitor = Visitor(site, language=language)
    visitor.sign_in(ana)
    for path in ("", *ACCOUNT_PAGES):
        visitor.get(f"/account{path}")
        seen.saw(f"account{path}", visitor)
    visitor.post("/account/second-factor", {"action": "begin"})
    visitor.follow()
    seen.saw("account, QR code", visitor)
    ana.secret = next(it.text for it in visitor.document.all("code") if "secret" in it.get("class")).replace(" ", "")
    visitor.post("/account/second-factor", {"action": "confirm", "code": "12"})
    seen.saw("account, wrong first code", visitor, 400)
    visitor.post("/account/second-factor", {"action": "confirm", "code": site.code(ana)})
    seen.saw("two-step sign-in on", visitor, 303)
    visitor.follow()
    seen.saw("recovery codes", visitor)
    codes = [it.text for it in visitor.document.all("li") if it.inside("main")]
    visitor.post(visitor.page.url, {"code": "x"})
    seen.saw("recovery codes, wrong one typed", visitor, 400)
    visitor.get("/account")
    seen.saw("account, codes unproved", visitor)
    visitor.post("/account/second-factor/recovery-codes", {"code": codes[3]})
    seen.saw("recovery codes typed back", visitor, 303)
    visitor.follow()
    seen.saw("account, codes typed back", visitor)
    site.resource(name=HOSTILE[:60])
    visitor.get("/account/api-keys/new")
    seen.saw("new key, with APIs", visitor)
    visitor.post("/account/api-keys/new", {"name": "", "days": "1", "scope": "admin", "resource": "https://x.example"})
    seen.saw("new key, with mistakes", visitor, 400)
    visitor.post("/account/api-keys/new", {"name": "backup", "days": "30", "scope": "admin"})
    seen.saw("new key, too much", visitor, 400)
    visitor.post("/account/api-keys/new", {"name": HOSTILE[:64], "days": "30"})
    seen.saw("key made", visitor, 303)
    visitor.follow()
    seen.saw("key", visitor)
    rotate = f"{visitor.page.url}/rotate"
    visitor.get(rotate)
    seen.saw("new secret?", visitor)
    form = visitor.page.form("version")
    visitor.post(rotate, {"version": form.fields["version"][0], "hours": "2", "days": ""})
    seen.saw("new secret, with mistakes", visitor, 400)
    visitor.post(rotate, {"version": form.fields["version"][0], "hours": "24", "days": ""})
    seen.saw("key rotated", visitor, 303)
    visitor.follow()
    seen.saw("key, with two secrets", visitor)
    site.later(minutes=11)
    visitor.get(visitor.page.url)
    seen.saw("key, later", visitor)
    visitor.get("/account/api-keys")
    seen.saw("keys", visitor)
    revoke = next(it.get("href") for it in visitor.document.all("a") if it.get("href").endswith("/revoke"))
    visitor.get(revoke)
    seen.saw("revoke?", visitor)
    visitor.post(revoke)
    seen.saw("revoked", visitor, 303)
    visitor.follow()
    seen.saw("keys, after revoking", visitor)
    visitor.post("/account/sessions", {"action": "end-others"})
    seen.saw("sessions ended", visitor, 303)
    visitor.follow()
    seen.saw("sessions, after ending", visitor)
    visitor.post("/account/preferences", {"time_zone": "Asia/Seoul", "theme": "dark", "language": language})
    seen.saw("time zone", visitor, 303)
    visitor.follow()
    seen.saw("preferences, zone chosen", visitor)
    _profile(seen, visitor)
    visitor.get("/")
    seen.saw("front door", visitor, 303)
    visitor.get("/.well-known/change-password")
    seen.saw("change-password", visitor, 303)
    visitor.post("/language", {"language": language, "back": "/account"})
    seen.saw("language", visitor, 303)


def _recovery(seen: Walk, site: Site, language: str) -> None:
    visitor = Visitor(site, language=language)
    ana = site.account("ana", locale=language)
    visitor.sign_in(ana)
    for path, wrong in (
        ("password", {"password": "short"}),
        ("email", {"email": HOSTILE}),
        ("username", {"username": HOSTILE}),
    ):
        visitor.get(f"/account/{path}")
        seen.saw(f"/account/{path}", visitor)
        visitor.post(f"/account/{path}", wrong)
        seen.saw(f"/account/{path} with mistakes", visitor, 400)
    visitor.post("/account/username", {"username": "anna"})
    seen.saw("user name changed", visitor, 303)
    visitor.follow()
    seen.saw("user name, which stays for a while", visitor)
    visitor.post("/account/email", {"email": "ana@elsewhere.example"})
    seen.saw("address asked for", visitor, 303)
    visitor.follow()
    seen.saw("address to be confirmed", visitor)
    for name, letter in (("confirm", "address_confirm"), ("undo", "address_changed")):
        link = _path(site, letter)
        visitor.get(link)
        seen.saw(f"/email, {name}", visitor)
        visitor.post(link, {})
        seen.saw(f"/email, {name} done", visitor, 303)
        visitor.get(link)
        seen.saw(f"/email, {name} over", visitor, 404)
    visitor.post("/login", {"username": "anna", "password": PASSWORD})
    seen.saw("password to be given up", visitor)
    _forgotten(seen, site, visitor)
    _lost(seen, site, visitor)


def _forgotten(seen: Walk, site: Site, visitor: Visitor) -> None:
    site.account("bora", second_factor=True, locale=visitor.language)
    visitor.get("/forgot")
    seen.saw("forgot", visitor)
    visitor.post("/forgot", {"username": ""})
    seen.saw("forgot, nothing typed", visitor, 400)
    visitor.post("/forgot", {"username": "bora"})
    seen.saw("forgot, asked", visitor, 303)
    visitor.follow()
    seen.saw("forgot, sent", visitor)
    ResetAnswers(site.engine, lambda: site.now, site.services.forgotten_passwords).answer_waiting()
    link = _path(site, "password_reset")
    visitor.get(link)
    seen.saw("reset", visitor)
    visitor.post(link, {"password": "", "code": ""})
    seen.saw("reset, nothing typed", visitor, 400)
    with Transaction(site.engine) as tx:
        user = site.services.users.find_by_login(tx, "anna")
        assert user is not None
        token = site.services.sessions.start(tx, site.by, user.id, ("pwd",))
        link = site.services.new_passwords.send_link(tx, site.by, user, letter="password_reset").removeprefix(ORIGIN)
    owner = Visitor(site, language=visitor.language)
    owner.set_cookie(SESSION, token)
    owner.add_passkey()
    visitor.get(link)
    seen.saw("reset, with a passkey", visitor)
    visitor.post(link, {"password": PASSWORD.upper(), "credential": "{}"})
    seen.saw("reset, wrong passkey", visitor, 400)


def _lost(seen: Walk, site: Site, visitor: Visitor) -> None:
    owner = Visitor(site, language=visitor.language)
    bora = site.account("cora", second_factor=True, locale=visitor.language)
    owner.sign_in(bora)
    site.later(minutes=1)
    visitor.post("/login", {"username": "cora", "password": PASSWORD})
    visitor.get("/login/lost")
    seen.saw("lost", visitor)
    visitor.post("/login/lost")
    seen.saw("lost, asked", visitor, 303)
    visitor.follow()
    seen.saw("code, after a link was asked for", visitor)
    link = _path(site, "second_factor_wait_asked")
    visitor.get(link)
    seen.saw("wait?", visitor)
    visitor.post(link, {"action": "begin"})
    seen.saw("wait begun", visitor, 303)
    visitor.get("/login/lost")
    seen.saw("lost, while a wait runs", visitor)
    owner.get("/account")
    seen.saw("account, while a wait runs", owner)
    link = _path(site, "second_factor_wait_begun")
    visitor.get(link)
    seen.saw("stop the wait?", visitor)
    visitor.post(link)
    seen.saw("wait stopped", visitor, 303)
    owner.post("/account/second-factor/stop-wait")
    seen.saw("wait stopped on the account page", owner, 303)


def _path(site: Site, letter: str) -> str:
    return site.letters(letter)[-1].link.removeprefix(ORIGIN)


def _passkeys(seen: Walk, site: Site, language: str) -> None:
    visitor = Visitor(site, language=language)
    visitor.sign_in(site.account("dora"))
    visitor.get("/account/passkeys")
    seen.saw("passkeys, none", visitor)
    visitor.post("/account/passkeys", {"credential": "{}", "name": ""})
    seen.saw("passkeys, mistakes", visitor, 400)
    device = visitor.add_passkey(HOSTILE[:64])
    seen.saw("passkey added", visitor, 303)
    visitor.follow()
    seen.saw("recovery codes", visitor)
    visitor.get("/account/passkeys")
    seen.saw("passkeys", visitor)
    visitor.get("/account")
    seen.saw("account, passkeys", visitor)
    visitor.get("/account/second-factor")
    seen.saw("account, second factor beside passkeys", visitor)
    visitor.get("/.well-known/passkey-endpoints")
    seen.saw("passkey endpoints", visitor)
    with Transaction(site.engine) as tx:
        user = site.services.users.find_by_login(tx, "dora")
        assert user is not None
        (passkey,) = site.services.passkeys.list(tx, user.id)
        site.services.passkeys.suspect(tx, site.by, user, passkey, 0)
    visitor.get(f"/account/passkeys/{passkey.id}")
    seen.saw("passkey", visitor)
    visitor.post(visitor.page.url, {"action": "rename", "name": "\n"})
    seen.saw("passkey, wrong name", visitor, 400)
    site.later(minutes=20)
    visitor.get("/account/passkeys")
    seen.saw("passkeys, signed in long ago", visitor)
    visitor.get("/login/again?to=passkeys")
    seen.saw("again, with a passkey", visitor)
    visitor.post("/login/again?to=passkeys", {"credential": "{}"})
    seen.saw("again, wrong passkey", visitor, 400)
    visitor.post("/login/again?to=passkeys", {"credential": device.get(visitor.asked())})
    seen.saw("proved again by a passkey", visitor, 303)
    other = Visitor(site, language=language)
    other.get("/login")
    other.post("/login", {"credential": "{}"})
    seen.saw("login, wrong passkey", other, 400)
    other.post("/login", {"username": "dora", "password": PASSWORD})
    other.get("/login/code")
    seen.saw("code, by a passkey", other)
    other.get("/login/code?with=recovery-code")
    seen.saw("recovery code in place of a passkey", other)
    visitor.post(f"/account/passkeys/{passkey.id}", {"action": "remove"})
    seen.saw("passkey removed", visitor, 303)
    visitor.follow()
    seen.saw("passkeys, after removing", visitor)


def _profile(seen: Walk, visitor: Visitor) -> None:
    visitor.post("/account/profile", {"website": "javascript:alert(1)", "given_name": HOSTILE, "gender": "x"})
    seen.saw("profile with mistakes", visitor, 400)
    visitor.post("/account/profile", {"shown": "", "given_name": "Ana"})
    seen.saw("profile, not taken: changed meanwhile", visitor, 400)
    visitor.post("/account/profile", {"display_name": HOSTILE[:90], "given_name": HOSTILE[:90]})
    seen.saw("profile saved", visitor, 303)
    visitor.follow()
    seen.saw("profile, filled in", visitor)
    visitor.post("/account/profile/picture")
    seen.saw("picture, nothing typed", visitor, 400)


def _applications(seen: Walk, site: Site, language: str) -> None:
    cyrus = site.account("cyrus")
    vouched = site.client(HOSTILE)
    unvouched = site.client("Self Made", is_vouched=False, redirect_uris=["https://self.example/cb"])
    native = site.client(
        "Editor",
        is_vouched=False,
        application_type="native",
        redirect_uris=[LOOPBACK],
        token_endpoint_auth_method="none",
        resource="https://reports.example/api",
        scope=("reports:read",),
    )
    visitor = Visitor(site, language=language)
    visitor.ask(vouched)
    seen.saw("login for an application", visitor)
    visitor.sign_in(cyrus, visitor.page.url)
    visitor.follow()
    seen.saw("consent", visitor)
    answered = visitor.page.url
    visitor.post(answered, {"decision": "allow"}, token="0" * 64)
    seen.saw("consent, out of date", visitor)
    visitor.post(answered, {"decision": "allow"})
    seen.saw("allowed", visitor, 303)
    visitor.follow()
    assert visitor.to.startswith(CALLBACK)
    visitor.get("/account/apps")
    seen.saw("apps", visitor)
    visitor.post("/account/apps", {"consent": visitor.page.form("consent").fields["consent"][0]})
    seen.saw("disconnected", visitor, 303)
    visitor.follow()
    seen.saw("apps, after disconnecting", visitor)
    visitor.ask(unvouched)
    seen.saw("consent, unvouched", visitor)
    visitor.ask(native, scope="reports:read", redirect_uri="http://127.0.0.1:4711/callback")
    seen.saw("consent, loopback", visitor)
    visitor.post(visitor.page.url, {"decision": "cancel"})
    seen.saw("cancelled", visitor, 303)
    developers = site.group("developers")
    board = site.client(HOSTILE, only_groups=[developers], details=ClientDetails(contacts=(HOSTILE,)))
    visitor.ask(board)
    seen.saw("members only", visitor, 403)
    visitor.post(visitor.page.url, {})
    seen.saw("members only, gone back", visitor, 303)
    site.resource("https://board.example/api", "Board", scope=("post",), scope_groups={"post": (developers,)})
    visitor.ask(vouched, scope="openid post", resource="https://board.example/api")
    seen.saw("consent, a scope is not given", visitor)
    visitor.ask(unvouched, scope="nonsense")
    seen.saw("authorization error with a way back", visitor, 400)
    visitor.ask(vouched, client_id="app_nobody")
    seen.saw("authorization error", visitor, 400)
    visitor.get("/login?request=nothing")
    seen.saw("request over", visitor, 400)
    visitor.get(answered)
    seen.saw("request over, with a way back", visitor, 400)


def _grace(seen: Walk, site: Site, language: str) -> None:
    ana, visitor = site.account("ana"), Visitor(site, language=language)
    visitor.sign_in(ana)
    visitor.follow()
    seen.saw("second factor demanded, with grace", visitor)
    visitor.get("/account")
    seen.saw("account, in grace", visitor)


def _watching(seen: Walk, site: Site, language: str) -> None:
    """What a person does who thinks of somebody else in the account."""
    dara = site.account("dara")
    visitor = Visitor(site, language=language)
    visitor.sign_in(dara)
    with Transaction(site.engine) as tx:
        site.services.alerts.tell(tx, site.by, dara.user, Alert.NEW_DEVICE)
    link = letters(site.engine, site.services.keyring, to=dara.user.email)[-1].link.removeprefix(ORIGIN)
    visitor.get(link)
    seen.saw("this wasn't you?", visitor)
    visitor.get("/account/activity")
    seen.saw("activity", visitor)
    visitor.get("/account/activity?kind=keys")
    seen.saw("activity, nothing of a kind", visitor)
    visitor.get("/account/lock-down")
    seen.saw("lock down?", visitor)
    visitor.post("/account/lock-down")
    seen.saw("locked down", visitor, 303)
    visitor.follow()
    seen.saw("account locked down", visitor)
    visitor.post(link)
    seen.saw("link of a letter over", visitor, 404)
    emil = site.account("emil")
    visitor.sign_in(emil)
    visitor.get("/account/data")
    seen.saw("data", visitor)
    visitor.post("/account/data")
    seen.saw("data asked for", visitor, 303)
    visitor.follow()
    seen.saw("data, being made", visitor)
    with Transaction(site.engine) as tx:
        site.services.data_exports.make_due(tx, site.now)
    visitor.get("/account/data")
    seen.saw("data, ready", visitor)
    visitor.get(next(it.get("href") for it in visitor.document.all("a") if "/account/data/" in it.get("href")))
    seen.saw("data, downloaded", visitor)
    visitor.get("/account/close")
    seen.saw("close?", visitor)
    visitor.post("/account/close", {"username": "somebody"})
    seen.saw("close, with mistakes", visitor, 400)
    visitor.post("/account/close", {"username": "emil"})
    seen.saw("closed", visitor, 303)
    visitor.follow()
    seen.saw("login, after closing", visitor)
    visitor.sign_in(emil)
    visitor.follow()
    seen.saw("open again?", visitor)
    visitor.post("/login/reopen")
    seen.saw("opened again", visitor, 303)
    visitor.follow()
    seen.saw("account, opened again", visitor)


def _errors(seen: Walk, site: Site, language: str) -> None:
    visitor = Visitor(site, language=language)
    visitor.get("/nothing/here")
    seen.saw("404", visitor, 404)
    for path in ("", "/1", "/1/html"):  # what is there for developers alone: test_mailbox.py
        visitor.get(f"/mailbox{path}")
        seen.saw("no mailbox here", visitor, 404)
    visitor.post("/account")
    seen.saw("405", visitor, 405)
    visitor.post("/login", {"username": "x"}, token="0" * 64)
    seen.saw("forged", visitor, 403)
    visitor.post("/login", {"username": "x" * 70_000})
    seen.saw("413", visitor, 413)
    _without_database(seen, site, visitor)


def _without_database(seen: Walk, site: Site, visitor: Visitor) -> None:
    database = Path(str(site.engine.url.database))
    token = visitor.token()
    site.engine.dispose()
    database.parent.rename(database.parent.with_suffix(".away"))
    try:
        visitor.post("/login", {"username": "ana", "password": PASSWORD}, token=token)
        seen.saw("503", visitor, 503)
    finally:
        site.engine.dispose()
        database.parent.with_suffix(".away").rename(database.parent)
