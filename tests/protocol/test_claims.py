"""Claims per scope (OpenID Connect Core §5.1, §5.3.2, §5.4)."""

from __future__ import annotations

import dataclasses
import datetime

from provider.protocol.claims import Subject, claims_for

SUBJECT = Subject(
    sub="018f-user",
    username="jiwon",
    display_name="김지원",
    locale="ko",
    updated_at=datetime.datetime(2026, 7, 1, 12, 0, 0, 999999, tzinfo=datetime.UTC),
    email="jiwon@example.com",
    email_verified=False,
)


def test_without_scopes_there_is_only_the_subject() -> None:
    assert claims_for(SUBJECT, ()) == {"sub": "018f-user"}
    assert claims_for(SUBJECT, ("openid", "offline_access", "mcp:read")) == {"sub": "018f-user"}


def test_profile_gives_the_profile_and_no_address() -> None:
    assert claims_for(SUBJECT, ("openid", "profile")) == {
        "sub": "018f-user",
        "name": "김지원",
        "preferred_username": "jiwon",
        "locale": "ko",
        "updated_at": 1782907200,
    }


def test_email_gives_the_address_and_no_profile() -> None:
    assert claims_for(SUBJECT, ("openid", "email")) == {
        "sub": "018f-user",
        "email": "jiwon@example.com",
        "email_verified": False,
    }


def test_an_unverified_address_is_a_statement_and_not_left_out() -> None:
    claims = claims_for(SUBJECT, ("email",))
    assert claims["email_verified"] is False


def test_email_verified_is_a_boolean_whatever_the_database_gave() -> None:
    from_database = dataclasses.replace(SUBJECT, email_verified=1)  # type: ignore[arg-type]
    assert claims_for(from_database, ("email",))["email_verified"] is True


def test_updated_at_is_a_whole_number() -> None:
    assert type(claims_for(SUBJECT, ("profile",))["updated_at"]) is int


def test_there_are_no_nulls_and_no_empty_texts() -> None:
    bare = dataclasses.replace(SUBJECT, display_name=None, locale=None, email="")
    assert claims_for(bare, ("profile", "email")) == {
        "sub": "018f-user",
        "name": "jiwon",
        "preferred_username": "jiwon",
        "updated_at": 1782907200,
    }
    assert claims_for(dataclasses.replace(SUBJECT, display_name="", locale=""), ("profile",))["name"] == "jiwon"
