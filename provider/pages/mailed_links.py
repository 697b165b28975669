"""What pages behind mailed links share: the answer to a link that does not work any more."""

from __future__ import annotations

from werkzeug.wrappers import Response

from provider.web import current
from provider.web.rendering import render


def link_over(sentence: str, *, onward: str, words: str) -> Response:
    """404, the same for links that are used, replaced, expired or made up. ``words`` are on the way ``onward``."""
    return render(
        "errors/link_over.html",
        status=404,
        has_form=False,
        shown="link",
        sentence=sentence,
        onward=onward,
        words=words,
        reference=current.origin().request_id,
    )
