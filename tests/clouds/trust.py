"""What a cloud checks in a token of ours before it gives anything for it, whatever it is called there and how it says no.

Its keys are read over HTTP, from where the metadata of the issuer says that they are.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.waiting import HANG_SECONDS

REQUIRED = ("iss", "sub", "aud", "iat", "exp")


class Fault(StrEnum):
    FORM = "form"
    ISSUER = "issuer"
    UNREACHABLE = "unreachable"
    SIGNATURE = "signature"
    EXPIRED = "expired"
    AUDIENCE = "audience"
    SUBJECT = "subject"


class Distrust(Exception):
    """``claims`` are what the token says, proved or not: clouds repeat some of them in what they answer."""

    def __init__(self, fault: Fault, claims: Mapping[str, Any]) -> None:
        super().__init__(fault.value)
        self.fault, self.claims = fault, claims


def real_time() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclass
class Trust:
    """Who set a cloud up has told it ``issuer``, ``audiences`` and ``subject``. The rest is how it is with the cloud.

    Not ``is_reached``: it cannot read our keys. ``has_other_keys``: it still has old ones. ``seconds_ahead``: its clock.
    ``server`` is where the issuer's host is, as a name server would say it, and ``authority`` the certificate of that one.
    """

    issuer: str = ""
    audiences: tuple[str, ...] = ()
    subject: str = ""
    is_reached: bool = True
    has_other_keys: bool = False
    seconds_ahead: int = 0
    algorithms: tuple[str, ...] = ("RS256",)
    server: str = ""
    authority: Path | None = None
    clock: Callable[[], datetime.datetime] = field(default=real_time, repr=False)

    @property
    def now(self) -> datetime.datetime:
        return self.clock() + datetime.timedelta(seconds=self.seconds_ahead)

    def claims_of(self, token: str) -> Mapping[str, Any]:
        """The claims, proved: issuer, keys, signature, expiry, audience, subject. Raises ``Distrust`` at the first fault."""
        claims = _unproved(token)
        if claims["iss"] != self.issuer:
            raise Distrust(Fault.ISSUER, claims)
        if not self.is_reached:
            raise Distrust(Fault.UNREACHABLE, claims)
        self._check_signature(token, claims)
        if claims["exp"] <= self.now.timestamp():
            raise Distrust(Fault.EXPIRED, claims)
        if claims.get("azp", claims["aud"]) not in self.audiences:  # clouds that know `azp` let it come first
            raise Distrust(Fault.AUDIENCE, claims)
        if claims["sub"] != self.subject:
            raise Distrust(Fault.SUBJECT, claims)
        return claims

    def _check_signature(self, token: str, claims: Mapping[str, Any]) -> None:
        header = jwt.get_unverified_header(token)
        known = [key for key in self._keys() if key["kid"] == header.get("kid")]
        if not known:
            raise Distrust(Fault.SIGNATURE, claims)
        key = jwt.PyJWK({**known[0], **(_another_key() if self.has_other_keys else {})})
        try:
            jwt.PyJWS().decode(token, key, algorithms=list(self.algorithms))
        except jwt.InvalidTokenError:
            raise Distrust(Fault.SIGNATURE, claims) from None

    def _keys(self) -> list[dict[str, str]]:
        metadata = self._read(f"{self.issuer}/.well-known/openid-configuration")
        assert metadata["issuer"] == self.issuer
        found: list[dict[str, str]] = self._read(metadata["jwks_uri"])["keys"]
        return found

    def _read(self, url: str) -> Any:
        parts = urlsplit(url)
        place = self.server or f"{parts.scheme}://{parts.netloc}"
        trusted = str(self.authority) if self.authority else True
        answer = requests.get(place + parts.path, headers={"Host": parts.netloc}, timeout=HANG_SECONDS, verify=trusted)
        assert answer.status_code == 200, answer.text
        return answer.json()


def _unproved(token: str) -> Mapping[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False, "verify_exp": False})
    except jwt.InvalidTokenError:
        raise Distrust(Fault.FORM, {}) from None
    if not set(REQUIRED) <= claims.keys():
        raise Distrust(Fault.FORM, claims)
    return claims


@functools.cache
def _another_key() -> Mapping[str, str]:
    made = rsa.generate_private_key(public_exponent=65_537, key_size=2048).public_key()
    found = jwt.algorithms.RSAAlgorithm.to_jwk(made, as_dict=True)
    return {name: found[name] for name in ("n", "e")}
