"""The application of ``authlib.py``: Authlib's Flask and SQLAlchemy integrations, put together as its documentation says.

The environment has ``BENCH_ISSUER``, ``BENCH_DATABASE`` and ``BENCH_CLIENTS``. Every token is a row. Keys are made when it
starts and imported once, which its documentation leaves open and which decides between 15 and 500 answers a second.
"""

from __future__ import annotations

import os
import time
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector, current_token
from authlib.integrations.sqla_oauth2 import (
    OAuth2AuthorizationCodeMixin,
    OAuth2ClientMixin,
    OAuth2TokenMixin,
    create_bearer_token_validator,
    create_query_client_func,
    create_query_token_func,
    create_save_token_func,
)
from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from authlib.oidc.core import UserInfo
from authlib.oidc.core.grants import OpenIDCode
from flask import Flask, jsonify, redirect, request, session, url_for
from flask_sqlalchemy import SQLAlchemy
from joserfc.jwk import ECKey, RSAKey
from sqlalchemy import ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from bench.servers.measured import NAME_OF_PERSON, PASSWORD, REDIRECT

SECRET = "a-secret-of-the-benchmark-and-of-nothing-else"
ISSUER = os.environ["BENCH_ISSUER"]
ALGORITHMS = {"https://rs256.example/api": "RS256"}  # ES256 for any other resource, and for none
KEYS: dict[str, ECKey | RSAKey] = {
    "ES256": ECKey.generate_key("P-256", {"kid": "bench-ES256", "use": "sig", "alg": "ES256"}),
    "RS256": RSAKey.generate_key(2048, {"kid": "bench-RS256", "use": "sig", "alg": "RS256"}),
}
HASHER = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)

application = Flask(__name__)
application.config |= {
    "SECRET_KEY": SECRET,
    "SQLALCHEMY_DATABASE_URI": os.environ["BENCH_DATABASE"],
    "OAUTH2_REFRESH_TOKEN_GENERATOR": True,
}
db = SQLAlchemy(application)


class User(db.Model):  # type: ignore[name-defined]
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    username: Mapped[str] = mapped_column(String(64), unique=True)
    password_hash: Mapped[str] = mapped_column(String(128))

    def get_user_id(self) -> int:
        return self.id


class Client(db.Model, OAuth2ClientMixin):  # type: ignore[name-defined]
    id: Mapped[int] = mapped_column(Integer, primary_key=True)


class Code(db.Model, OAuth2AuthorizationCodeMixin):  # type: ignore[name-defined]
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))


class Token(db.Model, OAuth2TokenMixin):  # type: ignore[name-defined]
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    user: Mapped[User | None] = relationship(User)


class Generator(JWTBearerTokenGenerator):
    """JWT access tokens (RFC 9068) by one algorithm."""

    def get_jwks(self) -> Any:
        return KEYS[self.alg]

    def get_audiences(self, client: Any, user: Any, scope: Any) -> str:  # noqa: ARG002 - its signature
        return request.form.get("resource") or str(client.get_client_id())


GENERATORS = {
    alg: Generator(ISSUER, alg, refresh_token_generator=lambda *_a, **_k: os.urandom(24).hex()) for alg in KEYS
}


def generate(*arguments: Any, **options: Any) -> Any:
    return GENERATORS[ALGORITHMS.get(request.form.get("resource", ""), "ES256")](*arguments, **options)


class CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

    def save_authorization_code(self, code: str, request: Any) -> Code:
        payload = request.payload
        row = Code(
            code=code,
            client_id=request.client.client_id,
            redirect_uri=payload.redirect_uri,
            scope=payload.scope,
            user_id=request.user.id,
            nonce=payload.data.get("nonce"),
            code_challenge=payload.data.get("code_challenge"),
            code_challenge_method=payload.data.get("code_challenge_method"),
        )
        db.session.add(row)
        db.session.commit()
        return row

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        found = Code.query.filter_by(code=code, client_id=client.client_id).first()
        return None if found is None or found.is_expired() else found

    def delete_authorization_code(self, authorization_code: Code) -> None:
        db.session.delete(authorization_code)
        db.session.commit()

    def authenticate_user(self, authorization_code: Code) -> User | None:
        return db.session.get(User, authorization_code.user_id)


class OpenID(OpenIDCode):
    def exists_nonce(self, nonce: str, request: Any) -> bool:  # noqa: ARG002 - its signature
        return False  # a nonce is the application's: the benchmark's is always the same

    def resolve_client_private_key(self, client: Any) -> Any:  # noqa: ARG002 - its signature
        return KEYS["RS256"]

    def get_client_claims(self, client: Any) -> dict[str, Any]:  # noqa: ARG002 - its signature
        return {"iss": ISSUER}

    def generate_user_info(self, user: User, scope: str) -> UserInfo:  # noqa: ARG002 - its signature
        return UserInfo(sub=str(user.id))


