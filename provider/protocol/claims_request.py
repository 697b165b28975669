"""The ``claims`` parameter (OpenID Connect Core §5.5): which claims are asked for one by one, and of which person."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from provider.protocol.claims import CLAIMS_OF_SCOPE
from provider.protocol.errors import OAuthError
from provider.protocol.json_body import parse_json
from provider.protocol.sizes import fits

MAX_BYTES = 8192
_KNOWN = frozenset(name for names in CLAIMS_OF_SCOPE.values() for name in names)


@dataclass(frozen=True, slots=True)
class ClaimsRequest:
    """``userinfo`` and ``id_token`` are names of claims. ``subject`` is the only person who will do, ``acr`` the values
    of which one is essential."""

    userinfo: tuple[str, ...] = ()
    id_token: tuple[str, ...] = ()
    subject: str | None = None
    acr: tuple[str, ...] = ()

    @property
    def scope(self) -> tuple[str, ...]:
        """The scopes whose sentences on the consent page say what these claims reveal."""
        names = {*self.userinfo, *self.id_token}
        return tuple(scope for scope, claims in CLAIMS_OF_SCOPE.items() if names & set(claims))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, empty when nothing is asked for."""
        values = {"userinfo": self.userinfo, "id_token": self.id_token, "subject": self.subject, "acr": self.acr}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items() if value}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any] | None) -> ClaimsRequest:
        said = stored or {}
        return cls(
            tuple(said.get("userinfo", ())),
            tuple(said.get("id_token", ())),
            said.get("subject"),
            tuple(said.get("acr", ())),
        )


def parse_claims_request(text: str | None) -> ClaimsRequest:
    """Reads the parameter. Claims that nobody has heard of are left out. Raises ``invalid_request``."""
    if text is None:
        return ClaimsRequest()
    value = _object(text)
    userinfo, id_token = (_asked(value.get(member)) for member in ("userinfo", "id_token"))
    subjects = {*_wanted(id_token.get("sub")), *_wanted(userinfo.get("sub"))}
    acr = id_token.get("acr", {})
    essential = _wanted(acr) if acr.get("essential") is True else ()
    if len(subjects) > 1:
        raise OAuthError.invalid_request("claims can ask for one sub.")
    return ClaimsRequest(_known_names(userinfo), _known_names(id_token), next(iter(subjects), None), essential)


def _object(text: str) -> dict[str, Any]:
    try:
        value = parse_json(text) if fits(text, MAX_BYTES) else None
    except OAuthError:
        value = None
    if not isinstance(value, dict):
        raise OAuthError.invalid_request("claims must be a JSON object.")
    return value


def _asked(member: object) -> dict[str, dict[str, Any]]:
    """Claim name to what is said of it, ``{}`` for nothing (null)."""
    if member is None:
        return {}
    if not isinstance(member, dict) or not all(item is None or isinstance(item, dict) for item in member.values()):
        raise OAuthError.invalid_request("claims has a form that OpenID Connect does not allow.")
    return {name: item or {} for name, item in member.items()}


def _known_names(asked: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in asked if name in _KNOWN)


def _wanted(said: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The values of which one will do."""
    if not said:
        return ()
    values = said.get("values", [said["value"]] if "value" in said else [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise OAuthError.invalid_request("claims asks for a value that is no string.")
    return tuple(values)
