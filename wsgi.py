"""What a WSGI server loads: ``gunicorn wsgi:application``, ``granian --interface wsgi wsgi:application``."""

from provider.application import create_app

application = create_app(delivers=True)
