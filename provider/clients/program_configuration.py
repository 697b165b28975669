"""A program's own configuration, with a registration's values in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import jinja2

from provider.clients.presets import Preset, base_url
from provider.protocol.client import Client

# What ends a string, or starts an expression, a tag or a comment, in one of the languages of the templates.
_UNWRITABLE = re.compile(r"""["'`\\$#{}<>|\x00-\x1f\x7f]""")


class NoConfiguration(ValueError):
    """The text cannot be written with these values. Its words are for the operator."""


def program_configuration(preset: Preset, client: Client, secret: str | None, *, issuer: str, templates: Path) -> str:
    """The lines for the program's configuration, to be pasted as they are. Raises ``NoConfiguration``.

    ``templates`` is the folder of all templates. Nothing is escaped, for every program quotes differently: values that
    would need it are refused.
    """
    redirect_uri = client.redirect_uris[0] if client.redirect_uris else None
    known = {
        "issuer": issuer,
        "client_id": client.client_id,
        "client_secret": secret,
        "redirect_uri": redirect_uri,
        "base_url": base_url(redirect_uri) if redirect_uri else None,
        "post_logout_redirect_uri": next(iter(client.post_logout_redirect_uris), None),
        "scope": " ".join(client.scope) or None,
        "resource": client.resource,
    }
    values = {name: value for name, value in known.items() if value is not None}
    return _rendered(preset, values, templates)


def _rendered(preset: Preset, values: Mapping[str, str], templates: Path) -> str:
    for name, value in values.items():
        if _UNWRITABLE.search(value):
            raise NoConfiguration(f"The {name} {value} does not fit into a configuration. Register without --for.")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates / "presets"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - configurations, not HTML
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    try:
        return environment.get_template(f"{preset.name}.txt").render(values)
    except jinja2.UndefinedError as missing:
        name = str(missing).split("'")[1]
        raise NoConfiguration(f"{preset.title} needs a {name}, and this registration has none.") from None
