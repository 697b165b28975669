"""Answers of authenticators, bent in any place: a refusal, or what was true all along, and never another fault."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.sign_in.passkey_ceremonies import CeremonyFailed, decoded, encoded, read_answer, relying_party
from tests.authenticator import Authenticator
from tests.fuzz import hostile

ORIGIN = "https://id.example"
PARTY = relying_party(ORIGIN, "MCP Core")
assert PARTY is not None
CHALLENGE = b"c" * 56
DEVICE = Authenticator(ORIGIN)
MADE = DEVICE.create(
    PARTY.creation_options(CHALLENGE, user_handle="eA", name="ana", display_name="Ana", known=()), fmt="packed"
)
KEY = PARTY.check_creation(read_answer(MADE), CHALLENGE, user_handle="eA").public_key
USED = DEVICE.get(PARTY.request_options(CHALLENGE, needs_verification=True))
PARTS = ("clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle")


@st.composite
def bent(draw: st.DrawFn, text: str) -> str:
    """One part of a true answer with some bytes cut out, put in or turned over."""
    answer = json.loads(text)
    part = draw(st.sampled_from([name for name in PARTS if name in answer["response"]]))
    true = decoded(answer["response"][part])
    start = draw(st.integers(0, len(true)))
    end = draw(st.integers(start, min(len(true), start + 8)))
    answer["response"][part] = encoded(true[:start] + draw(st.binary(max_size=8)) + true[end:])
    return json.dumps(answer)


@hostile.bounded(150)
@given(st.one_of(bent(MADE), hostile.words))
def test_a_bent_creation_is_refused_or_the_same(text: str) -> None:
    assert PARTY is not None
    try:
        answer = read_answer(text)
        made = PARTY.check_creation(answer, CHALLENGE, user_handle="eA")
    except CeremonyFailed:
        return
    assert answer.challenge == CHALLENGE
    assert (made.public_key, made.sign_count) == (KEY, 0), "it attests itself"


@hostile.bounded(150)
@given(st.one_of(bent(USED), hostile.words))
def test_a_bent_assertion_is_refused_or_the_same(text: str) -> None:
    assert PARTY is not None
    try:
        answer = read_answer(text)
        PARTY.check_assertion(answer, CHALLENGE, public_key=KEY, needs_verification=True)
    except CeremonyFailed:
        return
    true, sent = json.loads(USED)["response"], json.loads(text)["response"]
    assert [name for name in true if sent[name] != true[name]] in ([], ["userHandle"]), "the handle is signed by nobody"


@pytest.mark.parametrize("text", ["\x00", "\ud800", "é" * 40_000])
def test_what_is_no_text_to_us_is_refused(text: str) -> None:
    with pytest.raises(CeremonyFailed):
        read_answer(text)
