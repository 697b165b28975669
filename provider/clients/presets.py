"""What other people's programs need of a registration, one row each: ``mcp-core client create --for NAME``.

What a program can be told to do better is a line of its own configuration (``templates/presets/``). A registration is
relaxed only where there is no such line, and ``advice`` says so. Each preset has a page in ``docs/guides/``.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Preset:
    """One program. ``name`` is also that of its template and of its guide; ``note`` is a line of the list.

    ``redirect_path`` is where the program waits for answers unless it is told otherwise; it completes a base URL.
    ``redirect_uris`` are those of a hosted program, which nobody has to give. None leaves a choice to what
    ``client create`` does without a preset.
    """

    name: str
    title: str
    note: str
    redirect_path: str = ""
    redirect_uris: tuple[str, ...] = ()
    post_logout_path: str | None = None
    scope: str = "openid profile email"
    grant_types: tuple[str, ...] = ()
    auth_method: str | None = None
    pkce: Literal["always", "unless-nonce", "never"] | None = None
    claims_in_id_token: Literal["on", "off"] | None = None
    native: bool = False
    advice: str = ""

    def complete(self, redirect_uris: Sequence[str]) -> tuple[str, ...]:
        """What was given, with the program's own path where it is a base URL; its fixed ones where nothing was given."""
        return tuple(self._completed(uri) for uri in redirect_uris) or self.redirect_uris

    def post_logout_redirect_uris(self, redirect_uris: Sequence[str]) -> tuple[str, ...]:
        """Where people land after signing out, at the host of each redirect URI. Empty if the program has no such place."""
        if self.post_logout_path is None:
            return ()
        return tuple(dict.fromkeys(f"{base_url(uri)}{self.post_logout_path}" for uri in redirect_uris))

    def _completed(self, uri: str) -> str:
        base = base_url(uri)
        is_base = base.startswith(("https://", "http://")) and uri in (base, f"{base}/")
        return f"{base}{self.redirect_path}" if is_base and self.redirect_path else uri