class RefreshGrant(grants.RefreshTokenGrant):
    INCLUDE_NEW_REFRESH_TOKEN = True
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

    def authenticate_refresh_token(self, refresh_token: str) -> Token | None:
        found = Token.query.filter_by(refresh_token=refresh_token).first()
        return None if found is None or found.refresh_token_revoked_at else found

    def authenticate_user(self, refresh_token: Token) -> User | None:
        return refresh_token.user

    def revoke_old_credential(self, refresh_token: Token) -> None:
        now = int(time.time())
        refresh_token.access_token_revoked_at = refresh_token.refresh_token_revoked_at = now
        db.session.add(refresh_token)
        db.session.commit()


class Introspection(IntrospectionEndpoint):
    def query_token(self, token: str, token_type_hint: str | None) -> Token | None:
        found: Token | None = create_query_token_func(db.session, Token)(token, token_type_hint)
        return found

    def check_permission(self, token: Token, client: Client, request: Any) -> bool:  # noqa: ARG002 - its signature
        return token.client_id == client.client_id

    def introspect_token(self, token: Token) -> dict[str, Any]:
        return {
            "active": True,
            "client_id": token.client_id,
            "scope": token.scope,
            "iss": ISSUER,
            "exp": token.issued_at + token.expires_in,
        }


server = AuthorizationServer(
    application, create_query_client_func(db.session, Client), create_save_token_func(db.session, Token)
)
server.register_token_generator("default", generate)
server.register_grant(grants.ClientCredentialsGrant)
server.register_grant(CodeGrant, [OpenID(require_nonce=False), CodeChallenge(required=True)])
server.register_grant(RefreshGrant)
server.register_endpoint(Introspection)
protected = ResourceProtector()
protected.register_token_validator(create_bearer_token_validator(db.session, Token)())


@application.post("/token")
def token() -> Any:
    return server.create_token_response()


@application.post("/introspect")
def introspect() -> Any:
    return server.create_endpoint_response(Introspection.ENDPOINT_NAME)


@application.get("/userinfo")
@protected("openid")
def userinfo() -> Any:
    return jsonify(UserInfo(sub=str(current_token.user_id)))


@application.get("/jwks")
def jwks() -> Any:
    return jsonify(keys=[key.as_dict(private=False) for key in KEYS.values()])


@application.route("/authorize", methods=["GET", "POST"])
def authorize() -> Any:
    """Whoever is signed in and has agreed once gets a code at once."""
    user = db.session.get(User, session["user"]) if "user" in session else None
    if user is None:
        return redirect(url_for("login", to=request.full_path))
    if request.method == "POST":
        session["agreed"] = True
    if "agreed" in session:
        return server.create_authorization_response(request, grant_user=user)
    server.get_consent_grant(end_user=user)
    return '<!doctype html><title>Consent</title><form method="post"><button>allow</button></form>'


@application.route("/login", methods=["GET", "POST"])
def login() -> Any:
    if request.method == "GET":
        return (
            '<!doctype html><title>Sign in</title><form method="post"><input name="username">'
            '<input name="password" type="password"><button>go on</button></form>'
        )
    user = User.query.filter_by(username=request.form["username"]).first()
    try:
        HASHER.verify(user.password_hash, request.form["password"])
    except VerifyMismatchError:
        return "wrong", 400
    session["user"] = user.id
    return redirect(request.args["to"])


def furnish() -> None:
    """Tables, if there are none, and whoever uses them."""
    with application.app_context():
        db.create_all()
        if User.query.first() is None:
            db.session.add(User(username=NAME_OF_PERSON, password_hash=HASHER.hash(PASSWORD)))
            names = ["machine", *(f"machine{number}" for number in range(int(os.environ["BENCH_CLIENTS"])))]
            for name in names:
                db.session.add(_client(name, {"grant_types": ["client_credentials"], "scope": "api:read"}))
            scope, grant_types = "openid offline_access api:read", ["authorization_code", "refresh_token"]
            app = {"grant_types": grant_types, "scope": scope, "redirect_uris": [REDIRECT], "response_types": ["code"]}
            db.session.add(_client("app", app))
            db.session.commit()


def _client(name: str, metadata: dict[str, Any]) -> Client:
    client = Client(client_id=name, client_secret=SECRET, client_id_issued_at=int(time.time()))
    client.set_client_metadata({"token_endpoint_auth_method": "client_secret_basic", **metadata})
    return client


furnish()
