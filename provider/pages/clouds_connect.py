"""A cloud account is connected: without a secret in three steps on one page, or with one."""

from __future__ import annotations

from flask import Blueprint, abort, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.pages import clouds_form, clouds_trust, clouds_words
from provider.pages.clouds import PAGE
from provider.vault.account import CloudAccount
from provider.vault.cloud_accounts import (
    MAX_ACCOUNTS,
    LabelTaken,
    OwnerNotReady,
    SecretUnreadable,
    TooManyAccounts,
    is_label,
)
from provider.vault.fields import InvalidCloudField, checked
from provider.vault.providers import PROVIDERS, CloudProvider
from provider.vault.providers.cloud import Mode
from provider.web import current, forms, locale
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render, see_other

pages = Blueprint("clouds_connect", __name__)
_PAGE = f"{PAGE}/new/<provider>/<mode>"


@pages.get(_PAGE)
@signed_in_only("new-cloud", recently=True, confirmed=True)
def show(provider: str, mode: str) -> Response:
    cloud, way = _way(provider, mode)
    return _form(cloud, way, _free_label(cloud), forms.Problems())


@pages.post(_PAGE)
@signed_in_only("new-cloud", recently=True, confirmed=True)
def connect(provider: str, mode: str) -> Response:
    """Keeps the account and leads to its page. The same form sent twice leads there twice."""
    cloud, way = _way(provider, mode)
    label, fields, problems = forms.text("label", limit=255), cloud.fields(way), forms.Problems()
    if locale.is_chosen_here():
        return _form(cloud, way, label, problems)
    if forms.text("action") == "name":
        return _named(cloud, way, label, problems)
    said = clouds_form.typed(fields)
    accounts, tx, owner_id = current.services().cloud_accounts, current.tx(), here().user.id
    try:
        made = accounts.connect(tx, current.origin(), owner_id, label=label, provider=cloud.name, mode=way, said=said)
    except InvalidCloudField as problem:
        if problem.name == "label":
            problems.add("label", clouds_words.of_label())
        else:
            clouds_form.add(problems, problem)
    except LabelTaken:
        known = next(account for account in accounts.list(tx, owner_id) if account.label == label)
        if _is_what_was_said(known, cloud, way, said):
            return see_other(f"{PAGE}/{known.id}", notice="cloud-connected")
        problems.add("label", _("You already have a cloud account of this name. Choose another."))
    except OwnerNotReady:
        return see_other("/account")
    except TooManyAccounts:
        problems.add("", _("You have %(num)d cloud accounts, as many as there can be.", num=MAX_ACCOUNTS))
    else:
        return see_other(f"{PAGE}/{made.id}", notice="cloud-connected")
    return _form(cloud, way, label, problems)


def _named(cloud: CloudProvider, mode: Mode, label: str, problems: forms.Problems) -> Response:
    """The page once more with the name that was chosen, since what is set up in the cloud has it in it."""
    if not is_label(label):
        problems.add("label", clouds_words.of_label())
        return _form(cloud, mode, label, problems)
    return see_other(f"{PAGE}/new/{cloud.name}/{mode}?label={label}")


def _way(provider: str, mode: str) -> tuple[CloudProvider, Mode]:
    """The cloud and the way that the address names. Answers 404 for what can't be connected."""
    cloud = PROVIDERS.get(provider)
    ways: dict[str, Mode] = {"keyless": "keyless", "secret": "secret"}
    if cloud is None or mode not in ways or not cloud.fields(ways[mode]):
        abort(404)
    return cloud, ways[mode]


def _is_what_was_said(known: CloudAccount, cloud: CloudProvider, mode: Mode, said: dict[str, str]) -> bool:
    """Whether the account is the one that this same form has made: nothing of it leaves for the page."""
    if (known.provider, known.mode, known.version) != (cloud.name, mode, 1):
        return False
    values, _secrets = cloud.read(mode, said)
    try:
        return current.services().cloud_accounts.opened(known) == values
    except SecretUnreadable:
        return False


def _free_label(cloud: CloudProvider) -> str:
    """The name that the address asks for, or the first one that the person has not given yet."""
    taken = {account.label for account in current.services().cloud_accounts.list(current.tx(), here().user.id)}
    asked = request.args.get("label", "")
    names = (cloud.name, *(f"{cloud.name}-{number}" for number in range(2, MAX_ACCOUNTS + 2)))
    return asked if is_label(asked) else next(name for name in names if name not in taken)


def _setup(cloud: CloudProvider, label: str) -> clouds_trust.Setup:
    """With what was typed so far, where it is right."""
    values, _problems = checked(cloud.keyless, clouds_form.typed(cloud.keyless))
    shown = {field.name for field in cloud.keyless if not field.is_sealed}
    return clouds_trust.setup_of(cloud, label, {name: text for name, text in values.items() if name in shown})


def _form(cloud: CloudProvider, mode: Mode, label: str, problems: forms.Problems) -> Response:
    """A ``label`` that nothing can be called is shown where it was typed, and never in texts to paste."""
    fields, usable = cloud.fields(mode), label if is_label(label) else _free_label(cloud)
    return render(
        "clouds/connect.html",
        status=400 if problems else 200,
        problems=problems,
        user=here().user,
        cloud=cloud,
        cloud_in_sentence=clouds_words.within_a_sentence(cloud),
        mode=mode,
        label=usable,
        typed_label=label,
        can_test=mode == "keyless",
        in_the_way=clouds_trust.what_is_in_the_way() if mode == "keyless" else "",
        setup=_setup(cloud, usable) if mode == "keyless" else None,
        fields=clouds_form.fields_of(cloud, fields, clouds_form.typed(fields)),
    )
