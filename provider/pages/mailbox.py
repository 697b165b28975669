"""The mailbox of developers: letters that would have been sent, without a mail server and for an issuer on loopback."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from flask import Blueprint, abort, g, request
from markupsafe import Markup, escape
from werkzeug.wrappers import Response

from provider.deliveries.mailbox import Post
from provider.web import current
from provider.web.rendering import render

pages = Blueprint("mailbox", __name__)
_LINK = re.compile(r"https?://\S+")


@pages.before_request
def _only_here() -> None:
    """Nobody else reads letters, and no page of a host that somebody has had lead to this machine (DNS rebinding)."""
    settings = current.settings()
    if settings.mail_way != "mailbox" or request.host != urlsplit(settings.origin).netloc:
        abort(404)


@pages.get("/mailbox")
def show() -> Response:
    return render("mailbox/list.html", posts=current.services().mailbox.list(current.tx()))


@pages.get("/mailbox/<letter_id>")
def show_letter(letter_id: str) -> Response:
    post = _post(letter_id)
    return render("mailbox/letter.html", post=post, text=_with_links(post.letter.text))


@pages.get("/mailbox/<letter_id>/html")
def show_html(letter_id: str) -> Response:
    """The letter as a mail program shows it: styles in place, no script, and none of our cookies in reach."""
    g.is_letter = True
    return Response(_post(letter_id).letter.html, mimetype="text/html")


def _post(letter_id: str) -> Post:
    return current.services().mailbox.find(current.tx(), letter_id) or abort(404)


def _with_links(text: str) -> Markup:
    """The text with addresses of this server to click. Others stay text: names may look like addresses."""
    origin, parts, at = current.settings().origin, [], 0
    for match in _LINK.finditer(text):
        parts.append(escape(text[at : match.start()]))
        link = escape(match[0])
        is_ours = match[0].startswith(f"{origin}/")
        parts.append(Markup('<a href="{}">{}</a>').format(match[0].removeprefix(origin), link) if is_ours else link)
        at = match.end()
    return Markup("").join([*parts, escape(text[at:])])
