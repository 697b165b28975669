"""What a test of a cloud account found, in words: which condition failed, and what to change where."""

from __future__ import annotations

from dataclasses import dataclass

from flask_babel import gettext as _
from markupsafe import Markup, escape

from provider.pages import clouds_words
from provider.pages.clouds_trust import setup_of
from provider.vault.account import CloudAccount
from provider.vault.exchanges.exchange import Condition
from provider.web.rendering import code


@dataclass(frozen=True, slots=True)
class Outcome:
    """``remedy`` is None where it works; values in it are marked as such. ``said`` are the cloud's own words, for the owner
    alone."""

    works: bool
    sentence: str
    remedy: Markup | None = None
    said: str = ""


def outcome_of(account: CloudAccount, condition: Condition | None, said: str = "") -> Outcome:
    """``condition`` is what failed, None where the cloud gave credentials."""
    cloud = clouds_words.of_cloud(account.cloud)
    if condition is None:
        return Outcome(True, _("It works: %(cloud)s gave credentials for a token of this service.", cloud=cloud))
    sentence, remedy = _words(cloud)[condition]
    trust = setup_of(account.cloud, account.label, account.shown()).trust
    values = {"issuer": code(trust.issuer), "audience": code(trust.audience), "subject": code(trust.subject)}
    return Outcome(False, str(sentence), escape(remedy) % values, said)


def _words(cloud: str) -> dict[Condition, tuple[str, str]]:
    """What failed, and what to do. The latter has the names of values where they belong."""
    return {
        Condition.ISSUER_UNREACHABLE: (
            _("%(cloud)s could not read the keys of this service.", cloud=cloud),
            _("It has to reach %(issuer)s over the internet, by HTTPS."),
        ),
        Condition.ISSUER: (
            _("%(cloud)s does not trust this service.", cloud=cloud),
            _("Add an identity provider there whose issuer is exactly %(issuer)s"),
        ),
        Condition.AUDIENCE: (
            _("%(cloud)s did not accept the audience.", cloud=cloud),
            _("Allow exactly this audience there: %(audience)s"),
        ),
        Condition.SUBJECT: (
            _("%(cloud)s did not accept the subject.", cloud=cloud),
            _("The condition there has to name exactly this subject: %(subject)s"),
        ),
        Condition.SIGNATURE: (
            _("%(cloud)s could not verify the signature.", cloud=cloud),
            _("It may still hold older keys of this service. Try again in an hour."),
        ),
        Condition.EXPIRED: (
            _("For %(cloud)s, the token had expired already.", cloud=cloud),
            _("The clock of this server may be wrong. Tell the people who run it."),
        ),
        Condition.ROLE: (
            _("%(cloud)s did not let this service take the role or account.", cloud=cloud),
            _(
                "Check that it exists, that its name is right here, and that its trust policy names this subject: "
                "%(subject)s"
            ),
        ),
        Condition.CLOUD_UNREACHABLE: (
            _("%(cloud)s did not answer.", cloud=cloud),
            _("Try again in some minutes. If you have entered an address of your own, check it."),
        ),
        Condition.LIMIT: (
            _("That was asked too often."),
            _("Wait some minutes, then test again."),
        ),
        Condition.OTHER: (
            _("%(cloud)s gave no credentials.", cloud=cloud),
            _("What it said itself may tell why."),
        ),
    }
