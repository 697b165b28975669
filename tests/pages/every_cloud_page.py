"""Each page about cloud accounts, in each state that has markup of its own."""

from __future__ import annotations

from sqlalchemy import update

from database.models import CloudAccount
from database.transaction import Transaction
from provider.audit import AuditEvent
from provider.protocol.messages import Origin
from provider.security.outbound import Answered
from provider.vault.providers import PROVIDERS
from tests.pages.site import Account, Site, Visitor
from tests.pages.walking import HOSTILE, Walk
from tests.vault.cloud_world import ANSWER, ROLE
from tests.vault.samples import EVERY_WAY, fields_of

CLOUD_SECRET = {"access_key_id": "AKIA" + "A" * 16, "secret_access_key": "s" * 40}
CLOUD_GAVE = Answered(200, ANSWER.format(number=1, until="2026-07-01T13:00:00Z").encode())
CLOUD_REFUSED = Answered(403, b"<Error><Code>AccessDenied</Code><Message>Not you</Message></Error>")


def answer_in_place_of_clouds(site: Site, answer: Answered) -> None:
    """Whatever is asked of a cloud from now on gets this."""

    class Out:
        def ask(self, *_question: object, **_bounds: object) -> Answered:
            return answer

    with Transaction(site.engine) as tx:
        site.services.signing_keys.ensure(tx, site.now)
    site.services.cloud_credentials._outbound = Out()  # type: ignore[assignment]


def clouds(seen: Walk, site: Site, language: str) -> None:
    visitor = Visitor(site, language=language)
    visitor.sign_in(site.account("cleo"))
    for cloud in PROVIDERS.values():
        for mode in ("keyless", "secret") if cloud.keyless else ("secret",):
            path = f"/account/clouds/new/{cloud.name}/{mode}"
            visitor.get(path)
            seen.saw(f"new cloud, {cloud.name}, {mode}", visitor)
            visitor.post(path, {"label": HOSTILE})
            seen.saw(f"new cloud, {cloud.name}, {mode}, with mistakes", visitor, 400)
    made = []
    for path, fields in (
        ("/account/clouds/new/aws/secret", {**CLOUD_SECRET, "label": "old"}),
        ("/account/clouds/new/aws/keyless", {"label": "work", "role_arn": ROLE}),
    ):
        visitor.post(path, {**fields, "region": HOSTILE})
        seen.saw("cloud, with mistakes", visitor, 400)
        visitor.post(path, fields)
        seen.saw("cloud connected", visitor, 303)
        made.append(visitor.to)
        visitor.follow()
        seen.saw("cloud", visitor)
    secret, keyless = made
    visitor.get("/account/clouds")
    seen.saw("clouds", visitor)
    visitor.get("/account/clouds?q=nothing")
    seen.saw("clouds, none found", visitor)
    visitor.get(f"{secret}/change")
    seen.saw("cloud to be changed", visitor)
    visitor.post(f"{secret}/change", {"version": "1", "secret_access_key": "short", "region": HOSTILE})
    seen.saw("cloud to be changed, with mistakes", visitor, 400)
    visitor.post(f"{secret}/change", {"version": "7", "secret_access_key": ""})
    seen.saw("cloud changed meanwhile, with mistakes", visitor, 400)
    visitor.post(f"{secret}/change", {"version": "1", "region": "eu-central-1"})
    seen.saw("cloud changed", visitor, 303)
    answer_in_place_of_clouds(site, CLOUD_REFUSED)
    visitor.post(f"{keyless}/test")
    seen.saw("cloud tested, refused", visitor)
    answer_in_place_of_clouds(site, CLOUD_GAVE)
    visitor.post(f"{keyless}/test")
    seen.saw("cloud tested, works", visitor)
    visitor.post(f"{keyless}/primary")
    seen.saw("primary cloud", visitor, 303)
    visitor.follow()
    seen.saw("cloud, primary now", visitor)
    visitor.get("/account")
    seen.saw("account, with clouds", visitor)
    visitor.post("/account/clouds/new/aws/keyless", {"action": "name", "label": "Not So"})
    seen.saw("new cloud, name with mistakes", visitor, 400)
    visitor.post("/account/clouds/new/aws/keyless", {"label": "work", "role_arn": f"{ROLE}-2"})
    seen.saw("new cloud, name taken, with mistakes", visitor, 400)
    visitor.get(f"{secret}/remove")
    seen.saw("remove a cloud?", visitor)
    visitor.post(f"{secret}/remove")
    seen.saw("cloud removed", visitor, 303)
    visitor.follow()
    seen.saw("clouds, after removing", visitor)
    visitor.get(secret)
    seen.saw("cloud that is gone", visitor, 404)
    clio = site.account("clio", second_factor=True)
    visitor = Visitor(site, language=language)
    visitor.sign_in(clio)
    _connected_by_each_way(seen, visitor)
    _for_programs(seen, site, clio, visitor)
    _old_and_unreadable(seen, site, clio, visitor)


