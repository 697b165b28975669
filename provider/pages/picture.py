"""A person's picture: one that is sent is read and made anew, one that is there can be removed."""

from __future__ import annotations

from flask import Blueprint
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from provider.accounts.pictures import MAX_BYTES, NoPicture, PicturesBusy, PictureTooLarge
from provider.security.rate_limit import Limit
from provider.web import current, forms
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render, see_other

pages = Blueprint("picture", __name__)
_PAGE = "/account/profile/picture"
_AROUND = 16_384  # what a form has around a file
_PER_USER = Limit("picture", 30, 3600)


@pages.get(_PAGE)
@signed_in_only("picture")
def show() -> Response:
    return _page(forms.Problems())


@pages.post(_PAGE)
@forms.takes_file(MAX_BYTES + _AROUND)
@signed_in_only("picture")
def change() -> Response:
    """Takes a picture, or removes the one there is. Reading it takes a while: no transaction is open meanwhile."""
    services, tx, origin, user = current.services(), current.tx(), current.origin(), here().user
    if forms.text("action", limit=16) == "remove":
        services.profiles.remove_picture(tx, origin, user.id)
        return see_other("/account/profile", notice="picture-removed")
    content = forms.file("picture")
    problems = forms.Problems()
    if not content:
        problems.add("picture", _("Choose a picture first."))
        return _page(problems)
    if services.rate_limits.hit(tx, _PER_USER, user.id, origin.now) is not None:
        problems.add("picture", _("That was a lot of pictures. Try again in an hour."))
        return _page(problems, 429)
    tx.commit()  # no transaction is open while the picture is read
    try:
        made = services.pictures.read(content)
    except PictureTooLarge:
        problems.add("picture", _("This picture is too large. Choose one of up to 2 MB and 24 megapixels."))
    except NoPicture:
        problems.add("picture", _("This is no picture that can be read. Choose a PNG, JPEG or WebP file."))
    except PicturesBusy:
        problems.add("picture", _("Many pictures are being read right now. Try again in a few seconds."))
        return _page(problems, 429)
    else:
        services.profiles.set_picture(tx, origin, user.id, made)
        return see_other("/account/profile", notice="picture-saved")
    return _page(problems)


def _page(problems: forms.Problems, status: int = 400) -> Response:
    user = here().user
    return render(
        "profile/picture.html",
        status=status if problems else 200,
        problems=problems,
        user=user,
        picture=current.services().profiles.get(current.tx(), user.id).picture,
    )
