"""A form that is sent a second time, by an impatient finger or by Back and Forward, does nothing a second time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pages.site import SESSION, Site
from tests.pages.test_forged_forms import FORMS

# Nobody looks at a name that was forgotten before it is answered, which is once: tests/pages/test_recovery.py.
UNLOOKED_AT = {"/forgot": {"reset_requests", "rate_counters"}}

# Whoever sends it again wants to know again; the token that was made for it is on record, and so is the asking.
ASKED_AGAIN = {"/account/clouds/<account_id>/test": {"issued_tokens", "user_audit_log", "rate_counters"}}


def _rows(site: Site, rule: str) -> dict[str, Any]:
    return {name: rows for name, rows in site.rows().items() if name not in (UNLOOKED_AT | ASKED_AGAIN).get(rule, ())}


@pytest.mark.parametrize("rule", FORMS)
def test_a_form_that_was_answered_does_no_harm_when_it_is_sent_again(site: Site, rule: str) -> None:
    form = FORMS[rule](site)
    visitor, token = form.visitor, form.visitor.token()
    visitor.post(form.path, form.fields, token=token)
    assert visitor.page.status in (200, 303), visitor.page.text
    before, session = _rows(site, rule), visitor.cookie(SESSION)
    page = visitor.post(form.path, form.fields, token=token)
    assert page.status in ((200,) if rule in ASKED_AGAIN else (303, 400, 403, 404)), page.text
    if page.status not in (303, 404):
        assert [it for it in visitor.document.all("a", "button") if not it.get("lang")], "there is a way on"
    after = _rows(site, rule)
    assert {name for name in after if after[name] != before[name]} == set()
    assert visitor.cookie(SESSION) == session
