"""npm's openid-client as a relying party: each way to authenticate, and pushed requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwk

from tests.browser import Browser
from tests.interop.node import running
from tests.journeys.mcp_world import ON_THIS_DEVICE, UNREVIEWED, World, says, says_nothing_of

pytestmark = [pytest.mark.interop, pytest.mark.slow]
CALLBACK = "https://files.example/callback"
SIGNED_OUT = "https://files.example/signed-out"


@pytest.mark.parametrize(
    "method, pushed",
    [
        ("client_secret_basic", False),
        ("client_secret_post", True),
        ("private_key_jwt", True),
        ("none", False),
    ],
)
def test_a_person_signs_in_and_out(world: World, packages: Path, tmp_path: Path, method: str, pushed: bool) -> None:
    given: dict[str, Any] = {"method": method, "pushed": pushed, "metadata": {}}
    options: list[str] = []
    if method == "private_key_jwt":
        key = jwk.ECKey.generate_key("P-256", {"alg": "ES256", "use": "sig"})
        metadata = tmp_path / "metadata.json"
        metadata.write_text(json.dumps({"jwks": {"keys": [key.as_dict(private=False)]}}))
        options = ["--metadata", str(metadata)]
        given["private_key"] = key.as_dict(private=True)
    made = world.server.mcp_core_json(
        *("client", "create", "--name", "Acme Files", "--auth-method", method, "--redirect-uri", CALLBACK),
        *("--post-logout-redirect-uri", SIGNED_OUT, *options),
    )
    given |= {
        "issuer": world.server.issuer,
        "client_id": made["client_id"],
        "client_secret": made.get("client_secret"),
        "redirect_uri": CALLBACK,
        "post_logout_redirect_uri": SIGNED_OUT,
        "scope": "openid profile email offline_access",
    }
    person, browser = world.person(), Browser("https://files.example/")
    with running(packages, "relying_party.mjs", tmp_path / "log", **given) as program:
        url = program.hear()["open"]
        assert ("request_uri=" in url) is pushed
        program.tell(person.answer(browser, url).url)
        said = program.hear()
    assert said["claims"]["sub"] == said["profile"]["sub"]
    assert said["profile"]["email"] == person.email
    assert said["refreshed"] is True
    if method != "none":
        assert (said["introspected"]["active"], said["introspected"]["sub"]) == (True, said["claims"]["sub"])
    (page,) = person.asked
    says(page, "“Acme Files” wants to use your account", "You will be sent to files.example", "See your e-mail address")
    says(
        page,
        "See who you are (your account id)",
        "See your profile: your name, user name, picture and what else you have filled in there",
        "Keep this access while you are away",
    )
    says_nothing_of(page, ON_THIS_DEVICE, UNREVIEWED, "Access to")

    page = browser.get(said["out"])
    if page.status:
        page = browser.submit(page.form(action="/sign-out"))
    assert page.url.startswith(SIGNED_OUT)


@pytest.mark.parametrize("pushed", [False, True])
def test_a_client_with_a_metadata_document_proves_itself_by_the_key_that_its_document_names(
    world: World, packages: Path, tmp_path: Path, pushed: bool
) -> None:
    """As hosted assistants do: an https redirect URI, ``private_key_jwt``, keys at ``jwks_uri``, two methods on offer."""
    key = jwk.ECKey.generate_key("P-256", {"alg": "ES256", "use": "sig", "kid": "one"})
    keys = world.documents.say_json(f"/assistant-{pushed}/keys.json", {"keys": [key.as_dict(private=False)]})
    document = world.document(
        f"assistant-{pushed}",
        CALLBACK,
        token_endpoint_auth_method="private_key_jwt",
        token_endpoint_auth_methods_supported=["none", "private_key_jwt"],
        token_endpoint_auth_signing_alg="ES256",
        jwks_uri=keys,
    )
    given = {
        "method": "private_key_jwt",
        "private_key": key.as_dict(private=True),
        "pushed": pushed,
        "metadata": {},
        "issuer": world.server.issuer,
        "client_id": document,
        "redirect_uri": CALLBACK,
        "post_logout_redirect_uri": SIGNED_OUT,
        "scope": "openid profile email offline_access",
    }
    person = world.person()
    with running(packages, "relying_party.mjs", tmp_path / "log", **given) as program:
        url = program.hear()["open"]
        program.tell(person.answer(Browser("https://files.example/"), url).url)
        said = program.hear()
    assert (said["claims"]["aud"], said["profile"]["email"]) == (document, person.email)
    assert world.documents.count(f"/assistant-{pushed}/keys.json") >= 1
    (page,) = person.asked
    says(page, UNREVIEWED, f"Known by its address at {world.documents.host}", "You will be sent to files.example")
