"""What a WSGI server loads: ``gunicorn --worker-class gthread --threads 4 wsgi:application``."""

from provider.application import create_app

application = create_app(delivers=True)
