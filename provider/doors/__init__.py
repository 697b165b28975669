"""How requests come in: one ``Doorway`` that reads and answers, and a door for each interface that servers speak.

Owns limits of requests, the transaction around each call, and the adapters to bare WSGI and Flask. Knows no endpoint and no
page; ``application.py`` mounts them.
"""
