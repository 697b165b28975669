"""Runs plans on a running suite against the provider under test, and compares with ``expected.json``.

    python -m tests.conformance.run FOLDER [PLAN …] [--module NAME …]

Each module's log goes to ``FOLDER/logs``. Ends with 1 if a module's result is not the expected one.
"""

from __future__ import annotations

import argparse
import json
import os
import string
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.conformance.browser import Script
from tests.conformance.provider_under_test import alias
from tests.conformance.suite import ENDED, Suite
from tests.serving import ROOT

HERE = Path(__file__).parent
START_SECONDS = 90
MODULE_SECONDS = 240
ROTATION_SECONDS = 60
ROTATION = "oidcc-server-rotate-keys"
_NOTABLE = ("FAILURE", "WARNING")


@dataclass
class Outcome:
    """``conditions`` are those of the suite that warned or failed."""

    plan: str
    module: str
    result: str
    conditions: tuple[str, ...]

    def differs(self, expected: dict[str, Any]) -> str:
        """In what it is not as ``expected`` says; empty when it is."""
        if self.result != expected.get("result", "PASSED"):
            return f"expected {expected.get('result', 'PASSED')}"
        surplus = sorted(set(self.conditions) - set(expected.get("conditions", ())))
        return f"not expected: {' '.join(surplus)}" if surplus else ""


def main() -> None:
    arguments = _arguments()
    provider = json.loads((arguments.folder / "provider.json").read_text())
    suite = Suite(provider["suite"], arguments.folder / "ca.pem")
    plans = json.loads((HERE / "plans.json").read_text())
    expected = json.loads((HERE / "expected.json").read_text())
    unknown = sorted(set(arguments.plans) - set(plans))
    if unknown:
        sys.exit(f"There is no plan {' '.join(unknown)}. There are: {' '.join(plans)}")
    print(f"suite {suite.version()} against {provider['issuer']}", flush=True)
    strange = 0
    counts: Counter[tuple[str, str]] = Counter()
    for key in arguments.plans or plans:
        for outcome in _run_plan(suite, key, plans[key], provider, arguments):
            differs = outcome.differs(expectation(expected, key, outcome.module))
            counts[key, outcome.result] += 1
            strange += bool(differs)
            print(
                f"{'!' if differs else ' '} {outcome.result:12} {key} {outcome.module} "
                f"{' '.join(outcome.conditions)}{f'  ({differs})' if differs else ''}",
                flush=True,
            )
    for key in dict.fromkeys(key for key, _ in counts):
        print(key, {result: number for (name, result), number in sorted(counts.items()) if name == key})
    if not counts:
        sys.exit(f"No plan has a module {' or '.join(arguments.module)}.")
    sys.exit(1 if strange else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the OpenID conformance suite against the provider under test.")
    parser.add_argument("folder", type=Path, help="that of provider_under_test")
    parser.add_argument("plans", nargs="*", metavar="PLAN", help="names in plans.json; all if none is given")
    parser.add_argument("--module", action="append", default=[], help="only this module; may be repeated")
    return parser.parse_args()


def expectation(expected: dict[str, Any], plan: str, module: str) -> dict[str, Any]:
    """What is said of the module in this plan, or in all of them."""
    found: dict[str, Any] = expected.get(plan, {}).get(module) or expected["*"].get(module, {})
    return found


def _run_plan(
    suite: Suite, key: str, plan: dict[str, Any], provider: dict[str, Any], arguments: argparse.Namespace
) -> Iterator[Outcome]:
    made = suite.create_plan(plan["plan"], plan.get("variant"), configuration(key, plan["configuration"], provider))
    folder = arguments.folder / "logs" / key
    folder.mkdir(parents=True, exist_ok=True)
    for module in made["modules"]:
        name = module["testModule"]
        if arguments.module and name not in arguments.module:
            continue
        module_id = suite.create_module(made["id"], name, module.get("variant"))
        _see_through(suite, module_id, name, provider)
        info, log = suite.info(module_id), suite.log(module_id)
        (folder / f"{name}.json").write_text(json.dumps({"info": info, "log": log}, indent=1))
        conditions = dict.fromkeys(str(it.get("src")) for it in log if it.get("result") in _NOTABLE)
        result = info.get("result") if info.get("status") == "FINISHED" else info.get("status")
        yield Outcome(key, name, str(result), tuple(conditions))


def configuration(key: str, template: str, provider: dict[str, Any]) -> dict[str, Any]:
    """The template with what ``provider.json`` says, and with the browser's script."""
    values = {"alias": alias(key), **provider, **provider["clients"].get(key, {})}
    filled = _filled(json.loads((HERE / "configurations" / f"{template}.json").read_text()), values)
    script = Script(provider["issuer"], provider["username"], provider["password"])
    return {**filled, "browser": script.browser(), "override": script.overrides()}


def _filled(template: Any, values: dict[str, Any]) -> Any:
    """``$name`` becomes a value, which is text, or whatever it is where nothing else is written there."""
    if isinstance(template, dict):
        return {name: _filled(value, values) for name, value in template.items()}
    if isinstance(template, str):
        if template.startswith("$") and template[1:] in values:
            return values[template[1:]]
        return string.Template(template).substitute(values)
    return template


def _see_through(suite: Suite, module_id: str, name: str, provider: dict[str, Any]) -> None:
    """Until the module has ended. One that stands still for too long is cancelled."""
    state = suite.wait_for(module_id, "CONFIGURED", "WAITING", *ENDED, seconds=START_SECONDS)
    if state == "CONFIGURED":
        if name == ROTATION:
            _rotate_keys(provider, suite.authority)
        suite.start(module_id)
    if state not in ENDED and suite.wait_for(module_id, *ENDED, seconds=MODULE_SECONDS) is None:
        suite.cancel(module_id)
        time.sleep(1)


def _rotate_keys(provider: dict[str, Any], authority: Path) -> None:
    """What the operator does while the module waits. A running server notices it within half a minute."""
    code = "from provider.cli.console import main; raise SystemExit(main())"
    environment = {**os.environ, **provider["environment"], "PYTHONPATH": str(ROOT)}
    before = _key_ids(provider["issuer"], authority)
    subprocess.run([sys.executable, "-c", code, "keys", "rotate", "--now"], env=environment, check=True, timeout=60)
    deadline = time.monotonic() + ROTATION_SECONDS
    while _key_ids(provider["issuer"], authority) == before and time.monotonic() < deadline:
        time.sleep(1)


def _key_ids(issuer: str, authority: Path) -> set[str]:
    with requests.Session() as http:
        http.trust_env = False
        keys = http.get(f"{issuer}/jwks", verify=str(authority), timeout=20).json()["keys"]
    return {key["kid"] for key in keys}


if __name__ == "__main__":
    main()
