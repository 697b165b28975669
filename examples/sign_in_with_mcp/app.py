"""A small web application with a "Sign in with MCP" button, on Authlib's Flask client.

Settings, all from the environment: ``MCP_ISSUER`` (default http://localhost:8000/oauth), ``CLIENT_ID`` and
``CLIENT_SECRET`` as ``mcp-core client create`` printed them, ``PORT`` (default 9000).
"""

from __future__ import annotations

import os
import secrets
from typing import Any

from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.flask_client import OAuth
from flask import Flask, redirect, render_template, request, session, url_for
from joserfc.errors import JoseError
from werkzeug.wrappers import Response

SCOPE = "openid profile email"
Answer = str | Response | tuple[str, int]


def create_app(issuer: str, client_id: str, client_secret: str) -> Flask:
    app = Flask(__name__)
    app.secret_key = secrets.token_bytes(32)
    # The provider may be on the same host name, and cookies do not know ports: a name of our own.
    app.config.update(SESSION_COOKIE_NAME="acme_session", SESSION_COOKIE_SAMESITE="Lax")
    # Tokens stay in this process. Behind the cookie, not in it.
    signed_in: dict[str, dict[str, Any]] = {}
    oauth = OAuth(app)
    oauth.register(
        "mcp",
        server_metadata_url=f"{issuer}/.well-known/openid-configuration",
        client_id=client_id,
        client_secret=client_secret,
        client_kwargs={"scope": SCOPE, "code_challenge_method": "S256"},
    )

    @app.get("/")
    def home() -> Answer:
        return render_template("home.html", user=signed_in.get(session.get("visit", "")), issuer=issuer)

    @app.get("/login")
    def login() -> Answer:
        answer: Response = oauth.mcp.authorize_redirect(url_for("callback", _external=True))
        return answer

    @app.get("/callback")
    def callback() -> Answer:
        # RFC 9207: an answer that does not name our provider may come from another one.
        if request.args.get("iss") != issuer:
            return render_template("problem.html", problem="The answer did not come from our provider."), 400
        try:
            # Checks the state and sends the PKCE verifier; of the ID token: signature, iss, aud, exp, nonce, at_hash.
            token = oauth.mcp.authorize_access_token()
        except OAuthError as error:
            # The provider's own words stay in the address bar: anyone can write them there.
            return render_template("problem.html", problem="Signing in did not work.", code=error.error), 400
        except JoseError:
            return render_template("problem.html", problem="The ID token is not valid."), 400
        profile = oauth.mcp.userinfo(token=token)
        if profile["sub"] != token["userinfo"]["sub"]:
            return render_template("problem.html", problem="The profile belongs to someone else."), 400
        session["visit"] = secrets.token_urlsafe(16)
        signed_in[session["visit"]] = {"claims": token["userinfo"], "profile": profile, "id_token": token["id_token"]}
        return redirect(url_for("home"))

    @app.post("/sign-out")
    def sign_out() -> Answer:
        user = signed_in.pop(session.pop("visit", ""), None)
        if user is None:
            return redirect(url_for("home"))
        # RP-initiated logout: ends the session at the provider too, and comes back to /signed-out.
        answer: Response = oauth.mcp.logout_redirect(
            post_logout_redirect_uri=url_for("signed_out", _external=True), id_token_hint=user["id_token"]
        )
        return answer

    @app.get("/signed-out")
    def signed_out() -> Answer:
        try:
            oauth.mcp.validate_logout_response()
        except OAuthError:
            return redirect(url_for("home"))
        return render_template("signed_out.html")

    return app


if __name__ == "__main__":
    if not {"CLIENT_ID", "CLIENT_SECRET"} <= set(os.environ):
        raise SystemExit("Set CLIENT_ID and CLIENT_SECRET first, as README.md says.")
    application = create_app(
        os.environ.get("MCP_ISSUER", "http://localhost:8000/oauth"),
        os.environ["CLIENT_ID"],
        os.environ["CLIENT_SECRET"],
    )
    application.run("127.0.0.1", int(os.environ.get("PORT", "9000")))
