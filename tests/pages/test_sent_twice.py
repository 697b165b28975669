"""A form that is sent a second time, by an impatient finger or by Back and Forward, does nothing a second time."""

from __future__ import annotations

import pytest

from tests.pages.site import SESSION, Site
from tests.pages.test_forged_forms import FORMS


@pytest.mark.parametrize("rule", FORMS)
def test_a_form_that_was_answered_does_no_harm_when_it_is_sent_again(site: Site, rule: str) -> None:
    form = FORMS[rule](site)
    visitor, token = form.visitor, form.visitor.token()
    visitor.post(form.path, form.fields, token=token)
    assert visitor.page.status in (200, 303), visitor.page.text
    before, session = site.rows(), visitor.cookie(SESSION)
    page = visitor.post(form.path, form.fields, token=token)
    assert page.status in (303, 400, 403, 404), page.text
    if page.status not in (303, 404):
        assert [it for it in visitor.document.all("a", "button") if not it.get("lang")], "there is a way on"
    assert (site.rows(), visitor.cookie(SESSION)) == (before, session)