def _connected_by_each_way(seen: Walk, visitor: Visitor) -> None:
    for provider, mode in EVERY_WAY:
        visitor.post(f"/account/clouds/new/{provider}/{mode}", {"label": provider + mode, **fields_of(provider, mode)})
        seen.saw(f"cloud connected, {provider}, {mode}", visitor, 303)
        made = visitor.to
        visitor.follow()
        seen.saw(f"cloud, {provider}, {mode}", visitor)
        visitor.get(f"{made}/change")
        seen.saw(f"cloud to be changed, {provider}, {mode}", visitor)
    visitor.get("/account/clouds?q=oracle")
    seen.saw("clouds, some found", visitor)


def _for_programs(seen: Walk, site: Site, owner: Account, visitor: Visitor) -> None:
    """A key and an application that get credentials, and what is seen of it."""
    visitor.get("/account/api-keys/new")
    seen.saw("new key, clouds possible", visitor)
    visitor.post("/account/api-keys/new", {"name": "clouds", "days": "30", "access": "clouds"})
    seen.saw("key for clouds made", visitor, 303)
    visitor.follow()
    seen.saw("key for clouds", visitor)
    visitor.ask(site.client("Runner", scope=("openid", "cloud:credentials")), scope="openid cloud:credentials")
    seen.saw("consent, clouds", visitor)
    with Transaction(site.engine) as tx:
        account = next(it for it in site.services.cloud_accounts.list(tx, owner.user.id) if it.mode == "keyless")
        by = Origin(source="192.0.2.77", user_agent="python-httpx", request_id="r", now=site.now)
        for event, client, purpose in (
            (AuditEvent.CLOUD_CREDENTIALS_GIVEN, "Backup", "nightly copy"),
            (AuditEvent.CLOUD_CREDENTIALS_REFUSED, HOSTILE, HOSTILE),
            (AuditEvent.CLOUD_CREDENTIALS_GIVEN, "", "x" * 200),
        ):
            site.services.audit.record(
                tx,
                event,
                by,
                user_id=owner.user.id,
                actor="key_1",
                resource_type="cloud_accounts",
                resource_id=account.id,
                label=account.label,
                client=client,
                purpose=purpose,
            )
        tx.execute(update(CloudAccount).where(CloudAccount.id == account.id).values(last_used_at=site.now))
    visitor.get(f"/account/clouds/{account.id}")
    seen.saw("cloud, used", visitor)
    visitor.get(f"/account/clouds/{account.id}/remove")
    seen.saw("remove a cloud that was used?", visitor)
    visitor.get("/account/activity?kind=clouds")
    seen.saw("activity, clouds", visitor)


def _old_and_unreadable(seen: Walk, site: Site, owner: Account, visitor: Visitor) -> None:
    with Transaction(site.engine) as tx:
        known = {(it.provider, it.mode): it.id for it in site.services.cloud_accounts.list(tx, owner.user.id)}
        long_ago = site.now.replace(year=site.now.year - 1)
        old = update(CloudAccount).where(CloudAccount.secrets_changed_at.is_not(None))
        tx.execute(old.where(CloudAccount.user_id == owner.user.id).values(secrets_changed_at=long_ago))
    for way in (("aws", "secret"), ("oracle", "keyless")):
        visitor.get(f"/account/clouds/{known[way]}")
        seen.saw(f"cloud, old secret, {way[1]}", visitor)
    visitor.get("/account/clouds")
    seen.saw("clouds, old secrets", visitor)
    with Transaction(site.engine) as tx:
        damaged = update(CloudAccount).where(CloudAccount.id == known["oracle", "keyless"])
        tx.execute(damaged.values(secret_key_encrypted="damaged"))
    visitor.post(f"/account/clouds/{known['oracle', 'keyless']}/test")
    seen.saw("cloud that can't be read, with mistakes", visitor, 400)
