"""``protect``: an MCP server or API under this server's tokens, with the lines to paste."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import click

from provider.cli.api_options import ALGORITHMS, TOKEN_ALG_HELP, TOKEN_TYP_HELP, TYPES, described, describing
from provider.cli.terminal import as_json, opened, refusals, refuse, settings, show_json
from provider.program_name import command

_SCOPE = "mcp:use"
_SNIPPETS = {
    "FastMCP": """\
from fastmcp import FastMCP
from mcp_core_verifier import Verifier
from mcp_core_verifier.fastmcp import MCPCoreAuth

verifier = Verifier({issuer!r}, {uri!r}, scopes_supported={scope!r}{typ})
mcp = FastMCP({name!r}, auth=MCPCoreAuth(verifier, {first!r}))
app = mcp.http_app(path={path!r})""",
    "MCP Python SDK": """\
from mcp.server.mcpserver import MCPServer
from mcp_core_verifier import Verifier
from mcp_core_verifier.asgi import Protect
from mcp_core_verifier.mcp import protection

verifier = Verifier({issuer!r}, {uri!r}, scopes_supported={scope!r}{typ})
server = MCPServer({name!r}, **protection(verifier, {first!r}))
app = server.streamable_http_app(streamable_http_path={path!r})
app.add_middleware(Protect, verifier=verifier, scopes=[{first!r}])""",
    "FastAPI": """\
from fastapi import FastAPI
from mcp_core_verifier import AccessToken, Verifier
from mcp_core_verifier.fastapi import install

app = FastAPI()
protect = install(app, Verifier({issuer!r}, {uri!r}, scopes_supported={scope!r}{typ}))


@app.get({view!r})
def whoami(token: AccessToken = protect({first!r})) -> dict[str, str]:
    return {{"sub": token.subject}}""",
    "Flask": """\
from flask import Flask
from mcp_core_verifier import Verifier
from mcp_core_verifier.flask import access_token, install

app = Flask(__name__)
protect = install(app, Verifier({issuer!r}, {uri!r}, scopes_supported={scope!r}{typ}))


@app.get({view!r})
@protect({first!r})
def whoami() -> dict[str, str]:
    return {{"sub": access_token().subject}}""",
}


@click.command()
@click.argument("uri", metavar="URL")
@click.option("--scope", metavar='"a b"', help=f"All scopes that it knows.  [default: {_SCOPE}]")
@click.option("--name", metavar="N", help="What people read on the consent page. Default: the host.")
@describing
@click.option("--token-alg", type=ALGORITHMS, help=f"{TOKEN_ALG_HELP}  [default: RS256]")
@click.option("--token-typ", type=TYPES, help=f"{TOKEN_TYP_HELP}  [default: at+jwt]")
@as_json
def protect(
    *,
    uri: str,
    scope: str | None,
    name: str | None,
    english: tuple[str, ...],
    korean: tuple[str, ...],
    token_alg: str | None,
    token_typ: str | None,
    as_json: bool,
) -> None:
    """Register an MCP server or API, and print what makes it ask for our tokens.

    May be repeated: of what is registered already it changes what the options say, and nothing else.

    \b
    Example:   mcp-core protect https://notes.example/mcp --scope "notes:read notes:write"
    """
    from provider.protocol.scopes import parse_scope

    with refusals():
        wanted = None if scope is None else parse_scope(scope)
    if wanted == () or not uri.startswith(("https://", "http://")):
        refuse("A resource that can be protected has an http(s) URL and at least one scope.")
    issuer = settings().issuer
    options = {"name": name, "scope": wanted, "token_alg": token_alg, "token_typ": token_typ}
    said: dict[str, Any] = {field: value for field, value in options.items() if value is not None}
    with opened() as terminal:
        services, tx = terminal.services, terminal.tx
        known = services.resources.find(tx, uri)
        if known is not None and known.uri == issuer:
            refuse("This is the address of MCP Core itself.")
        has = () if known is None else known.scope
        for entry in set(has).difference(wanted or has):
            change = command(f"resource update {uri} --remove-scope {entry}")
            refuse(f"It also has the scope {entry}. To take that away: {change}")
        before = None if known is None else known.descriptions
        said["descriptions"] = described(wanted or has or (_SCOPE,), english, korean, before)
        try:
            if known is None:
                default = {"name": urlsplit(uri).netloc or uri, "scope": (_SCOPE,)}
                known = services.resources.add(tx, terminal.origin, uri=uri, **{**default, **said})
            else:
                known = services.resources.change(tx, terminal.origin, known.uri, **said) or known
        except ValueError as error:
            refuse(f"{error}.".capitalize())
    if not known.scope:
        refuse(f"{known.uri} is registered without a scope. Protect it with --scope.")
    document: dict[str, Any] = {
        "resource": known.uri,
        "authorization_servers": [issuer],
        "scopes_supported": list(known.scope),
        "bearer_methods_supported": ["header"],
        "resource_name": known.name,
    }
    address = metadata_address(known.uri)
    if as_json:
        show_json({"metadata_url": address, "metadata": document})
        return
    click.echo(f"{known.name} is registered: {known.uri}  ({' '.join(known.scope)})\n")
    click.echo(f"Protected-resource metadata (RFC 9728), served by the lines below at\n  {address}\n")
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    path = urlsplit(known.uri).path
    values = {
        "name": known.name,
        "issuer": issuer,
        "path": path or "/",
        "view": f"{path.rstrip('/')}/whoami",
        "uri": known.uri,
        "scope": list(known.scope),
        "first": known.scope[0],
        "typ": "" if known.token_typ == "at+jwt" else f", token_typ={known.token_typ!r}",  # noqa: S105 - a type
    }
    for title, snippet in _SNIPPETS.items():
        click.echo(f"\n--- {title}\n{snippet.format(**values)}")
    click.echo("\nThe package: pip install ./verifier (in a checkout of MCP Core).")


def metadata_address(uri: str) -> str:
    """Where the metadata of a resource is looked for: the well-known name before its path (RFC 9728 §3.1)."""
    parts = urlsplit(uri)
    path = "" if parts.path == "/" else parts.path
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/.well-known/oauth-protected-resource{path}{query}"
