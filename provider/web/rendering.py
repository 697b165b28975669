"""Templates to answers: pages, the pages that machine endpoints show, and error pages."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from flask import Response, current_app, g, make_response, redirect, render_template
from markupsafe import Markup

from provider.protocol.app_identity import AppIdentity
from provider.protocol.messages import ProtocolResponse
from provider.protocol.names import LONGEST, shown_name
from provider.web import cookies, current
from provider.web.forms import Problems
from provider.web.headers import SUBMIT_SCRIPT

FORM_PAGE = "form_post/answer"
_PROVIDER = Path(__file__).parent.parent
_STATIC = _PROVIDER / "static"


def render(
    template: str,
    *,
    status: int = 200,
    leads_away: bool = False,
    has_form: bool = True,
    problems: Problems | None = None,
    **context: Any,
) -> Response:
    """A page. ``leads_away``: its form ends in a redirect to an application. ``problems``: what was wrong with the form."""
    g.is_page = True
    g.leads_away = leads_away
    g.has_form = has_form
    return make_response(render_template(template, problems=problems or Problems(), **context), status)


def render_answer(answer: ProtocolResponse) -> Response:
    """The page that a machine endpoint asks for, with the status and the headers that it gives."""
    assert answer.page is not None  # noqa: S101 - callers look
    context = {"reference": current.origin().request_id, **answer.context}
    submits_itself = answer.page == FORM_PAGE
    if submits_itself:
        g.submits_itself = True
        context["submit_script"] = Markup(SUBMIT_SCRIPT)  # noqa: S704 - a constant of ours
    g.frames = answer.context.get("frame_origins", ())
    response = render(
        f"{answer.page}.html",
        status=answer.status,
        leads_away=True,
        has_form=not submits_itself and not g.frames and not answer.page.startswith("errors/"),
        **context,
    )
    for name, value in answer.headers:
        if name.lower() != "content-type":
            response.headers.add(name, value) if name.lower() == "set-cookie" else response.headers.set(name, value)
    return response


def see_other(location: str, *, notice: str = "") -> Response:
    """303, so that nothing is ever posted on. ``location`` is a path of this host that no request has made up.

    ``notice`` is what the next page says was done, once, by its name in ``pages.words``. It goes by cookie: what stands
    in an address could have been written by anybody.
    """
    answer = make_response(redirect(location, 303))
    answer.data = b""
    if notice:
        cookies.set_cookie(answer, "notice", notice, seconds=cookies.NOTICE_SECONDS)
    return answer


def send(answer: ProtocolResponse) -> Response:
    """A protocol answer (a redirect to an application, or a page) from within a page of ours."""
    if answer.page is not None:
        return render_answer(answer)
    response = Response(answer.body, answer.status)
    for name, value in answer.headers:
        response.headers.add(name, value) if name.lower() == "set-cookie" else response.headers.set(name, value)
    return response


@cache
def _version_of(name: str) -> str:
    return hashlib.sha256((_STATIC / name).read_bytes()).hexdigest()[:12]


def static_url(name: str) -> str:
    """The address of a static file, with its content in it: cached for good, and new when the file is.

    Put together here: Flask can build no address for a request whose Host is none, and its error page needs one.
    """
    return f"{current_app.static_url_path}/{name}?v={_version_of(name)}"


def strong(text: str) -> Markup:
    return Markup('<strong dir="auto">{}</strong>').format(text)


def code(text: str) -> Markup:
    return Markup("<code>{}</code>").format(text)


def isolated(text: str) -> Markup:
    """A person's own name or address in a direction of its own: what stands beside it keeps its place."""
    return Markup("<bdi>{}</bdi>").format(text)


def said(name: str, longest: int = LONGEST) -> Markup:
    """What somebody else calls something: cut, between quotation marks that it can't close, in a direction of its own."""
    return Markup('“<bdi class="said">{}</bdi>”').format(shown_name(name, longest))


def app(known: AppIdentity) -> Markup:
    """An application by its own words where somebody vouches for them, else by its host. One without is told of apart."""
    return said(known.name) if known.is_vouched or known.host is None else host(known.host)


def host(text: str) -> Markup:
    """A host name in plain type, so that no letter can pass for another."""
    return Markup('<span class="host">{}</span>').format(text)
