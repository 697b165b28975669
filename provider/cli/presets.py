"""``client create --for NAME``: what a program needs, as defaults of the other options, and its own configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from provider.cli.terminal import refuse, show_table
from provider.clients.presets import PRESETS, Preset, UnknownPreset, find_preset
from provider.program_name import command

if TYPE_CHECKING:
    from provider.cli.terminal import Terminal
    from provider.protocol.client import Client


def _list_presets() -> None:
    rows = [{"for": preset.name, "program": preset.title, "note": preset.note} for preset in PRESETS]
    show_table(("for", "program", "note"), rows, nothing="There is none.")


def _defaults_of_preset(context: click.Context, _option: click.Parameter, name: str | None) -> Preset | None:
    """Reads ``--for``: whatever is not said beside it comes from the preset. Alone, it lists.

    Options that were not given are read after all that were: in time for these defaults.
    """
    if not name:
        if name is not None:
            _list_presets()
            context.exit()
        return None
    try:
        preset = find_preset(name)
    except UnknownPreset as unknown:
        refuse(f"{unknown} All of them: {command('client create --for')}")
    said = {
        "name": preset.title,
        "redirect_uris": preset.redirect_uris,
        "scope": preset.scope,
        "grant_types": preset.grant_types,
        "auth_method": preset.auth_method,
        "pkce": preset.pkce,
        "claims": preset.claims_in_id_token,
        "native": preset.native,
    }
    context.default_map = {name: value for name, value in said.items() if value}
    return preset


for_program = click.option(
    "--for",
    "preset",
    is_flag=False,
    flag_value="",
    metavar="PROGRAM",
    callback=_defaults_of_preset,
    help="What this program needs, and the lines for its configuration. Without a PROGRAM: which there are.",
)


def uris_for(preset: Preset, given: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The redirect URIs as the program has them, and where people land after signing out, if that was not said.

    Refuses where the program needs a redirect URI and there is none.
    """
    uris = preset.complete(given["redirect_uris"])
    if preset.redirect_path and not uris:
        refuse(f"{preset.title} needs --redirect-uri: its own address, such as https://app.example, is enough.")
    after = given["post_logout_redirect_uris"] or preset.post_logout_redirect_uris(uris)
    return {"redirect_uris": uris, "post_logout_redirect_uris": after}


def configuration_for(preset: Preset, terminal: Terminal, made: Client, secret: str | None) -> str:
    """The program's lines with this registration's values, or a refusal."""
    from provider.clients.program_configuration import NoConfiguration, program_configuration
    from provider.program_files import templates_folder

    issuer = terminal.services.settings.issuer
    try:
        return program_configuration(preset, made, secret, issuer=issuer, templates=templates_folder())
    except NoConfiguration as problem:
        refuse(str(problem))


def show_configuration(preset: Preset, text: str) -> None:
    click.echo(f"\n--- {preset.title}\n{text}")
    if preset.advice:
        click.echo(preset.advice)
    click.echo(f"What you see then, and what goes wrong: docs/guides/{preset.name}.md")
