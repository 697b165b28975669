"""The machine endpoints behind Flask: all of them, of which bare WSGI answers some before."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, Response, request

from provider.doors.bare import ANSWER, respond
from provider.doors.doorway import Doorway
from provider.doors.endpoint import Endpoint
from provider.protocol.messages import ProtocolResponse


def mount_in_flask(
    app: Flask, doorway: Doorway, endpoint: Endpoint, render: Callable[[ProtocolResponse], Response]
) -> None:
    """``render`` makes the page of an answer that names one."""

    def view(**_path_values: str) -> Response:
        answer = request.environ.get(ANSWER) or respond(doorway, endpoint, request.environ)
        if answer.page is not None:
            return render(answer)
        response = Response(answer.body, answer.status)
        response.headers.clear()
        for name, value in answer.headers:
            response.headers.add(name, value)
        return response

    # A rule without methods matches them all, so that the doorway refuses the others with the same answer at both doors.
    # A period in its name would make it a page's: Flask takes what stands before it for a blueprint.
    name = f"endpoint {endpoint.path}".replace(".", " ")
    app.url_map.add(app.url_rule_class(endpoint.path, endpoint=name, methods=None))
    app.view_functions[name] = view
