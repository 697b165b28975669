"""Making an account, on whichever page: user name, address, password or passkey, what is wrong with them, and the first
session."""

from __future__ import annotations

from dataclasses import dataclass

from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.accounts.chosen_names import UnfitName, check_chosen_username
from provider.accounts.login_names import InvalidName, canonical_email, canonical_username
from provider.accounts.users import User
from provider.pages import passkey_forms, waiting
from provider.pages.sessions import device_name
from provider.pages.words import weak_password
from provider.sign_in.passkey_ceremonies import NewPasskey
from provider.sign_in.passwords import MIN_WITH_SECOND_FACTOR, WeakPassword
from provider.web import cookies, current, forms
from provider.web.rendering import see_other


@dataclass(frozen=True)
class AccountForm:
    """What was typed. ``is_admin``: what the account is going to be; ``has_passkey``: one takes the password's place."""

    username: str
    email: str
    password: str
    is_admin: bool = False
    has_passkey: bool = False

    @classmethod
    def sent(cls, *, email: str | None = None, is_admin: bool = False, may_have_passkey: bool = False) -> AccountForm:
        """What the form at hand holds. ``email`` is the address where nobody may choose it."""
        address = forms.text("email", limit=512) if email is None else email
        has_passkey = may_have_passkey and bool(passkey_forms.answer())
        return cls(forms.text("username", limit=255), address, forms.secret("password"), is_admin, has_passkey)

    def problems(self, *, allowed: str | None = "") -> forms.Problems:
        """What is wrong with it. Takes a tenth of a second for the password: no transaction may be open.

        ``allowed`` is a user name that may be had although nobody could choose it, None for any.
        """
        problems = forms.Problems()
        try:
            if allowed is None or self.username == allowed:
                canonical_username(self.username)
            else:
                check_chosen_username(self.username, service_name=current.settings().service_name)
        except InvalidName:
            problems.add("username", _("Choose a user name of 2 to 64 letters, digits, dots, hyphens or underscores."))
        except UnfitName as error:
            problems.add("username", unfit_name(error))
        try:
            canonical_email(self.email)
        except InvalidName:
            problems.add("email", _("Enter an e-mail address, such as name@example.com."))
        if self.has_passkey:
            return problems
        if not self.password:
            problems.add("password", _("Choose a password."))
            return problems
        try:
            current.services().passwords.check_strength(
                self.password,
                username=self.username,
                email=self.email,
                second_factor_required=self._second_factor_follows(),
            )
        except WeakPassword as weakness:
            problems.add("password", weak_password(weakness, self.shortest_password))
        return problems

    @property
    def shortest_password(self) -> int:
        return MIN_WITH_SECOND_FACTOR if self._second_factor_follows() else current.settings().password_min_length

    def _second_factor_follows(self) -> bool:
        return current.settings().second_factor_at_once(is_admin=self.is_admin)


def username_taken() -> str:
    """User names are seen by everybody, so that this tells nothing; of addresses nothing of the kind is ever said."""
    return str(_("This user name is taken, or it looks like one that is. Choose another."))


def unfit_name(error: UnfitName) -> str:
    if error.reason == "mixed":
        return str(_("Use letters of one script, so that nobody takes this name for another."))
    return str(_("This name is kept for the people who run %(service)s.", service=current.settings().service_name))


def chosen_key(form: AccountForm, problems: forms.Problems) -> str | NewPasskey | None:
    """What is to open the account: the hash of its password, or a passkey. None with what was wrong in ``problems``.

    Hashes outside of a transaction; the question that a passkey answers is used up in the one at hand.
    """
    if form.has_passkey:
        return passkey_forms.made_for_account(problems)
    current.tx().commit()
    return current.services().passwords.hash(form.password)


def begin_session(user: User, key: str | NewPasskey, target: str, *, notice: str = "") -> Response:
    """Signs in whoever has just made the account ``user``, and goes on to ``target``. A session from before ends.

    A passkey is added to the account, and its recovery codes are shown first. Raises ``PasskeyTaken``.
    """
    services, tx, origin = current.services(), current.tx(), current.origin()
    amr: tuple[str, ...] = ("pwd",)
    if isinstance(key, NewPasskey):
        added = services.passkeys.add(tx, origin, user, key, device_name(origin.user_agent or ""))
        amr = (*added.amr, "mfa")
    previous = current.cookie("session") or None
    token = services.login.start_session(tx, origin, user, amr, previous_token=previous, browser=current.browser())
    if isinstance(key, NewPasskey):
        services.recovery_codes.generate(tx, origin, user.id, token)
        target, notice = waiting.passed_on("/account/second-factor/recovery-codes"), ""
    response = see_other(target, notice=notice)
    cookies.set_cookie(response, "session", token)
    cookies.keep_device(response, services.login.device_token(user))
    return response
