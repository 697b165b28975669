"""Sentences that more than one page says: what a scope means, what is wrong with a password, what was just done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flask import g
from flask_babel import gettext as _

from provider.protocol.client import Resource
from provider.sign_in.passwords import WeakPassword
from provider.web import current
from provider.web.locale import language


@dataclass(frozen=True)
class ScopeSentence:
    """What a scope allows, in words. ``lasts``: what comes of it goes on while the person is away. ``warning`` is what else
    is to be known before it is allowed, empty where the sentence says it all."""

    name: str
    sentence: str
    lasts: bool = False
    warning: str = ""


def scope_sentences(scope: Iterable[str], api: Resource | None = None) -> list[ScopeSentence]:
    """What each scope allows: in our words, in those of the API's operator, or else by its name.

    ``api`` is the API that the scopes are asked for, None for this server itself.
    """
    wanted = [*scope]
    if not wanted:
        return []
    ours = {
        "openid": _("See who you are (your account id)"),
        "profile": _("See your profile: your name, user name, picture and what else you have filled in there"),
        "email": _("See your e-mail address"),
        "phone": _("See your phone number"),
        "address": _("See your postal address"),
        "groups": _("See which groups you are in"),
        "offline_access": _("Keep this access while you are away, until you take it back"),
    }
    marked = ("offline_access", "api-keys:manage", "cloud:credentials") if api is None else ("offline_access",)
    warnings = {"cloud:credentials": _cloud_warning()} if api is None else {}
    return [
        ScopeSentence(name, ours.get(name) or _sentence(name, api), name in marked, warnings.get(name, ""))
        for name in wanted
    ]


def _cloud_warning() -> str:
    return str(
        _(
            "With them it can do in your clouds whatever they allow, at your cost. Allow this only to a program that you "
            "would hand the secret itself."
        )
    )


def _sentence(scope: str, api: Resource | None) -> str:
    if api is None:
        return str(_of_account().get(scope) or _("Use “%(scope)s”", scope=scope))
    return api.description(scope, language()) or str(_("Do what %(api)s calls “%(scope)s”", api=api.name, scope=scope))


def _of_account() -> dict[str, str]:
    """The scopes of this server's own API."""
    return {
        "account:read": _("See your account: profile, groups, sessions, connected apps and the names of your API keys"),
        "activity:read": _("See what has happened to your account, and from where"),
        "profile:write": _("Change your display name, language and time zone"),
        "sessions:manage": _("Sign your devices out"),
        "apps:manage": _("Disconnect apps"),
        "api-keys:manage": _(
            "Make API keys that can do what you may do and work on after you take this back, and revoke keys"
        ),
        "cloud:credentials": _("Get credentials of all your cloud accounts"),
    }


def weak_password(weakness: WeakPassword, shortest: int) -> str:
    sentences = {
        "too_short": _(
            "Use at least %(count)s characters. A few words in a row are easy to remember.",
            count=shortest,
        ),
        "too_long": _("Use at most 256 characters."),
        "same": _("That is the password you have to give up. Choose another one."),
        "common": _("This password is easy to guess: attackers try ones like it first. Add another word or two."),
        "personal": _("Leave your name, your e-mail address and the name of this service out of the password."),
    }
    return str(sentences.get(weakness.reason, _("Choose a password that is harder to guess.")))


def notice() -> str:
    """What the page before did, said once, where ``see_other`` has left a name of this list in the browser."""
    said = noticed()
    if not said:  # as on most pages, for which nothing is to be translated
        return ""
    sentences = {
        "recovery-codes-kept": _("Your recovery codes are saved."),
        "recovery-code-used": _codes_left() if said == "recovery-code-used" else "",
        "signed-out": _("You are signed out."),
        "step-expired": _("That took a little too long. Sign in again."),
        "address-confirmed": _("Your e-mail address is confirmed."),
        "address-corrected": _("The address is changed. We've sent a link to it."),
        "confirmation-sent": _("We've sent the link again. An address gets three letters in six hours at most."),
        "confirmation-over": _("That link doesn't work any more. Have another one sent here."),
        "session-ended": _("That device is signed out."),
        "sessions-ended": _("All other devices are signed out."),
        "device-forgotten": _("A code is asked for on that device again."),
        "key-revoked": _("The key is revoked. It stopped working at once."),
        "cloud-connected": _("The cloud account is connected."),
        "cloud-changed": _("The cloud account is changed."),
        "cloud-made-primary": _("This is the primary cloud account now."),
        "cloud-removed": _("The cloud account is removed."),
        "preferences-saved": _("Saved."),
        "key-rotated": _("The key has a new secret."),
        "profile-saved": _("Your profile is saved."),
        "picture-saved": _("Your picture is saved."),
        "picture-removed": _("Your picture is removed."),
        "app-disconnected": _("The app is disconnected."),
        "data-asked-for": _("You have asked for your data."),
        "account-closed": _("Your account is closed. Sign in within 14 days if you want to come back."),
        "account-reopened": _("Your account is open again."),
        "request-changed": _(
            "What the app asks for, or what is known of it, has just changed. Look again, then decide."
        ),
        "password-changed": _("Your password is changed. Your other devices have been signed out."),
        "password-reset": _("Your password is changed, and all devices are signed out. Sign in with the new one."),
        "address-asked": _("We have sent a link to the new address."),
        "address-withdrawn": _("Your address stays as it is."),
        "address-changed": _("The new address is confirmed. We have told the old one."),
        "address-restored": _(
            "Your address is yours again, and everybody is signed out. We have sent you a link to a new password."
        ),
        "username-changed": _("Your user name is changed."),
        "wait-asked": _("We have sent you a link. It begins the waiting time, and works for an hour."),
        "wait-refused": _("No more links today. Use one that we have sent, or try again tomorrow."),
        "wait-begun": _("The waiting time has begun. We have written to you when it ends."),
        "wait-stopped": _("Stopped. Whoever asked for it knew your password: if it wasn't you, change it."),
        "second-factor-lost": _(
            "Your second step is gone, as you asked. Set it up again, so that your account is safe."
        ),
        "passkey-added": _("The passkey is added. You can sign in with it."),
        "passkey-renamed": _("The passkey has another name."),
        "passkey-removed": _("The passkey is removed. Your other devices have been signed out."),
        "second-factor-off": _("Two-step sign-in is off. Your other devices have been signed out."),
    }
    return str(sentences.get(said, ""))


def _codes_left() -> str:
    known = current.signed_in()
    left = 0 if known is None else current.services().recovery_codes.count(current.tx(), known.user.id)
    return str(_("Recovery code accepted. Recovery codes left: %(count)s.", count=left))


def noticed() -> str:
    """The name of the notice that the page at hand is to say. It is gone after this answer."""
    left = current.cookie("notice")
    if left:
        g.notice_is_said = True
    return left
