"""The rules of the RFCs as pure functions and plain values.

No Flask, SQL, clock, network or templates: values in, a value or an ``OAuthError`` out.
"""
