"""The plans of the conformance suite, which runs apart from these tests: nothing is excused without a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.run import HERE, Outcome, configuration, expectation

PLANS: dict[str, dict[str, Any]] = json.loads((HERE / "plans.json").read_text("utf-8"))
EXPECTED: dict[str, dict[str, dict[str, Any]]] = json.loads((HERE / "expected.json").read_text("utf-8"))
EXCUSES = [(plan, module) for plan, modules in EXPECTED.items() for module in modules]
ROLES = ("client", "client2", "post_client")
PROVIDER = {
    "issuer": "https://localhost:9443/oauth",
    "username": "somebody",
    "password": "a password",
    "registration_token": "a token",
    "clients": {key: {f"{role}_{part}": part for role in ROLES for part in ("id", "secret", "jwks")} for key in PLANS},
}
WARNED = Outcome("basic", "a-module", "WARNING", ("OneCondition",))


@pytest.mark.parametrize("plan, module", EXCUSES)
def test_every_result_but_passed_has_a_reason_and_names_what_warns_or_fails(plan: str, module: str) -> None:
    expected = EXPECTED[plan][module]
    assert expected["result"] in {"WARNING", "REVIEW", "SKIPPED", "FAILED"}
    assert expected["because"].endswith((".", "'", "'."))
    assert bool(expected.get("conditions")) == (expected["result"] in {"WARNING", "FAILED"})


def test_only_plans_that_are_run_have_expectations() -> None:
    assert set(EXPECTED) - {"*"} <= set(PLANS)


@pytest.mark.parametrize("plan", PLANS)
def test_every_plan_has_a_configuration_with_nothing_left_to_fill_in(plan: str) -> None:
    filled = configuration(plan, PLANS[plan]["configuration"], PROVIDER)
    script = {"browser": filled.pop("browser"), "override": filled.pop("override")}
    assert "$" not in json.dumps(filled)
    assert filled["server"]["discoveryUrl"] == "https://localhost:9443/oauth/.well-known/openid-configuration"
    assert {block["match"] for block in script["browser"]} == {
        "https://localhost:9443/oauth/authorize*",
        "https://localhost:9443/oauth/logout*",
    }


@pytest.mark.parametrize(
    "expected, differs",
    [
        ({"result": "WARNING", "conditions": ["OneCondition"]}, ""),
        ({"result": "WARNING", "conditions": ["OneCondition", "Another"]}, ""),
        ({"result": "WARNING", "conditions": ["Another"]}, "not expected: OneCondition"),
        ({"result": "FAILED", "conditions": ["OneCondition"]}, "expected FAILED"),
        ({}, "expected PASSED"),
    ],
)
def test_a_result_is_compared_with_its_conditions(expected: dict[str, Any], differs: str) -> None:
    assert WARNED.differs(expected) == differs


def test_what_is_said_of_a_plan_comes_before_what_is_said_of_all() -> None:
    said = {"*": {"a-module": {"result": "SKIPPED"}}, "basic": {"a-module": {"result": "REVIEW"}}}
    assert expectation(said, "basic", "a-module") == {"result": "REVIEW"}
    assert expectation(said, "another", "a-module") == {"result": "SKIPPED"}
    assert expectation(said, "another", "b-module") == {}
