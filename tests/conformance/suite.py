"""A running conformance suite, over its own HTTP interface."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import requests

POLL_SECONDS = 25
ENDED = ("FINISHED", "INTERRUPTED")


class SuiteError(Exception):
    """The suite did not do what it was told. The text is its answer."""


class Suite:
    """``authority`` is the certificate that both fronts are trusted by."""

    def __init__(self, base_url: str, authority: Path) -> None:
        self.base_url = base_url.rstrip("/")
        self.authority = authority
        self._http = requests.Session()
        self._http.verify = str(authority)
        self._http.trust_env = False

    def version(self) -> str:
        return str(self._call("GET", "api/server")["version"])

    def create_plan(self, name: str, variant: dict[str, str] | None, configuration: dict[str, Any]) -> dict[str, Any]:
        """``id`` and ``modules`` of the new plan."""
        query = {"planName": name, **({"variant": json.dumps(variant)} if variant else {})}
        made: dict[str, Any] = self._call("POST", "api/plan", query, configuration)
        return made

    def create_module(self, plan_id: str, name: str, variant: dict[str, str] | None) -> str:
        query = {"test": name, "plan": plan_id, **({"variant": json.dumps(variant)} if variant else {})}
        return str(self._call("POST", "api/runner", query)["id"])

    def wait_for(self, module_id: str, *states: str, seconds: float) -> str | None:
        """The state that was reached, None when the time is over. An interruption always counts."""
        deadline = time.monotonic() + seconds
        wanted = ",".join({*states, "INTERRUPTED"})
        while (left := deadline - time.monotonic()) > 0:
            query = {"states": wanted, "timeoutMs": str(int(min(left, POLL_SECONDS) * 1000))}
            state = self._call("GET", f"api/runner/{module_id}/wait-state", query).get("state")
            if state is not None:
                return str(state)
        return None

    def start(self, module_id: str) -> None:
        self._call("POST", f"api/runner/{module_id}")

    def cancel(self, module_id: str) -> None:
        self._http.delete(f"{self.base_url}/api/runner/{module_id}", timeout=60)

    def info(self, module_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self._call("GET", f"api/info/{module_id}")
        return found

    def log(self, module_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._call("GET", f"api/log/{module_id}")
        return found

    def _call(self, method: str, path: str, query: dict[str, str] | None = None, body: Any = None) -> Any:
        answer = self._http.request(
            method,
            f"{self.base_url}/{path}",
            params=query,
            json=body,
            timeout=60,
            headers={"Accept": "application/json"},
        )
        if answer.status_code not in (200, 201):
            raise SuiteError(f"{method} {path}: {answer.status_code} {answer.text[:400]}")
        return answer.json()
