"""Cloud accounts of people: what is kept of each cloud, sealed, and the tokens and exchanges that take the place of secrets.

``providers`` says what each cloud wants to know, ``guides`` what is set up there so that it trusts us, ``exchanges`` how it
gives short-lived credentials for a token of ours.
Above ``accounts``; pages, endpoints and the CLI call it. Knows nothing of HTTP requests or of how somebody signs in.
"""
