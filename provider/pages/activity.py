"""Activity: what happened to one's own account, in plain words, with what to do about it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from flask import Blueprint, request
from werkzeug.wrappers import Response

from provider.accounts.activity import Entry
from provider.audit import AuditEvent
from provider.pages.activity_words import Kind, Words, kinds, words
from provider.pages.sessions import device_name
from provider.protocol.names import shown_name
from provider.web import current, listing
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render

pages = Blueprint("activity", __name__)
_OPERATORS = "cli:"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing as the page says it. ``name`` is that of an app or a key; ``device`` is empty where nobody's did it."""

    sentence: str
    name: str
    device: str
    network: str
    at: datetime.datetime
    by_operator: bool


@pages.get("/account/activity")
@signed_in_only("activity")
def show() -> Response:
    known, said = here(), words()
    wanted = request.args.get("kind", "")
    actions = [event.value for event, word in said.items() if wanted not in set(Kind) or word.kind == wanted]
    page = listing.page_of(current.services().activity.of(known.user.id, actions))
    return render(
        "activity/list.html",
        user=known.user,
        page=page,
        lines=[_line(entry, said) for entry in page.items],
        kinds=kinds(),
        wanted=wanted if wanted in set(Kind) else "",
    )


def _line(entry: Entry, said: dict[AuditEvent, Words]) -> Line:
    by_operator = (entry.actor or "").startswith(_OPERATORS)
    name = entry.details.get("app") or entry.details.get("name") or ""
    return Line(
        sentence=said[AuditEvent(entry.action)].sentence,
        name=shown_name(str(name)),
        device=device_name(entry.user_agent) if entry.user_agent and not by_operator else "",
        network=entry.ip_address or "",
        at=entry.created_at,
        by_operator=by_operator,
    )
