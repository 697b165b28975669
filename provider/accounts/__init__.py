"""People: how they prove who they are, and what they own.

Users, sign-in, sessions, second factors, consents, API keys. Knows nothing of HTTP or of the protocol's endpoints; pages,
endpoints and the CLI call it.
"""
