"""One Django site with the configurations of three libraries, as ``mcp-core client create --for`` prints them.

``CONFIGURATIONS`` names a folder of such texts; each has a part for ``settings.py`` and one for ``urls.py``.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.urls import include, path
from django.utils.html import format_html

PORT = int(os.environ["PORT"])
PAGE = """<p>{}</p><p>{}</p>
<form action="/login/oidc/" method="post"><input type="hidden" name="csrfmiddlewaretoken" value="{}">
<button>Sign in</button></form>"""


def home(request: HttpRequest) -> HttpResponse:
    who = f"signed in as {request.user.username}, {request.user.email}" if request.user.is_authenticated else "nobody"
    return HttpResponse(format_html(PAGE, who, request.session.get("_auth_user_backend", "-"), get_token(request)))


def configured() -> tuple[dict[str, Any], list[str]]:
    """The settings of one site that has all three, and the parts for ``urls.py``."""
    names: dict[str, Any] = {
        "SECRET_KEY": secrets.token_hex(32),
        "DEBUG": True,
        "ALLOWED_HOSTS": ["localhost"],
        "ROOT_URLCONF": __name__,
        "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "LOGIN_REDIRECT_URL": "/",
        "INSTALLED_APPS": ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
        "MIDDLEWARE": [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
            }
        ],
    }
    backends: list[str] = []
    parts: list[str] = []
    # Django asks one backend after the other, and mozilla-django-oidc's redeems any code that it sees: it must not be asked
    # before social-auth's.
    for file in sorted(Path(os.environ["CONFIGURATIONS"]).iterdir(), reverse=True):
        own, _, urls = file.read_text("utf-8").partition("# urls.py\n")
        exec(compile(own, file.name, "exec"), names)
        backends += [name for name in names["AUTHENTICATION_BACKENDS"] if name not in backends]
        parts.append(urls)
    return {name: value for name, value in names.items() if name.isupper()} | {
        "AUTHENTICATION_BACKENDS": backends
    }, parts


chosen, url_parts = configured()
settings.configure(**chosen)
django.setup()
urlpatterns = [path("", home)]
for part in url_parts:
    exec(part, {"urlpatterns": urlpatterns, "path": path, "include": include})


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Only what goes wrong is printed."""


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    make_server("127.0.0.1", PORT, get_wsgi_application(), handler_class=Quiet).serve_forever()
