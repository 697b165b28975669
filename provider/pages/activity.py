"""Activity: what happened to one's own account, in plain words, with what to do about it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from flask import Blueprint, request
from werkzeug.wrappers import Response

from provider.accounts.activity import Entry
from provider.audit import AuditEvent
from provider.pages.activity_words import CLOUD_USES, Kind, Words, kinds, words
from provider.pages.sessions import device_name
from provider.protocol.names import shown_name
from provider.web import current, listing
from provider.web.guards import here, signed_in_only
from provider.web.rendering import render

pages = Blueprint("activity", __name__)
_OPERATORS = "cli:"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing as the page says it. ``name`` is that of an app, a key or a cloud account; ``device`` is empty where
    nobody's did it. ``program`` is what asked for credentials of a cloud, ``purpose`` what it said that they are for."""

    sentence: str
    name: str
    program: str
    purpose: str
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


def uses_of(account_id: str, most: int) -> list[Line]:
    """The last times that programs asked for credentials of a cloud account of the person at hand."""
    actions = [event.value for event in CLOUD_USES]
    found = current.services().activity.about(current.tx(), here().user.id, account_id, actions, most)
    said = words()
    return [_line(entry, said) for entry in found]


def _line(entry: Entry, said: dict[AuditEvent, Words]) -> Line:
    by_operator = (entry.actor or "").startswith(_OPERATORS)
    name = next((entry.details[key] for key in ("app", "name", "label") if entry.details.get(key)), "")
    is_use = entry.action in CLOUD_USES
    return Line(
        sentence=said[AuditEvent(entry.action)].sentence,
        name=shown_name(str(name)),
        program=str(entry.details.get("client") or entry.actor or "") if is_use else "",
        purpose=str(entry.details.get("purpose") or ""),
        device=device_name(entry.user_agent) if entry.user_agent and not by_operator and not is_use else "",
        network=entry.ip_address or "",
        at=entry.created_at,
        by_operator=by_operator,
    )
