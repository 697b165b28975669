"""The colours of our pages: those of the device, or light or dark where somebody has chosen so."""

from __future__ import annotations

from flask import g
from werkzeug.wrappers import Response

from provider.web import cookies, current

THEMES = ("light", "dark")
SYSTEM = "system"


def theme() -> str:
    """``light`` or ``dark``, empty for the device's own: the choice of the user, else that of the browser."""
    if "chosen_theme" in g:
        chosen = str(g.chosen_theme)
    else:
        user = current.known_user()
        chosen = (user.theme if user is not None else None) or current.cookie("theme")
    return chosen if chosen in THEMES else ""


def choose(chosen: str) -> bool:
    """Keeps a choice in the account of the user at hand, and in the browser for when nobody is signed in."""
    known = current.signed_in()
    if known is None or chosen not in (SYSTEM, *THEMES):
        return False
    g.chosen_theme = chosen
    current.services().users.set_theme(current.tx(), current.now(), known.user.id, chosen if chosen in THEMES else None)
    return True


def remember_choice(response: Response) -> Response:
    """Leaves a theme that was chosen with the browser."""
    if "chosen_theme" in g:
        if g.chosen_theme in THEMES:
            cookies.set_cookie(response, "theme", g.chosen_theme, seconds=cookies.LOCALE_SECONDS)
        else:
            cookies.delete_cookie(response, "theme")
    return response
