"""Download my data: asked for, made in the background, and given to nobody but its owner."""

from __future__ import annotations

from flask import Blueprint
from werkzeug.wrappers import Response

from provider.accounts.data_exports import AskedTooSoon
from provider.security.crypto import DecryptionFailed
from provider.web import current, error_pages
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render, see_other

pages = Blueprint("own_data", __name__)
_PAGE = "/account/data"


@pages.get(_PAGE)
@signed_in_only("data")
def show() -> Response:
    user = here().user
    export = current.services().data_exports.newest(current.tx(), current.now(), user.id)
    return render("own_data/page.html", user=user, export=export)


@pages.post(_PAGE)
@signed_in_only("data", recently=True)
def ask() -> Response:
    """Asks for an archive. One too soon changes nothing: the page shows the one that there is."""
    try:
        current.services().data_exports.ask(current.tx(), current.origin(), here().user.id)
    except AskedTooSoon:
        return see_other(_PAGE)
    return see_other(_PAGE, notice="data-asked-for")


@pages.get(f"{_PAGE}/<export_id>")
@signed_in_only("data", recently=True)
def download(export_id: str) -> Response:
    """The archive as a file. Another's, one that is over and one that is not ready look alike.

    Where it does not open, the page says that it could not be made, and offers to make another.
    """
    exports = current.services().data_exports
    try:
        content = exports.content(current.tx(), current.origin(), here().user.id, export_id[:64])
    except DecryptionFailed:
        return see_other(_PAGE)
    if content is None:
        return error_pages.show(404)
    response = Response(content, mimetype="application/json")
    response.headers["Content-Disposition"] = 'attachment; filename="my-data.json"'
    return response
