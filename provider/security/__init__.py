"""Primitives: secrets and encryption, rate limits, outbound connections.

Knows nothing of OAuth or of people. Everything above may use it.
"""
