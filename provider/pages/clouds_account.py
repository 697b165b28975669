"""One cloud account: what is kept of it, tested, changed, made the primary one, removed."""

from __future__ import annotations

from flask import Blueprint, abort
from markupsafe import Markup
from werkzeug.wrappers import Response

from provider.pages import clouds_form, clouds_programs, clouds_trust, clouds_words
from provider.pages.activity import uses_of
from provider.pages.clouds import PAGE, own_account
from provider.pages.clouds_conditions import Outcome, outcome_of
from provider.tokens.token_records import AuthorizationGone
from provider.vault.account import CloudAccount
from provider.vault.cloud_accounts import ChangedMeanwhile, OwnerNotReady, SecretUnreadable
from provider.vault.fields import InvalidCloudField
from provider.web import current, forms, locale
from provider.web.guards import here, signed_in_only
from provider.web.rendering import code, render, see_other

pages = Blueprint("clouds_account", __name__)
_PAGE = f"{PAGE}/<account_id>"
_USES = 10


@pages.get(_PAGE)
@signed_in_only("clouds")
def show(account_id: str) -> Response:
    return page(own_account(account_id), forms.Problems())


@pages.post(f"{_PAGE}/primary")
@signed_in_only("clouds", recently=True, confirmed=True)
def make_primary(account_id: str) -> Response:
    account, problems = own_account(account_id), forms.Problems()
    try:
        if not account.is_primary:  # the same form sent twice does it once
            current.services().cloud_accounts.make_primary(current.tx(), current.origin(), account)
    except ChangedMeanwhile:
        problems.add("", clouds_words.changed_meanwhile())
    except SecretUnreadable:
        problems.add("", clouds_words.unreadable())
    except OwnerNotReady:
        return see_other("/account")
    else:
        return see_other(f"{PAGE}/{account.id}", notice="cloud-made-primary")
    return page(account, problems)


@pages.post(f"{_PAGE}/test")
@signed_in_only("clouds", confirmed=True)
def test(account_id: str) -> Response:
    account, problems = own_account(account_id), forms.Problems()
    if account.mode != "keyless":
        abort(404)
    try:
        tested = current.services().cloud_tests.test(current.tx(), current.origin(), account, here().session.id)
    except AuthorizationGone:
        problems.add("", clouds_words.changed_meanwhile())
    except SecretUnreadable:
        problems.add("", clouds_words.unreadable())
    else:
        return page(own_account(account_id), problems, outcome_of(account, tested.condition, tested.said))
    return page(own_account(account_id), problems)


@pages.get(f"{_PAGE}/change")
@signed_in_only("clouds", recently=True, confirmed=True)
def show_form(account_id: str) -> Response:
    account = own_account(account_id)
    return _form(account, account.shown(), forms.Problems())


@pages.post(f"{_PAGE}/change")
@signed_in_only("clouds", recently=True, confirmed=True)
def change(account_id: str) -> Response:
    account, problems = own_account(account_id), forms.Problems()
    said = clouds_form.typed(account.fields)
    if locale.is_chosen_here():
        return _form(account, said, problems)
    version = forms.text("version", limit=9)
    seen = int(version) if version.isascii() and version.isdigit() else 0
    try:
        current.services().cloud_accounts.replace(current.tx(), current.origin(), account, said, seen=seen)
    except InvalidCloudField as problem:
        clouds_form.add(problems, problem)
        return _form(account, said, problems)
    except ChangedMeanwhile:
        problems.add("", clouds_words.changed_meanwhile())
        now = own_account(account_id)
        return _form(now, {**now.shown(), **clouds_form.unseen(now.fields, said)}, problems)
    except OwnerNotReady:
        return see_other("/account")
    return see_other(f"{PAGE}/{account.id}", notice="cloud-changed")


@pages.get(f"{_PAGE}/remove")
@signed_in_only("clouds", recently=True)
def confirm_removal(account_id: str) -> Response:
    return render("clouds/remove.html", user=here().user, account=own_account(account_id))


@pages.post(f"{_PAGE}/remove")
@signed_in_only("clouds", recently=True)
def remove(account_id: str) -> Response:
    current.services().cloud_accounts.remove(current.tx(), current.origin(), own_account(account_id))
    return see_other(PAGE, notice="cloud-removed")


def _kept(account: CloudAccount) -> set[str]:
    """The fields that have a value which no page shows."""
    return {field.name for field in account.fields if field.is_sealed and field.column in account.sealed}


def _facts(account: CloudAccount) -> list[tuple[str, str | Markup]]:
    """What is kept in clear, by what it is called: what was chosen in words, what was typed letter by letter."""
    shown = account.shown()
    return [
        (
            clouds_words.of_field(account.cloud, field).label,
            clouds_words.of_choice(shown[field.name]) if field.choices else code(shown[field.name]),
        )
        for field in account.kept_fields
        if field.name in shown
    ]


def page(account: CloudAccount, problems: forms.Problems, tested: Outcome | None = None) -> Response:
    """``tested`` is what a test has just found."""
    return render(
        "clouds/account.html",
        status=400 if problems else 200,
        problems=problems,
        user=here().user,
        account=account,
        cloud_name=clouds_words.of_cloud(account.cloud),
        cloud_in_sentence=clouds_words.within_a_sentence(account.cloud),
        now=current.now(),
        facts=_facts(account),
        tested=tested,
        can_test=account.mode == "keyless",
        in_the_way=clouds_trust.what_is_in_the_way() if account.mode == "keyless" else "",
        setup=clouds_trust.setup_of(account.cloud, account.label, account.shown())
        if account.mode == "keyless"
        else None,
        snippets=clouds_programs.snippets(account, current.settings().origin),
        uses=uses_of(account.id, _USES) if account.last_used_at else [],
        mode=clouds_words.of_mode(account.mode),
    )


def _form(account: CloudAccount, values: dict[str, str], problems: forms.Problems) -> Response:
    return render(
        "clouds/change.html",
        status=400 if problems else 200,
        problems=problems,
        user=here().user,
        account=account,
        cloud_name=clouds_words.of_cloud(account.cloud),
        fields=clouds_form.fields_of(account.cloud, account.fields, values, _kept(account)),
    )
