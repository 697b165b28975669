"""What every answer has to be, whatever was sent: a standard error, a page of ours, or a redirect that is proven."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from urllib.parse import parse_qsl, urlsplit

from provider.protocol.redirect_uris import redirect_uri_matches
from tests.fuzz.world import ISSUER, Answer, Sent
from tests.pages.document import Document

# RFC 6749 §4.1.2.1 and §5.2, RFC 6750 §3.1, RFC 7009 §2.2.1, RFC 7591 §3.2.2, RFC 8707 §2, OpenID Connect Core §3.1.2.6,
# OpenID Connect Core Unmet Authentication Requirements §2.
ERRORS = frozenset(
    {
        *("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type"),
        *("invalid_scope", "access_denied", "unsupported_response_type", "temporarily_unavailable"),
        *("invalid_token", "insufficient_scope", "unsupported_token_type", "invalid_target"),
        *("login_required", "interaction_required", "consent_required", "account_selection_required"),
        *("invalid_request_object", "invalid_request_uri", "unmet_authentication_requirements"),
        *("invalid_redirect_uri", "invalid_client_metadata"),
    }
)
PROBLEMS = frozenset(
    {
        *("not_found", "conflict", "precondition_failed", "precondition_required"),
        *("insufficient_user_authentication", "cloud_refused"),
    }
)
# 416 is of a static file, asked for from beyond its end.
STATUSES = frozenset({200, 201, 204, 303, 304, 400, 401, 403, 404, 405, 409, 412, 413, 414, 415, 416, 428, 429})
_DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")  # RFC 6749 §5.2
_HEADER_VALUE = re.compile(r"[\t\x20-\x7E]*")
_OWN_SCRIPT = re.compile(r'<script src="/static/(?:site|passkeys)\.js\?v=[0-9a-f]{12}" defer[^<>]*></script>')
_FILES = (
    "text/plain",
    "text/css",
    "text/javascript",
    "image/svg+xml",
    "image/png",
    "image/x-icon",
    "image/vnd.microsoft.icon",
    "",
)
_POSTS_ITSELF = "<script>document.getElementById('answer').submit()</script>"
_OWN_PATH = re.compile(r"/(?![/\\])[!-~]*")
_SIGN_OF_A_TRACE = re.compile(rb"Traceback|sqlalchemy|pymysql|sqlite3|werkzeug|File \"", re.IGNORECASE)


def check(answer: Answer, sent: Sent, *, may_go_to: Collection[str] = ()) -> None:
    """Raises ``AssertionError``. ``may_go_to`` are the registered URIs that this request may be redirected to."""
    assert answer.status in STATUSES, f"{answer.status} {answer.body[:300]!r}"
    _check_headers(answer)
    assert not _SIGN_OF_A_TRACE.search(answer.body)
    if sent.method == "HEAD":
        assert not answer.body
        return
    if sent.method == "OPTIONS" and answer.status == 200:
        assert answer.get("Allow")
        assert not answer.body
    elif answer.status == 303:
        _check_redirect(answer.get("Location"), may_go_to)
    elif answer.status in (204, 304):
        assert not answer.body
    elif answer.get("Content-Type") == "application/json":
        _check_json(answer)
    elif answer.get("Content-Type") == "application/problem+json":
        _check_problem(answer)
    elif answer.get("Content-Type").startswith("text/html"):
        _check_page(answer, may_go_to)
    else:
        assert answer.get("Content-Type").partition(";")[0] in _FILES
        assert answer.status in (200, 204) or (answer.status == 404 and sent.path.startswith("/pictures/"))


def _check_headers(answer: Answer) -> None:
    names = [name.lower() for name, _ in answer.headers]
    for name, value in answer.headers:
        assert isinstance(name, str)
        assert _HEADER_VALUE.fullmatch(value), f"{name}: {value!r}"
        assert names.count(name.lower()) == 1 or name.lower() == "set-cookie", f"{name} twice"
    assert answer.get("X-Content-Type-Options") == "nosniff"
    for cookie in answer.all("Set-Cookie"):
        assert re.fullmatch(r"mcp_[a-z]+_8000=[^;]*(; [^;]+)*", cookie), cookie
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
    if answer.status == 401:
        assert answer.get("WWW-Authenticate")  # RFC 9110 §15.5.2
    if answer.status == 405:
        assert answer.get("Allow")  # RFC 9110 §15.5.6
    if answer.status == 429:
        assert answer.get("Retry-After")


def _check_json(answer: Answer) -> None:
    content = json.loads(answer.body)
    if answer.status < 400:
        assert isinstance(content, dict)
        assert "error" not in content
        return
    assert answer.get("Cache-Control") == "no-store"
    check_error(content)


def _check_problem(answer: Answer) -> None:
    """RFC 9457, with the names of our own API besides those of OAuth."""
    content = json.loads(answer.body)
    assert answer.get("Cache-Control") == "no-store"
    assert set(content) <= {"type", "title", "status", "detail"}
    assert content["status"] == answer.status >= 400
    assert content["type"].removeprefix("urn:mcp-core:problem:") in ERRORS | PROBLEMS
    assert _DESCRIPTION.fullmatch(content.get("detail", "-"))


def check_error(content: dict[str, str]) -> None:
    """An error as RFC 6749 §5.2 has it: a known code, and a description in the permitted characters."""
    assert set(content) <= {"error", "error_description"}
    assert content["error"] in ERRORS
    if "error_description" in content:
        assert _DESCRIPTION.fullmatch(content["error_description"])


def _check_page(answer: Answer, may_go_to: Collection[str]) -> None:
    """A page of ours has one script, if it has forms, and the page that posts an answer to an application its one line."""
    policy = answer.get("Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.get("Cache-Control") == "no-store"
    assert answer.get("Referrer-Policy") in ("no-referrer", "same-origin")
    assert answer.get("Cross-Origin-Opener-Policy") in ("same-origin", "unsafe-none")
    page = answer.body.decode("utf-8")
    assert page.lower().startswith("<!doctype html>")
    if _POSTS_ITSELF in page:
        page = page.replace(_POSTS_ITSELF, "")
        _check_form(page, may_go_to)
    elif "script-src" in policy:
        assert re.search(r"script-src \S+/static/site\.js( \S+/static/passkeys\.js)?(;|$)", policy)
        page = _OWN_SCRIPT.sub("", page, count=2)
    assert "<script" not in page.lower()
    assert not re.search(r"<[^>]+\son[a-z]+\s*=", page)


def _check_form(page: str, may_go_to: Collection[str]) -> None:
    """The one form of the page goes to a registered URI with nothing but an answer of the protocol."""
    elements = Document(page).elements
    (form,) = [element for element in elements if element.tag == "form"]
    assert any(redirect_uri_matches(registered, form.get("action"), "native") for registered in may_go_to)
    inputs = [(element.get("name"), element.get("value")) for element in elements if element.tag == "input"]
    fields = dict(inputs)
    assert len(fields) == len(inputs)
    assert fields.get("iss") == ISSUER
    assert ("code" in fields) != ("error" in fields)
    assert set(fields) <= {"code", "state", "iss", "error", "error_description"}


def _check_redirect(location: str, may_go_to: Collection[str]) -> None:
    """To a page of ours, or to a registered URI with nothing but an answer of the protocol added to it."""
    if _OWN_PATH.fullmatch(location):
        return
    for registered in may_go_to:
        requested, added = _split(registered, location)
        if redirect_uri_matches(registered, requested, "native"):
            if set(added) - {"state"}:
                assert added.get("iss") == ISSUER
                assert ("code" in added) != ("error" in added)
            if "error" in added:
                check_error({name: added[name] for name in ("error", "error_description") if name in added})
            assert set(added) <= {"code", "state", "iss", "error", "error_description"}
            return
    raise AssertionError(f"a redirect to {location}, which nothing proves")


def _split(registered: str, location: str) -> tuple[str, dict[str, str]]:
    """The redirect URI that ``location`` began as, and the parameters that were added to it."""
    assert not urlsplit(location).fragment
    length = len(urlsplit(registered).query)
    base, _, query = location.partition("?")
    kept, added = query[:length], query[length:].removeprefix("&")
    pairs = parse_qsl(added, keep_blank_values=True, strict_parsing=bool(added))
    assert len(dict(pairs)) == len(pairs), f"a parameter twice in {location}"
    return (f"{base}?{kept}" if length else base), dict(pairs)


def check_alike(one: Answer, other: Answer) -> None:
    """Both doors answer with the same status, the same headers and, where nothing fresh is in it, the same text."""
    assert one.status == other.status, f"{one} {other}"
    fresh = {"content-length", "set-cookie", "location", "date"}
    first = sorted((name.lower(), value) for name, value in one.headers if name.lower() not in fresh)
    second = sorted((name.lower(), value) for name, value in other.headers if name.lower() not in fresh)
    assert first == second, f"{one} {other}"
    if one.get("Content-Type") == "application/json" and one.status >= 400:
        assert one.body == other.body
