"""What endpoints take and give: plain values that know no web framework.

A ``ProtocolRequest`` is one HTTP request, a ``ProtocolResponse`` one HTTP response. The adapters in ``doors`` make
the first and send the second.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import unquote_to_bytes

from provider.protocol import headers
from provider.protocol.errors import OAuthError
from provider.protocol.networks import Network, networks_of
from provider.protocol.sizes import cut

MAX_FIELDS = 100
USER_AGENT_BYTES = 512
_JSON = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
FORM = "application/x-www-form-urlencoded"


class Parameters:
    """Decoded form fields or query parameters, repetitions kept.

    An empty value counts as absent and a parameter sent twice is an error (OAuth 2.1 §3.1, §3.2), except where
    the caller asks for ``all`` of them (``resource``, RFC 8707 §2).
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    @classmethod
    def parse(cls, encoded: bytes | str) -> Parameters:
        """Decodes ``application/x-www-form-urlencoded`` text. ``;`` is no separator.

        Raises ``OAuthError`` (``invalid_request``) for broken UTF-8, NUL or more than 100 fields.
        """
        try:
            text = (encoded if isinstance(encoded, bytes) else encoded.encode()).decode("ascii")
            pairs = _pairs(text)
        except ValueError as error:  # of which UnicodeDecodeError is one
            raise OAuthError.invalid_request("The parameters could not be decoded.") from error
        if "\x00" in text or "%00" in text:
            raise OAuthError.invalid_request("The parameters could not be decoded.")
        return cls(pairs)

    def get(self, name: str) -> str | None:
        """The one value of ``name``, None when absent or empty. Raises ``OAuthError`` when it was sent twice."""
        values = self._values.get(name)
        if not values:
            return None
        if len(values) > 1:
            raise OAuthError.invalid_request("A parameter was sent more than once.", detail=name[:64])
        return values[0] or None

    def all(self, name: str) -> list[str]:
        return [value for value in self._values.get(name, ()) if value]

    def repeated(self, *allowed: str) -> list[str]:
        """The names that were sent more than once and are not in ``allowed``."""
        return [name for name, values in self._values.items() if len(values) > 1 and name not in allowed]

    def refuse_repeated(self, *allowed: str) -> None:
        """Raises ``invalid_request`` when a parameter was sent more than once (OAuth 2.1 §3.2)."""
        names = self.repeated(*allowed)
        if names:
            raise OAuthError.invalid_request("A parameter was sent more than once.", detail=names[0][:64])

    def as_dict(self) -> dict[str, list[str]]:
        return {name: list(values) for name, values in self._values.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __len__(self) -> int:
        return sum(len(values) for values in self._values.values())


def _pairs(text: str) -> list[tuple[str, str]]:
    """Names and values of ASCII text. ``urllib.parse.parse_qsl`` says the same in four times the time.

    Raises ``ValueError``.
    """
    fields = text.split("&")
    if len(fields) > MAX_FIELDS:
        raise ValueError("too many fields")
    return [(_decoded(name), _decoded(value)) for name, _, value in (field.partition("=") for field in fields if field)]


def _decoded(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    return unquote_to_bytes(text).decode() if "%" in text else text


Result = TypeVar("Result")


class _Once(Generic[Result]):
    """A property that is worked out at its first use. Python 3.11 has a lock in ``cached_property``, for all requests."""

    def __init__(self, work: Callable[[Any], Result]) -> None:
        self._work = work
        self._name = work.__name__
        self.__doc__ = work.__doc__

    def __get__(self, owner: Any, _type: type | None = None) -> Result:
        result = owner.__dict__[self._name] = self._work(owner)
        return result


@dataclass(frozen=True, slots=True)
class Origin:
    """Where and when a change was asked for: what an audit event and a rate limit need to know of a request."""

    source: str
    user_agent: str
    request_id: str
    now: datetime.datetime

    @classmethod
    def of_server(cls, now: datetime.datetime) -> Origin:
        """Of what a server does unasked."""
        return cls(source="", user_agent="", request_id="", now=now)

    @property
    def networks(self) -> tuple[Network, ...]:
        """What is counted under that strangers may leave here, from the household to the widest."""
        return networks_of(self.source)

    @property
    def network(self) -> str:
        """What guesses are counted under: the address, or the 64 bits of an IPv6 address that each household has."""
        return self.networks[0].name


@dataclass(frozen=True)
class ProtocolRequest:
    """One HTTP request. Header names are lower case; ``source`` is the client's address, checked by the edge."""

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    body: bytes
    source: str
    request_id: str
    received_at: datetime.datetime

    @_Once
    def query(self) -> Parameters:
        return Parameters.parse(self.query_string)

    @_Once
    def form(self) -> Parameters:
        """The fields of the body. Raises ``OAuthError`` when the body is not form-encoded (RFC 6749 §3.2)."""
        if self.media_type != FORM:
            raise OAuthError.invalid_request("The request body must be application/x-www-form-urlencoded.")
        return Parameters.parse(self.body)

    @_Once
    def cookies(self) -> Mapping[str, str]:
        """The first of each name, as pages read them too."""
        return headers.cookies(self.headers.get("cookie", ""))

    @property
    def media_type(self) -> str:
        """What kind of body was sent, in lower case and without parameters."""
        return headers.media_type(self.headers.get("content-type", ""))

    @property
    def user_agent(self) -> str:
        return cut(self.headers.get("user-agent", ""), USER_AGENT_BYTES)

    @property
    def origin(self) -> Origin:
        return Origin(self.source, self.user_agent, self.request_id, self.received_at)

    @property
    def is_speculative(self) -> bool:
        """Whether a browser only looks ahead (prefetch, prerender) or asks for headers: never produces a code."""
        return self.method == "HEAD" or "prefetch" in self.headers.get("sec-purpose", self.headers.get("purpose", ""))


@dataclass
class ProtocolResponse:
    """One HTTP response. ``page`` names a template that the Flask adapter renders instead of ``body``."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    page: str | None = None
    context: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def json(
        cls, value: object, status: int = 200, headers: Iterable[tuple[str, str]] = (), *, store: bool = False
    ) -> ProtocolResponse:
        """A JSON answer, ``Cache-Control: no-store`` unless ``store`` (RFC 6749 §5.1)."""
        body = _JSON.encode(value).encode()
        fixed = [("Content-Type", "application/json")]
        if not store:
            fixed += [("Cache-Control", "no-store"), ("Pragma", "no-cache")]
        return cls(status, [*fixed, *headers], body)

    @classmethod
    def redirect(cls, location: str, headers: Iterable[tuple[str, str]] = ()) -> ProtocolResponse:
        """A 303, so that no form is ever posted on (RFC 9700 §4.12)."""
        fixed = [("Location", location), ("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer")]
        return cls(303, [*fixed, *headers])

    @classmethod
    def show(cls, page: str, status: int = 200, **context: Any) -> ProtocolResponse:
        return cls(status, [("Cache-Control", "no-store")], page=page, context=context)