def base_url(uri: str) -> str:
    """Scheme, host and port of an address."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"


PRESETS = (
    Preset(
        "apache",
        "Apache",
        "Apache with mod_auth_openidc in front of pages",
        redirect_path="/protected/callback",
        post_logout_path="/",
        advice="mod_auth_openidc sends a nonce, and no PKCE challenge by default: OIDCPKCEMethod switches PKCE on.",
    ),
    Preset(
        "authjs",
        "Auth.js",
        "Node.js, @auth/express and the other packages of Auth.js",
        redirect_path="/auth/callback/mcp-core",
    ),
    Preset(
        "authlib",
        "Authlib client",
        "Authlib's clients for Flask, Starlette, FastAPI and Django",
        redirect_path="/callback",
        post_logout_path="/",
        advice="Authlib sends no PKCE challenge by default: code_challenge_method switches it on.",
    ),
    Preset(
        "chatgpt",
        "ChatGPT",
        "ChatGPT's connectors, where nobody may register by themselves",
        redirect_uris=("https://chatgpt.com/connector_platform_oauth_redirect",),
        scope="",
        advice="ChatGPT shows a redirect URI of its own for some connectors: give that one to --redirect-uri.",
    ),
    Preset(
        "claude",
        "Claude",
        "Claude's connectors, where nobody may register by themselves",
        redirect_uris=("https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"),
        scope="",
    ),
    Preset(
        "django-allauth",
        "django-allauth",
        "Django, provider openid_connect of django-allauth",
        redirect_path="/accounts/oidc/mcp-core/login/callback/",
        advice="django-allauth sends neither a PKCE challenge nor a nonce by default: oauth_pkce_enabled switches PKCE on.",
    ),
    Preset(
        "express-openid-connect",
        "express-openid-connect",
        "Node.js, express-openid-connect",
        redirect_path="/callback",
        post_logout_path="",
        advice='express-openid-connect uses the implicit flow by default, which is not had here: response_type: "code".',
    ),
    Preset(
        "go-oidc",
        "go-oidc",
        "Go, github.com/coreos/go-oidc with golang.org/x/oauth2",
        redirect_path="/callback",
    ),
    Preset(
        "httpx-oauth",
        "httpx-oauth",
        "Python, class OpenID of httpx-oauth",
        redirect_path="/callback",
        scope="openid email",
        advice="httpx-oauth sends neither a PKCE challenge nor a nonce by default: the lines with code_verifier do.",
    ),
    Preset(
        "jupyterhub",
        "JupyterHub",
        "GenericOAuthenticator of oauthenticator",
        redirect_path="/hub/oauth_callback",
    ),
    Preset(
        "kafka",
        "Kafka client",
        "Apache Kafka's clients by SASL OAUTHBEARER; needs --resource",
        scope="",
        grant_types=("client_credentials",),
    ),
    Preset(
        "kubernetes",
        "Kubernetes",
        "kube-apiserver --oidc-…, and kubelogin for those who use kubectl",
        redirect_uris=("http://localhost:8000",),
        scope="openid email groups",
        auth_method="none",
        native=True,
    ),
    Preset(
        "mozilla-django-oidc",
        "mozilla-django-oidc",
        "Django, mozilla-django-oidc",
        redirect_path="/oidc/callback/",
        post_logout_path="/",
        advice="mozilla-django-oidc sends a nonce, and no PKCE challenge by default: OIDC_USE_PKCE switches PKCE on.",
    ),
    Preset(
        "next-auth",
        "NextAuth.js 4",
        "Next.js, next-auth 4",
        redirect_path="/api/auth/callback/mcp-core",
    ),
    Preset(
        "oauth2-proxy",
        "oauth2-proxy",
        "oauth2-proxy in front of a service",
        redirect_path="/oauth2/callback",
        advice="oauth2-proxy sends neither a PKCE challenge nor a nonce by default: code_challenge_method switches PKCE on.",
    ),
    Preset(
        "passport-oauth2",
        "passport-oauth2",
        "Node.js, passport-oauth2",
        redirect_path="/callback",
        advice="passport-oauth2 sends neither a PKCE challenge nor a nonce by default: pkce and state switch PKCE on.",
    ),
    Preset(
        "passport-openidconnect",
        "passport-openidconnect",
        "Node.js, passport-openidconnect",
        redirect_path="/callback",
        advice="passport-openidconnect knows no PKCE and sends no nonce by default: nonce: true makes it send one.",
    ),
    Preset(
        "requests-oauthlib",
        "requests-oauthlib",
        "Python, OAuth2Session of requests-oauthlib",
        redirect_path="/callback",
        advice='requests-oauthlib sends neither a PKCE challenge nor a nonce by default: pkce="S256" switches PKCE on.',
    ),
    Preset(
        "social-auth",
        "Python Social Auth",
        "Django, backend OpenIdConnectAuth of social-auth-app-django",
        redirect_path="/complete/oidc/",
        advice="social-auth sends a nonce, and no PKCE challenge by default: SOCIAL_AUTH_OIDC_USE_PKCE switches PKCE on.",
    ),
    Preset(
        "spring-boot",
        "Spring Boot",
        "Java, spring-boot-starter-oauth2-client",
        redirect_path="/login/oauth2/code/mcp-core",
    ),
    Preset(
        "vscode",
        "Visual Studio Code",
        "VS Code with MCP servers, where nobody may register by themselves",
        redirect_uris=("http://127.0.0.1/", "http://127.0.0.1:33418/", "https://vscode.dev/redirect"),
        scope="",
        auth_method="none",
        native=True,
    ),
    Preset(
        "zitadel-oidc",
        "zitadel/oidc",
        "Go, relying party of github.com/zitadel/oidc",
        redirect_path="/auth/callback",
        advice="zitadel/oidc sends neither a PKCE challenge nor a nonce by default: rp.WithPKCE switches PKCE on.",
    ),
)
_BY_NAME = {preset.name: preset for preset in PRESETS}


class UnknownPreset(LookupError):
    """No program of that name is in the table. Its text says which is meant."""


def find_preset(name: str) -> Preset:
    """The preset of a program, whatever the case of its name. Raises ``UnknownPreset``."""
    wanted = name.strip().lower()
    if wanted not in _BY_NAME:
        near = [known for known in _BY_NAME if wanted and wanted in known] or difflib.get_close_matches(
            wanted, _BY_NAME, 1
        )
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UnknownPreset(f"There is no preset for {name!r}.{hint}")
    return _BY_NAME[wanted]
