"""Which language a page speaks."""

from __future__ import annotations

from babel.support import NullTranslations
from flask import Flask, g, request
from flask_babel import get_locale, get_translations, refresh
from werkzeug.wrappers import Response

from provider.web import cookies, current

LANGUAGES = {"en": "English", "ko": "한국어"}
_MARK = "~"


def choose(handle: str) -> bool:
    """Takes the language that a button of this form says, for this answer, the browser and a signed-in user's account.

    ``handle`` is that of the request that the page is about, empty for none. False where no button of a language was used.
    """
    wanted = request.form.get("language", "")
    if wanted not in LANGUAGES:
        return False
    g.chosen_language, g.chosen_for = wanted, handle
    refresh()
    g.pop("translations", None)
    known = current.signed_in()
    if known is not None:
        current.services().users.set_locale(current.tx(), current.now(), known.user.id, wanted)
    return True


def is_chosen_here() -> bool:
    """Whether the form at hand was sent by the button of a language on its own page.

    The page is then shown again in it with what was typed, and nothing else is done with that.
    """
    return choose(request.args.get("request", ""))


def remember_choice(response: Response) -> Response:
    """Leaves a language that was chosen with the browser."""
    if "chosen_language" in g:
        value = f"{g.chosen_language}{_MARK}{request_mark(g.chosen_for)}" if g.chosen_for else g.chosen_language
        cookies.set_cookie(response, "locale", value, seconds=cookies.LOCALE_SECONDS)
    return response


def choose_locale() -> str:
    """The application's wish for this sign-in, the user's setting, the browser's cookie, its headers, our default.

    What somebody chooses by hand while signing in for an application beats the application's wish.
    """
    if "chosen_language" in g:
        return str(g.chosen_language)
    waiting = g.get("waiting")
    chosen, _mark, for_request = current.cookie("locale").partition(_MARK)
    chosen = chosen if chosen in LANGUAGES else ""
    if waiting is not None:
        if chosen and for_request == request_mark(request.args.get("request", "")):
            return chosen
        for tag in (waiting.ui_locales or "").split():
            if tag.lower().split("-")[0] in LANGUAGES:
                return str(tag.lower().split("-")[0])
    user = current.known_user()
    if user is not None and user.locale in LANGUAGES:
        return str(user.locale)
    return chosen or request.accept_languages.best_match(LANGUAGES) or current.settings().default_locale


def install(app: Flask) -> None:
    """Has templates look for the translations of a page once, in place of once for each sentence."""
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        gettext=lambda text: _translations().ugettext(text),
        ngettext=lambda one, many, count: _translations().ungettext(one, many, count),
        pgettext=lambda context, text: _translations().upgettext(context, text),
        npgettext=lambda context, one, many, count: _translations().unpgettext(context, one, many, count),
        newstyle=True,
    )


def _translations() -> NullTranslations:
    found: NullTranslations | None = g.get("translations")
    if found is None:
        found = g.translations = get_translations()
    return found


def request_mark(handle: str) -> str:
    """A short name for a waiting request that tells nothing about its handle."""
    return current.services().keyring.keyed_hash("locale", handle)[:12]


def language() -> str:
    """The language of the page at hand."""
    return str(get_locale()).split("_")[0]
