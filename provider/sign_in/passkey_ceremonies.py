"""The two ceremonies of WebAuthn: what the browser is asked, and whether what it answers holds.

Pure: no database and no clock. The library that checks is loaded with the first answer, since it costs a start as much
as everything else together; what is asked is put together here (Web Authentication Level 3 §5.4 and §5.5, in JSON as in
§5.1.8 and §5.1.9).
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from provider.protocol.errors import OAuthError
from provider.protocol.json_body import parse_json
from provider.sign_in.passkey_challenges import SECONDS

MAX_ANSWER = 32_768
EDDSA, ES256, RS256 = -8, -7, -257
ALGORITHMS = (EDDSA, ES256, RS256)  # in the order of our preference (RFC 9053 §2, RFC 8812 §2)
ATTESTATIONS = ("none", "packed")  # we ask for none; what attests itself comes as it is (§5.1.3)
_MAX_ID = 1023
_RSA_BITS = range(2048, 4097)
_TRANSPORTS = ("usb", "nfc", "ble", "smart-card", "hybrid", "internal")


class CeremonyFailed(Exception):
    """The answer does not hold. The reason is for the record, and never for a page."""


class Known(Protocol):
    """What is told of a passkey so that an authenticator finds it."""

    @property
    def credential_id(self) -> str: ...

    @property
    def transports(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a browser says that an authenticator answered. Nothing in it is proved yet."""

    credential_id: str
    challenge: bytes
    user_handle: str | None
    members: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """A credential that an authenticator has just made."""

    credential_id: str
    public_key: str
    user_handle: str
    sign_count: int
    aaguid: str
    backup_eligible: bool
    backed_up: bool
    transports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Assertion:
    """An answer whose signature holds."""

    sign_count: int
    backup_eligible: bool
    backed_up: bool


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Who asks: the issuer's host and origin, whatever a request says of itself."""

    id: str
    origin: str
    name: str

    def creation_options(
        self, challenge: bytes, *, user_handle: str, name: str, display_name: str, known: Sequence[Known]
    ) -> dict[str, Any]:
        """For ``navigator.credentials.create()``: a passkey that is found without a name and knows its person.

        ``known`` are those that the account has: an authenticator that holds one makes no second.
        """
        return {
            "rp": {"id": self.id, "name": self.name},
            "user": {"id": user_handle, "name": name, "displayName": display_name},
            "challenge": encoded(challenge),
            "pubKeyCredParams": [{"type": "public-key", "alg": algorithm} for algorithm in ALGORITHMS],
            "excludeCredentials": _described(known),
            "authenticatorSelection": {
                "residentKey": "required",
                "requireResidentKey": True,
                "userVerification": "required",
            },
            "attestation": "none",
            "timeout": SECONDS * 1000,
        }

    def request_options(
        self, challenge: bytes, *, known: Sequence[Known] = (), needs_verification: bool
    ) -> dict[str, Any]:
        """For ``navigator.credentials.get()``. Without ``known`` any passkey of ours will do, and nobody is named."""
        return {
            "challenge": encoded(challenge),
            "rpId": self.id,
            "allowCredentials": _described(known),
            "userVerification": "required" if needs_verification else "preferred",
            "timeout": SECONDS * 1000,
        }

    def check_creation(self, answer: Answer, challenge: bytes, *, user_handle: str) -> NewPasskey:
        """The new credential (§7.1). Raises ``CeremonyFailed``."""
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from webauthn import verify_registration_response
        from webauthn.helpers import decode_credential_public_key, decoded_public_key_to_cryptography
        from webauthn.helpers.cose import COSEAlgorithmIdentifier
        from webauthn.helpers.structs import CredentialDeviceType

        try:
            made = verify_registration_response(
                credential=answer.members,
                expected_challenge=challenge,
                expected_rp_id=self.id,
                expected_origin=self.origin,
                require_user_verification=True,
                supported_pub_key_algs=[COSEAlgorithmIdentifier(algorithm) for algorithm in ALGORITHMS],
            )
            key = decoded_public_key_to_cryptography(decode_credential_public_key(made.credential_public_key))
        except Exception as problem:  # a stranger's bytes in three parsers: whatever they do there is a refusal
            raise CeremonyFailed(_reason(problem)) from problem
        if made.fmt not in ATTESTATIONS:
            raise CeremonyFailed("an attestation of another kind")
        if encoded(made.credential_id) != answer.credential_id or len(made.credential_id) > _MAX_ID:
            raise CeremonyFailed("another id than the answer says, or one that is too long")
        if isinstance(key, RSAPublicKey) and key.key_size not in _RSA_BITS:
            raise CeremonyFailed("a key that is too weak, or too long to be checked each time")
        return NewPasskey(
            credential_id=answer.credential_id,
            public_key=encoded(made.credential_public_key),
            user_handle=user_handle,
            sign_count=made.sign_count,
            aaguid=made.aaguid,
            backup_eligible=made.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
            backed_up=made.credential_backed_up,
            transports=_transports(answer),
        )

    def check_assertion(
        self, answer: Answer, challenge: bytes, *, public_key: str, needs_verification: bool
    ) -> Assertion:
        """Whether ``public_key`` signed the answer, for us, at our page (§7.2). Raises ``CeremonyFailed``.

        The counter is for the caller to compare, once it is known that the signature holds: a forged answer must not make
        a passkey look copied.
        """
        from webauthn import verify_authentication_response
        from webauthn.helpers.structs import CredentialDeviceType

        try:
            proved = verify_authentication_response(
                credential=answer.members,
                expected_challenge=challenge,
                expected_rp_id=self.id,
                expected_origin=self.origin,
                credential_public_key=decoded(public_key),
                credential_current_sign_count=0,
                require_user_verification=needs_verification,
            )
        except Exception as problem:  # as above
            raise CeremonyFailed(_reason(problem)) from problem
        return Assertion(
            sign_count=proved.new_sign_count,
            backup_eligible=proved.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
            backed_up=proved.credential_backed_up,
        )


