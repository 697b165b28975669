"""People: what they are and what they own.

Users, their names and profiles, consents, API keys. Knows nothing of HTTP, of the protocol's endpoints, or of how somebody
signs in; ``sign_in``, pages, endpoints and the CLI call it.
"""
