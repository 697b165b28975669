"""Cloud accounts: the list of them, and the choice of a cloud to connect."""

from __future__ import annotations

from flask import Blueprint, abort
from werkzeug.wrappers import Response

from provider.pages import clouds_trust, clouds_words
from provider.vault.account import CloudAccount
from provider.vault.cloud_accounts import MAX_ACCOUNTS
from provider.vault.providers import PROVIDERS
from provider.web import current, listing
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render

pages = Blueprint("clouds", __name__)
PAGE = "/account/clouds"


@pages.get(PAGE)
@signed_in_only("clouds")
def show() -> Response:
    known, accounts = here(), current.services().cloud_accounts
    return render(
        "clouds/list.html",
        user=known.user,
        page=listing.page_of(accounts.listed(known.user.id, listing.search())),
        of_mode=clouds_words.of_mode,
        of_cloud=clouds_words.of_cloud,
        now=current.now(),
        most=MAX_ACCOUNTS,
        is_full=len(accounts.list(current.tx(), known.user.id)) >= MAX_ACCOUNTS,
    )


@pages.get(f"{PAGE}/new")
@signed_in_only("new-cloud", recently=True, confirmed=True)
def choose() -> Response:
    return render(
        "clouds/choose.html",
        in_the_way=clouds_trust.what_is_in_the_way(),
        user=here().user,
        clouds=PROVIDERS.values(),
        of_mode=clouds_words.of_mode,
        of_cloud=clouds_words.of_cloud,
    )


def own_account(account_id: str) -> CloudAccount:
    """The account of this id, if it is the user's own. Answers 404 for every other, whether there is one or not."""
    return current.services().cloud_accounts.find(current.tx(), here().user.id, account_id) or abort(404)
