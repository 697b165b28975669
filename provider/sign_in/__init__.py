"""What proves who somebody is: passwords, codes, the steps of signing in, sessions, and how all of that ends.

Above ``accounts``, which knows nothing of it. Nothing here knows of HTTP or of the protocol's endpoints.
"""
