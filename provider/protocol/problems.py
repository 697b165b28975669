"""Errors as problem details (RFC 9457), for the endpoints that are no part of OAuth."""

from __future__ import annotations

import json
from http import HTTPStatus

from provider.protocol.messages import ProtocolResponse

PROBLEM_JSON = "application/problem+json"
_TYPE = "urn:mcp-core:problem:"
_JSON = "application/json"


def as_problem(response: ProtocolResponse) -> ProtocolResponse:
    """``response`` as it is, but for an error of OAuth's form, which becomes a problem of the same name.

    ``type`` is what programs tell apart, ``title`` the phrase of the status, ``detail`` what to do about it.
    """
    if response.status < 400 or ("Content-Type", _JSON) not in response.headers:
        return response
    said = json.loads(response.body)
    problem = {
        "type": _TYPE + str(said["error"]),
        "title": HTTPStatus(response.status).phrase,
        "status": response.status,
    }
    if "error_description" in said:
        problem["detail"] = said["error_description"]
    headers = [(name, PROBLEM_JSON if value == _JSON else value) for name, value in response.headers]
    return ProtocolResponse(response.status, headers, json.dumps(problem, separators=(",", ":")).encode())
