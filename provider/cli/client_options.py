"""The options of ``client create`` and ``client update``, and what an operator says by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING, Any

import click

from provider.cli.terminal import Terminal, refuse

if TYPE_CHECKING:
    from provider.clients.operator_metadata import ClientOptions
    from provider.protocol.client import Client

_METHODS = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
_STRICT = ("client_secret_basic=strict", "client_secret_post=strict")
_GRANTS = ("authorization_code", "refresh_token", "client_credentials")
_PKCE = ("always", "unless-nonce", "never")
Command = Callable[..., Any]

_OPTIONS = (
    click.option(
        "--public",
        is_flag=True,
        help="Keeps no secret: an app on a device or in a browser. Same as --auth-method none.",
    ),
    click.option(
        "--native", is_flag=True, help="Runs on a device: loopback redirects on any port, private-use schemes."
    ),
    click.option(
        "--redirect-uri",
        "redirect_uris",
        multiple=True,
        metavar="URI",
        help="Where answers may go, exactly. May repeat.",
    ),
    click.option(
        "--post-logout-redirect-uri",
        "post_logout_redirect_uris",
        multiple=True,
        metavar="URI",
        help="Where people may land after signing out. May repeat.",
    ),
    click.option(
        "--grant",
        "grant_types",
        multiple=True,
        type=click.Choice(_GRANTS),
        help="May repeat. Default: what fits the redirect URIs.",
    ),
    click.option(
        "--scope",
        metavar='"a b"',
        help="Scopes when the application asks for none; the most it gets by client_credentials.",
    ),
    click.option(
        "--auth-method",
        type=click.Choice((*_METHODS, *_STRICT)),
        help="How it proves itself. Default: client_secret_basic. A secret is taken either way, unless =strict.",
    ),
    click.option("--resource", metavar="URI", help="The API its tokens are for when it names none."),
    click.option(
        "--jwks-uri", metavar="URL", help="Where its public keys are, for private_key_jwt and signed requests."
    ),
    click.option(
        "--metadata",
        "metadata_file",
        type=click.File("r", encoding="utf-8"),
        metavar="FILE",
        help="More metadata as JSON, with the names of RFC 7591 and OpenID Connect (jwks, backchannel_logout_uri, …). "
        "An option wins over it.",
    ),
    click.option(
        "--pkce",
        type=click.Choice(_PKCE),
        help="When its requests need a code_challenge. Default: unless-nonce (a nonce and the scope openid do as well), "
        "for public clients always. doctor marks never.",
    ),
    click.option("--no-pkce", is_flag=True, help="The old spelling of --pkce never."),
    click.option(
        "--claims-in-id-token",
        "claims",
        type=click.Choice(("on", "off")),
        help="Whether the claims of its scopes (profile, email) are in ID tokens as well as in UserInfo. Default: on.",
    ),
)


only_groups = click.option(
    "--only-group",
    "only_groups",
    multiple=True,
    metavar="GROUP",
    help="Reserved for the members of this group. May repeat: of any of them. An empty text: for everybody.",
)


def registration_options(command: Command) -> Command:
    """Adds the options that ``options_from`` reads."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def refuse_contradictions(given: Mapping[str, Any]) -> None:
    """Raises wrong usage for options that exclude each other, before anything is opened."""
    _method(public=given["public"], auth_method=given["auth_method"])
    _pkce(pkce=given["pkce"], no_pkce=given["no_pkce"])


def options_from(terminal: Terminal, name: str | None, given: dict[str, Any], client_type: str | None) -> ClientOptions:
    """What was said on the command line. ``given`` holds the values of ``registration_options``, ``client_type`` native or
    web where that was said. What was not given is None, and an empty text takes something away.
    """
    from provider.clients.operator_metadata import ClientOptions

    resource, scope, claims = given["resource"], given["scope"], given["claims"]
    return ClientOptions(
        name=name,
        application_type=client_type,
        auth_method=_method(public=given["public"], auth_method=given["auth_method"]),
        redirect_uris=_list(given["redirect_uris"]),
        post_logout_redirect_uris=_list(given["post_logout_redirect_uris"]),
        grant_types=_list(given["grant_types"]),
        scope=None if scope is None else terminal.scope(scope),
        resource=terminal.services.resources.get(terminal.tx, resource).uri if resource else resource,
        jwks_uri=given["jwks_uri"],
        pkce=_pkce(pkce=given["pkce"], no_pkce=given["no_pkce"]),
        claims_in_id_token=None if claims is None else claims == "on",
        metadata=_metadata(given["metadata_file"]),
    )


def changed_uris(known: Client, given: tuple[str, ...], added: tuple[str, ...], removed: tuple[str, ...]) -> list[str]:
    """The redirect URIs of a client: those that are given in place of its own, with some more and without others."""
    uris = [*(given or known.redirect_uris), *added]
    for uri in removed:
        if uri not in uris:
            refuse(f"{uri} is not a redirect URI of this application.")
    return [uri for uri in uris if uri not in removed]


def _list(values: tuple[str, ...]) -> tuple[str, ...] | None:
    """None for what was not given. One empty text means none at all."""
    return tuple(value for value in values if value) if values else None


def _method(*, public: bool, auth_method: str | None) -> str | None:
    if public and auth_method not in (None, "none"):
        raise click.UsageError("--public and --auth-method contradict each other.")
    return "none" if public else auth_method


def _pkce(*, pkce: str | None, no_pkce: bool) -> str | None:
    if no_pkce and pkce not in (None, "never"):
        raise click.UsageError("--pkce and --no-pkce contradict each other.")
    return "never" if no_pkce else pkce


def _metadata(metadata_file: IO[str] | None) -> dict[str, Any]:
    from provider.protocol.errors import OAuthError
    from provider.protocol.json_body import parse_json

    try:
        said = parse_json(metadata_file.read()) if metadata_file is not None else {}
    except (OAuthError, UnicodeDecodeError):
        said = None
    if not isinstance(said, dict):
        refuse("The metadata file must hold a JSON object.")
    return said
