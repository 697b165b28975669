"""A walk over pages: what is shown on it, one answer after the other."""

from __future__ import annotations

from dataclasses import dataclass

from tests.browser import Page
from tests.pages.document import Document
from tests.pages.site import Visitor

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>\'"&{{7*7}}'


@dataclass
class Visit:
    """One answer on the walk."""

    name: str
    method: str
    page: Page
    cookies: list[str]

    @property
    def document(self) -> Document:
        return Document(self.page.html)

    @property
    def is_html(self) -> bool:
        return self.page.headers.get("Content-Type", "").startswith("text/html") and bool(self.page.html)


class Walk:
    def __init__(self) -> None:
        self.visits: list[Visit] = []

    def saw(self, name: str, visitor: Visitor, status: int = 200) -> None:
        assert visitor.page.status == status, f"{name}: {visitor.page.status} {visitor.to} {visitor.page.text[:300]}"
        cookies = visitor.answer.headers.getlist("Set-Cookie")
        self.visits.append(Visit(name, visitor.answer.request.method, visitor.page, cookies))
