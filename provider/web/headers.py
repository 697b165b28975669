"""Security headers of pages and of the few static files."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection

from flask import g, request
from werkzeug.wrappers import Response

from provider.web import current

SCRIPT = "/static/site.js"
PASSKEY_SCRIPT = "/static/passkeys.js"
_IMAGES = "img-src 'self'"
_POLICY = ("default-src 'none'", "style-src 'self'", "base-uri 'none'", "frame-ancestors 'none'")
_FORM_ACTION = "form-action 'self'"


SUBMIT_SCRIPT = "document.getElementById('answer').submit()"
_SUBMIT_HASH = base64.b64encode(hashlib.sha256(SUBMIT_SCRIPT.encode()).digest()).decode()


def content_security_policy(
    *,
    own_scripts: Collection[str] = (),
    leads_away: bool,
    submits_itself: bool = False,
    images: Collection[str] = (),
    frames: Collection[str] = (),
) -> str:
    """Nothing from elsewhere, never in a frame, and no script but those that are named.

    ``own_scripts`` are addresses of our files. ``submits_itself`` allows the one line that posts an answer to an
    application, by its hash. ``images`` and ``frames`` are origins of applications whose picture or logout page is shown.

    ``leads_away`` leaves ``form-action`` out: browsers hold it against the whole chain of redirects after a post, and
    the chain of these pages ends at the application, possibly in a scheme of its own.
    """
    scripts = [*([f"'sha256-{_SUBMIT_HASH}'"] if submits_itself else []), *own_scripts]
    more = [f"script-src {' '.join(scripts)}"] if scripts else []
    more += [f"frame-src {' '.join(sorted(set(frames)))}"] if frames else []
    more += [] if leads_away else [_FORM_ACTION]
    return "; ".join((" ".join((_IMAGES, *sorted(set(images)))), *_POLICY, *more))


# A letter as mail programs show it: with styles in place and nothing else, in an origin of its own.
_LETTER_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; sandbox"


def _own_scripts() -> list[str]:
    """The addresses of the script of forms and of that of passkeys, where the page has any."""
    has = {SCRIPT: g.get("has_form"), PASSKEY_SCRIPT: g.get("has_form") and g.get("has_passkeys")}
    return [f"{current.settings().origin}{script}" for script, wanted in has.items() if wanted]


def _kept_for() -> str:
    """How long a static file is kept: for good under the address that has its content in it, a day at the root."""
    if request.args.get("v"):
        return "public, max-age=31536000, immutable"
    return "no-cache" if request.path.startswith("/static/") else "public, max-age=86400"


def protect(response: Response) -> Response:
    """Adds the headers to what pages answer. Machine endpoints have theirs from the edge, the same through both doors."""
    if not (g.get("is_page") or request.blueprint or request.endpoint == "static"):
        return response
    headers = response.headers
    headers["X-Content-Type-Options"] = "nosniff"
    if current.settings().is_https:
        headers["Strict-Transport-Security"] = "max-age=63072000; includeSubDomains"
    if request.endpoint == "static" and response.status_code in (200, 206, 304):
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Cache-Control"] = _kept_for()
        return response
    headers["Cache-Control"] = "no-store"
    headers["Content-Security-Policy"] = (
        _LETTER_POLICY
        if g.get("is_letter")
        else content_security_policy(
            own_scripts=_own_scripts(),
            leads_away=g.get("leads_away", False),
            submits_itself=g.get("submits_itself", False),
            images=g.get("images", ()),
            frames=g.get("frames", ()),
        )
    )
    # An application that opened us in a popup waits for word from its own page at the end of the way: nothing on the
    # way may cut the popup off. A redirect shows no document of ours, and counts for browsers all the same.
    if not 300 <= response.status_code < 400:
        headers["Cross-Origin-Opener-Policy"] = "unsafe-none" if g.get("leads_away") else "same-origin"
    headers["Referrer-Policy"] = "same-origin" if g.get("has_form") else "no-referrer"
    headers["X-Robots-Tag"] = "noindex, nofollow"
    return response
