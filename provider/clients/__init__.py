"""Applications: which there are, how they prove who they are, and the APIs that tokens are for.

API keys are clients too; ``accounts/api_keys`` makes them through the registry. Knows nothing of people.
"""
