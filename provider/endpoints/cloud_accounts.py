"""Cloud accounts for programs: which there are, and credentials of one, for a purpose that is put on record.

Called with a person's token or one of their API key, which has the scope ``cloud:credentials``. Errors are problem details.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any

from database.transaction import Transaction
from provider.audit import AuditEvent
from provider.doors.endpoint import Endpoint
from provider.endpoints.bearer import Caller, caller
from provider.endpoints.lists import Lists, last_part
from provider.oauth_server import OAuthServer
from provider.protocol.errors import OAuthError, refuse_until
from provider.protocol.json_body import json_body
from provider.protocol.messages import ProtocolRequest, ProtocolResponse
from provider.protocol.scopes import CLOUD_CREDENTIALS
from provider.protocol.text import is_found, is_name
from provider.security.crypto import DecryptionFailed
from provider.security.rate_limit import Limit
from provider.tokens.token_records import AuthorizationGone
from provider.vault.account import CloudAccount
from provider.vault.cloud_tokens import Asker
from provider.vault.credentials import Given, NotKeyless, Want
from provider.vault.exchanges.exchange import Condition, ExchangeRefused

PATH = "/api/cloud-accounts"
GIVEN_OF_ACCOUNT = Limit("cloud credentials per account", 300, 3600)
GIVEN_TO_CLIENT = Limit("cloud credentials per person and client", 300, 3600)
MAX_PURPOSE, MAX_PURPOSE_BYTES = 200, 512  # what the record keeps of it
Handler = Callable[[Caller, ProtocolRequest, Transaction], ProtocolResponse]


def mount(server: OAuthServer) -> Sequence[Endpoint]:
    api = CloudAccountsApi(server)
    routes: dict[str, dict[str, Handler]] = {
        "": {"GET": api.list},
        "/<account_id>": {"GET": api.show},
        "/<account_id>/credentials": {"POST": api.give},
    }
    return [
        Endpoint(PATH + path, tuple(by), api.guarded(by), cors=True, bare="<" not in path, has_problems=True)
        for path, by in routes.items()
    ]


class CloudAccountsApi:
    def __init__(self, server: OAuthServer) -> None:
        self._services = server.services
        self._lists = Lists(server.services.keyring)

    def guarded(self, by_method: dict[str, Handler]) -> Callable[[ProtocolRequest, Transaction], ProtocolResponse]:
        def handle(request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
            known = caller(self._services, request, tx, CLOUD_CREDENTIALS, keys_too=True)
            return by_method["GET" if request.method == "HEAD" else request.method](known, request, tx)

        return handle

    def list(self, known: Caller, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        """The person's accounts, or the one of a label."""
        label, asked = request.query.get("label"), self._lists.asked(request, known.user.id, "cloud-accounts")
        kept = self._services.cloud_accounts.list(tx, known.user.id)
        named = [it for it in kept if label is None or it.label == label]
        found = [it for it in named if is_found(asked.word, it.label, it.cloud.title)]
        return self._lists.newest_first(asked, found, account_view)

    def show(self, known: Caller, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        return ProtocolResponse.json(account_view(self._account(known, last_part(request), tx)))

    def give(self, known: Caller, request: ProtocolRequest, tx: Transaction) -> ProtocolResponse:
        """Who got what, and for what, is committed before anything of it leaves, and before a cloud is asked."""
        purpose, want = _asked(json_body(request))
        account = self._account(known, request.path.split("/")[-2], tx)
        self._refuse_too_many(known, account, request, tx)
        asker = Asker(known.user.id, known.token.jti, name=known.client.client_id, program=known.client.name)
        try:
            given = self._services.cloud_credentials.give(tx, request.origin, account, asker, purpose, want)
        except NotKeyless:
            raise OAuthError("conflict", "This account has no such thing to give.", status=409) from None
        except DecryptionFailed:
            self._refused(tx, request, known, account, "unreadable")
            raise OAuthError(
                "conflict", "What is kept of this account does not open. Replace it.", status=409
            ) from None
        except AuthorizationGone:
            raise OAuthError("conflict", "What this rests on has just changed. Ask again.", status=409) from None
        except ExchangeRefused as refusal:
            raise _refusal_of_cloud(refusal.condition) from None
        return ProtocolResponse.json({"account": brief_view(account), **_given_view(given)})

    def _account(self, known: Caller, account_id: str, tx: Transaction) -> CloudAccount:
        """Somebody else's and an unknown one look alike."""
        found = self._services.cloud_accounts.find(tx, known.user.id, account_id)
        if found is None:
            raise OAuthError("not_found", "There is no such cloud account.", status=404)
        return found

    def _refuse_too_many(self, known: Caller, account: CloudAccount, request: ProtocolRequest, tx: Transaction) -> None:
        now = request.received_at
        for limit, key in (
            (GIVEN_TO_CLIENT, f"{known.user.id}|{known.client.id}"),
            (GIVEN_OF_ACCOUNT, account.id),
        ):
            until = self._services.rate_limits.hit(tx, limit, key, now)
            if until is not None:
                self._refused(tx, request, known, account, "limit")
                refuse_until(until, now)

    def _refused(
        self,
        tx: Transaction,
        request: ProtocolRequest,
        known: Caller,
        account: CloudAccount,
        reason: str,
    ) -> None:
        self._services.refusals.record(
            tx,
            AuditEvent.CLOUD_CREDENTIALS_REFUSED,
            request.origin,
            resource_type="cloud_accounts",
            resource_id=account.id,
            reason=reason,
            user_id=known.user.id,
            actor=known.client.client_id,
            client=known.client.name,
            label=account.label,
        )


def account_view(account: CloudAccount) -> dict[str, Any]:
    """What is kept of an account in clear. ``fields`` by the names of its form."""
    return {
        **brief_view(account),
        "is_primary": account.is_primary is True,
        "fields": account.shown(),
        "secrets_changed_at": _when(account.secrets_changed_at),
        "last_used_at": _when(account.last_used_at),
        "tested_at": _when(account.tested_at),
        "created_at": _when(account.created_at),
        "updated_at": _when(account.updated_at),
    }


def brief_view(account: CloudAccount) -> dict[str, str]:
    return {"id": account.id, "label": account.label, "provider": account.provider, "mode": account.mode}


def _given_view(given: Given) -> dict[str, Any]:
    said = {"assertion": given.assertion} if given.credentials is None else {"credentials": dict(given.credentials)}
    return {**said, "expires_at": _when(given.expires_at)}


def _refusal_of_cloud(condition: Condition) -> OAuthError:
    """The condition, and none of the cloud's own words: those are for the owner, on the page of the account."""
    if condition == Condition.CLOUD_UNREACHABLE:
        return OAuthError.temporarily_unavailable()
    if condition == Condition.LIMIT:
        return OAuthError.slow_down(60)
    return OAuthError("cloud_refused", f"The cloud gave nothing. What failed: {condition.value}.", status=409)


def _asked(said: object) -> tuple[str, Want]:
    """The purpose, and whether credentials or our own token for the cloud are wanted."""
    if not isinstance(said, dict) or not said.keys() <= {"purpose", "want"}:
        raise OAuthError.invalid_request("The body has purpose and want.")
    purpose, want = said.get("purpose"), said.get("want", "credentials")
    if not isinstance(purpose, str) or not is_name(purpose, MAX_PURPOSE) or len(purpose.encode()) > MAX_PURPOSE_BYTES:
        raise OAuthError.invalid_request(f"purpose is needed: 1 to {MAX_PURPOSE} printable characters of one line.")
    if want not in ("credentials", "assertion"):
        raise OAuthError.invalid_request("want is credentials or assertion.")
    return purpose, want


def _when(moment: datetime.datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
