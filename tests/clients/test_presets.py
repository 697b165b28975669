"""Presets: what other people's programs need, and their configurations."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from provider.clients.presets import PRESETS, Preset, UnknownPreset, find_preset
from provider.clients.program_configuration import NoConfiguration, program_configuration
from provider.protocol.client import Client

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
ISSUER = "https://id.example/oauth"
PRESET = Preset("a", "A", "a", redirect_path="/app/callback/", post_logout_path="/bye")


def client(redirect_uri: str = "https://a.example/app/callback/", **values: object) -> Client:
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    known = dict.fromkeys(Client.__dataclass_fields__) | {
        "client_id": "app_1", "redirect_uris": (redirect_uri,), "post_logout_redirect_uris": (),
        "scope": ("openid", "email"), "created_at": now, "updated_at": now,
    }  # fmt: skip
    return Client(**{**known, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given, whole",
    [
        ("https://a.example", "https://a.example/app/callback/"),
        ("https://a.example/", "https://a.example/app/callback/"),
        ("http://localhost:9000", "http://localhost:9000/app/callback/"),
        ("https://a.example:8443/", "https://a.example:8443/app/callback/"),
        ("https://a.example/app/callback/", "https://a.example/app/callback/"),
        ("https://a.example/under/app/callback/", "https://a.example/under/app/callback/"),
        ("https://a.example/?a=b", "https://a.example/?a=b"),
        ("com.example.app:/callback", "com.example.app:/callback"),
        ("com.example.app://callback", "com.example.app://callback"),
        ("nonsense", "nonsense"),
    ],
)
def test_a_base_url_is_completed_and_everything_else_is_left_as_it_is(given: str, whole: str) -> None:
    assert PRESET.complete([given]) == (whole,)


@pytest.mark.parametrize("given", ["http://127.0.0.1/", "http://127.0.0.1", "https://a.example/"])
def test_nothing_is_completed_for_a_program_without_a_path(given: str) -> None:
    assert Preset("a", "A", "a").complete([given]) == (given,)


def test_the_redirect_uris_of_a_hosted_program_are_for_those_who_give_none() -> None:
    hosted = Preset("a", "A", "a", redirect_uris=("https://hosted.example/callback",))
    assert hosted.complete([]) == ("https://hosted.example/callback",)
    assert hosted.complete(["https://mine.example/callback"]) == ("https://mine.example/callback",)


def test_people_land_at_the_host_of_each_redirect_uri() -> None:
    uris = ("https://a.example/app/callback/", "https://a.example/other", "https://b.example:1/x")
    assert PRESET.post_logout_redirect_uris(uris) == ("https://a.example/bye", "https://b.example:1/bye")
    assert Preset("a", "A", "a").post_logout_redirect_uris(uris) == ()


@pytest.mark.parametrize("written", ["django-allauth", "Django-Allauth", " DJANGO-ALLAUTH "])
def test_a_program_is_found_whatever_the_case_of_its_name(written: str) -> None:
    assert find_preset(written).name == "django-allauth"


@pytest.mark.parametrize(
    "written, meant",
    [("django-alauth", "django-allauth"), ("jupiterhub", "jupyterhub"), ("allauth", "django-allauth"), ("xyzzy", None)],
)
def test_an_unknown_program_is_told_what_may_be_meant(written: str, meant: str | None) -> None:
    with pytest.raises(UnknownPreset) as refused:
        find_preset(written)
    assert (f"Did you mean {meant}?" in str(refused.value)) is (meant is not None)


def test_names_are_unique_and_every_note_is_one_line() -> None:
    names = [preset.name for preset in PRESETS]
    assert len(set(names)) == len(names)
    for preset in PRESETS:
        assert preset.note
        assert "\n" not in preset.note + preset.title
        assert preset.redirect_path.startswith("/") or not preset.redirect_path
        assert preset.pkce != "never" or "--pkce never" in preset.advice, "who relaxes says so"


@pytest.mark.parametrize(
    "bad",
    [
        "https://a.example/'+x+'",
        'https://a.example/"',
        "https://a.example/$(x)",
        "https://a.example/`x`",
        "a\nb",
        "a\\",
        "a #b",
        "<a>",
        "${a}",
    ],
)
def test_values_that_would_need_quoting_are_not_written(bad: str) -> None:
    preset = find_preset("jupyterhub")
    with pytest.raises(NoConfiguration, match="redirect_uri"):
        program_configuration(preset, client(bad), "mcp_cs_1", issuer=ISSUER, templates=TEMPLATES)


def test_a_configuration_with_a_hole_is_not_written() -> None:
    preset = find_preset("jupyterhub")
    with pytest.raises(NoConfiguration, match="JupyterHub needs a client_secret"):
        program_configuration(preset, client(), None, issuer=ISSUER, templates=TEMPLATES)
