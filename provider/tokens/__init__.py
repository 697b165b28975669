"""Everything we hand out, and the keys that sign it.

Owns codes, refresh tokens, access and ID tokens and their records. Does not know people or how clients authenticate;
grants and endpoints call it with an ``Authorization``.
"""