def relying_party(origin: str, name: str) -> RelyingParty | None:
    """None for an issuer on a bare address: passkeys are bound to a domain, or to ``localhost`` (§5.1.2)."""
    host = urlsplit(origin).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return RelyingParty(host, origin, name)
    return None


def read_answer(text: str) -> Answer:
    """What the page's script sends: a credential in JSON. Raises ``CeremonyFailed`` for what is none of ours to read."""
    if len(text) > MAX_ANSWER:
        raise CeremonyFailed("too long")
    try:
        members = parse_json(text)
        response = members["response"]
        said = parse_json(decoded(response["clientDataJSON"]))
        # A page of somebody else's has us in a frame: we allow no frames, and no answer from one (§7.1, §7.2).
        if said.get("crossOrigin", False) is not False or "topOrigin" in said:
            raise CeremonyFailed("asked for from another site")
        handle = response.get("userHandle")
        return Answer(
            credential_id=encoded(decoded(members["id"])),
            challenge=decoded(said["challenge"]),
            user_handle=None if handle is None else encoded(decoded(handle)),
            members=members,
        )
    except (OAuthError, KeyError, TypeError, AttributeError, ValueError) as problem:
        raise CeremonyFailed("not the answer of an authenticator") from problem


def encoded(value: bytes) -> str:
    """base64url without padding (RFC 4648 §5)."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """Raises ``ValueError`` for all but the one spelling that ``encoded`` writes."""
    value = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encoded(value) != text:
        raise ValueError("not base64url")
    return value


def _described(known: Sequence[Known]) -> list[dict[str, Any]]:
    return [
        {
            "type": "public-key",
            "id": each.credential_id,
            **({"transports": list(each.transports)} if each.transports else {}),
        }
        for each in known
    ]


def _transports(answer: Answer) -> tuple[str, ...]:
    """What the authenticator says of how it is reached, as far as we know the words (§5.8.4)."""
    said = answer.members["response"].get("transports")
    return tuple(name for name in _TRANSPORTS if isinstance(said, list) and name in said)


def _reason(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}"[:200]
